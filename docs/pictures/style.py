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

from hpo.report.plots.fates import RUNS
from hpo.report.plots.style import STYLE

STATIC = Path(__file__).parents[1] / "_static"
BLUE, ORANGE, GREEN, PURPLE, RED, SKY = RUNS
YELLOW, GREY = "#F0E442", "#767676"
WIDTH = 6.4


def use() -> Any:
    """Set the style of all pictures, which is that of the figures of `hpo`, and return pyplot."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    plt.rcParams.update({**STYLE, "axes.titlelocation": "left", "svg.hashsalt": "qsvr"})
    return plt


def save(figure: Any, name: str) -> None:
    """Write a picture to ``docs/_static``, in at most 256 colours and the same bytes each time."""
    path, buffer = STATIC / name, BytesIO()
    figure.savefig(buffer, dpi=150)
    picture = Image.open(buffer).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(path)
