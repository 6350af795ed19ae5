"""Building the QUBO: time and memory beside one numpy copy of its matrix.

The matrix of n samples at 3 bits has (6 n)^2 entries; building it should cost about as much as
writing it. The dimod model is built from arrays, and its time is shown beside the same model built
by a Python loop over couplings (small n only).
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from time import perf_counter

import dimod
import numpy as np
from sklearn.metrics.pairwise import rbf_kernel

from _harness import Thresholds, arguments, print_table, scaled_data
from qsvr import FixedPointEncoding, SVRDual, SVRQubo


def build(n: int) -> SVRQubo:
    """Return the QUBO of n friedman1 samples at 3 bits."""
    X, y = scaled_data("friedman1", n, seed=0)
    box = np.ones(n)
    dual = SVRDual(rbf_kernel(X, gamma=0.3), y - np.median(y), 0.05, box, 2.0)
    return SVRQubo(dual, FixedPointEncoding.for_box(box, 3))


def best_time(run: Callable[[], object], repeats: int) -> float:
    """Return the shortest of several runs in seconds."""
    times = []
    for _ in range(repeats):
        start = perf_counter()
        run()
        times.append(perf_counter() - start)
    return min(times)


def peak_memory(run: Callable[[], object]) -> int:
    """Return the most bytes held at once during a run, its result included."""
    tracemalloc.start()
    result = run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    del result
    return peak


def looped_bqm(qubo: SVRQubo) -> dimod.BinaryQuadraticModel:
    """Build the dimod model coupling by coupling, as research code does."""
    matrix = qubo.matrix
    bqm = dimod.BinaryQuadraticModel(dimod.BINARY)
    for i in range(len(matrix)):
        bqm.add_linear(i, matrix[i, i])
        for j in range(i):
            bqm.add_quadratic(i, j, 2.0 * matrix[i, j])
    return bqm


def main() -> None:
    """Run the benchmark."""
    args = arguments(__doc__)
    thresholds, rows = Thresholds(), []
    for n in (100, 1000) if args.quick else (20, 100, 300, 1000):
        qubo = build(n)
        matrix = qubo.matrix
        repeats = 3 if n == 1000 else 10
        copy = best_time(matrix.copy, repeats)
        built = best_time(lambda q=qubo: q.matrix, repeats)  # type: ignore[misc]
        memory = peak_memory(lambda q=qubo: q.matrix) / matrix.nbytes  # type: ignore[misc]
        bqm, loop = "", ""
        if n <= 300:
            arrays = best_time(qubo.to_bqm, 3)
            bqm = f"{arrays * 1e3:.3g}"
            loop = f"{best_time(lambda q=qubo: looped_bqm(q), 1) / arrays:.3g}x"  # type: ignore[misc]
        size = f"{matrix.nbytes / 2**20:.3g} MB"
        rows.append(
            [
                str(n),
                size,
                f"{built * 1e3:.3g}",
                f"{built / copy:.2f}x",
                f"{memory:.2f}x",
                bqm,
                loop,
            ]
        )
        if n == 1000:
            thresholds.at_most("n = 1000: time of the matrix over one copy", built / copy, 3.0)
            thresholds.at_most("n = 1000: memory over the matrix", memory, 2.0)
    print_table(
        ["n", "matrix", "build ms", "over a copy", "memory", "to_bqm ms", "loop / to_bqm"], rows
    )
    thresholds.finish(args.check)


if __name__ == "__main__":
    main()
