"""The first fit on a machine: processor time from the start of Python, nothing compiled before.

Each row is a fresh process with an empty folder for compiled code. Compiling is nearly all of it;
the second process finds the code on disk.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from _harness import Thresholds, arguments, print_table

THRESHOLD = 6.5  # seconds of processor time

FIT = """
import time
from sklearn.datasets import load_diabetes
from qsvr import QSVR
QSVR
imported = time.process_time()
X, y = load_diabetes(return_X_y=True)
QSVR(random_state=0, {options}).fit(X[:60], y[:60])
first = time.process_time()
QSVR(random_state=0, {options}).fit(X[:60], y[:60])
print(imported, first - imported, time.process_time() - first)
"""

CASES = {
    "default": "",
    "n_bits=8": "n_bits=8",
    "n_refinements=10": "n_refinements=10",
    "base=3": "base=3.0, C='implied'",
    "decomposition, 60 variables": "max_variables=60",
}


def measure(options: str, folder: str) -> list[float]:
    """Return seconds of processor time of imports, the first fit and the second one."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-W", "ignore", "-c", FIT.format(options=options)],
        env={**os.environ, "NUMBA_CACHE_DIR": folder, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [float(word) for word in done.stdout.split()]


def main() -> None:
    """Run the benchmark."""
    args = arguments(__doc__)
    thresholds, lines = Thresholds(), []
    for name, options in list(CASES.items())[: 1 if args.quick else None]:
        with tempfile.TemporaryDirectory() as folder:
            cold = measure(options, folder)
            warm = measure(options, folder)
            size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        lines.append(
            [
                name,
                *(f"{seconds:.2f}" for seconds in (*cold[:2], sum(cold[:2]), sum(warm[:2]))),
                f"{size / 1e3:.0f}",
            ]
        )
        if name == "default":
            thresholds.at_most("first fit, seconds of processor time", sum(cold[:2]), THRESHOLD)
    print_table(
        ["QSVR", "imports, s", "first fit, s", "sum, s", "compiled before, s", "on disk, kB"], lines
    )
    thresholds.finish(args.check)


if __name__ == "__main__":
    main()
