"""Make the table of learning curves that ships with `hpo.simulation`: real trainings on digits.

It trains the two-layer network of ``examples/digits_numpy.py`` with random configurations, on 1,000
of the handwritten digits that come with scikit-learn, and writes the validation cross-entropy after
each epoch::

    python tools/sample_table.py           # about 3 minutes: writes the table
    python tools/sample_table.py --check   # trains 8 rows again and compares them with the table
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from hpo import SearchSpace
from hpo.trainers import load_trainer

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "hpo" / "simulation" / "sample" / "digits.csv"
ROWS, EPOCHS, SEED = 256, 50, 0
WORST = 27.631
"""Cross-entropy that stands for a diverged training: -log(1e-12)."""
SPACE = SearchSpace.from_dict(
    {
        "lr": {"type": "float", "low": 1e-3, "high": 1.0, "log": True},
        "momentum": {"type": "float", "low": 0.0, "high": 0.95},
        "hidden": {"type": "int", "low": 8, "high": 128, "log": True},
        "batch_size": {"type": "categorical", "choices": [16, 32, 64, 128]},
    }
)


def configurations() -> list[dict[str, float]]:
    """Return the configurations, rounded as they are written."""
    rng = np.random.default_rng(SEED)
    drawn = (SPACE.sample(rng) for _ in range(ROWS))
    return [
        {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in config.items()}
        for config in drawn
    ]


def curve(config: dict[str, float]) -> list[str]:
    """Train one configuration; return the loss after each epoch with five digits."""
    trainer = load_trainer(f"{ROOT / 'examples' / 'digits_numpy.py'}:trainer")
    with TemporaryDirectory() as folder, np.errstate(all="ignore"):
        losses = trainer.train(config, 0, EPOCHS, Path(folder) / "checkpoint")
    return [f"{loss if np.isfinite(loss) else WORST:.5g}" for loss in losses]


def write() -> None:
    """Train all configurations and write the table."""
    configs = configurations()
    OUTPUT.parent.mkdir(exist_ok=True)
    with OUTPUT.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([*configs[0], *(f"loss_{epoch}" for epoch in range(EPOCHS))])
        for number, config in enumerate(configs, 1):
            table.writerow([*config.values(), *curve(config)])
            print(f"\r{number} of {ROWS} trainings", end="", flush=True)
    print(f"\n{OUTPUT}: {OUTPUT.stat().st_size / 1e3:.0f} kB")


def check() -> int:
    """Train a few rows again; other versions of NumPy may differ in the last digit."""
    with OUTPUT.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    configs = configurations()
    for place in range(0, ROWS, ROWS // 8):
        written = np.array(rows[place][len(configs[0]) :], dtype=float)
        again = np.array(curve(configs[place]), dtype=float)
        if not np.allclose(written[:10], again[:10], rtol=1e-3):
            print(f"row {place} differs: {configs[place]}")
            return 1
    print("8 rows are as in the file")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare 8 rows with the file")
    if parser.parse_args().check:
        sys.exit(check())
    write()
