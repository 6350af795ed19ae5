"""What the pictures of the documentation have in common: colours, sizes and how they are saved.

A picture is 6.4 inches wide and its letters are 12 points high, so that it can be read in a column
of 700 pixels and on a phone. The colours are those of Okabe and Ito, which readers with any form of
colour blindness can tell apart.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from PIL import Image

STATIC = Path(__file__).parents[1] / "_static"
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, YELLOW, GREY = "#56B4E9", "#CC79A7", "#F0E442", "#767676"
WIDTH = 6.4


def use() -> Any:
    """Set the style of all pictures and return pyplot."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    plt.rcParams.update(
        {
            "font.size": 12,
            "axes.titlesize": 13,
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
            "svg.hashsalt": "qsvr",
        }
    )
    return plt


def save(figure: Any, name: str) -> None:
    """Write a picture to ``docs/_static``, in at most 256 colours and the same bytes each time."""
    path, buffer = STATIC / name, BytesIO()
    figure.savefig(buffer, dpi=150)
    picture = Image.open(buffer).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(path)
