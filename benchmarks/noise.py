"""What an annealer contributes and what the polish does: samples with more and more flipped bits.

Samples of simulated annealing stand for an ideal QPU's reads; each bit is then flipped with a
probability of 0, 5, 20 or 50% (the last is a random bit string). Gaps are energies above the
relaxation bound, as a share of it, before and after polish, with the test R2 of the model that the
polished samples give, beside that of the mean of the 20 lowest raw samples alone. In the model all
zeros and the rounded relaxation compete with the samples. Where the columns after polish hardly
change, the result does not depend on the annealer. The raw columns do.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import r2_score

from _harness import Thresholds, arguments, print_table, scaled_data
from qsvr import QSVR, CoarseEncodingWarning, Samples, SVRQubo, get_sampler
from qsvr.problem.kernels import Kernel
from qsvr.problem.objective import primal_intercept

FLIPS = (0.0, 0.05, 0.2, 0.5)


@dataclass(frozen=True)
class NoisySampler:
    """Simulated annealing whose reads lose bits."""

    flip: float
    max_variables: int | None = None
    parameters: frozenset[str] = frozenset()

    def sample(self, qubo: SVRQubo, *, num_reads: int, seed: int, **options: Any) -> Samples:
        """Return the reads of simulated annealing with bits flipped."""
        clean = get_sampler("sa").sample(qubo, num_reads=num_reads, seed=seed, **options)
        flips = np.random.default_rng([seed, 1]).random(clean.bits.shape) < self.flip
        bits = np.where(flips, 1 - clean.bits, clean.bits).astype(np.uint8)
        return Samples(bits, qubo.energies(bits), clean.info)


def raw_prediction(qubo: SVRQubo, samples: Samples, K_test: Any) -> Any:
    """Predict with the mean of the 20 lowest samples, unpolished; K_test is (n_train, n_test)."""
    coefficients = qubo.encoding.decode(samples.distinct(20).bits)
    b = coefficients[:, 0] - coefficients[:, 1]
    dual = qubo.dual
    offsets = primal_intercept(dual.y - dual.outputs(b), dual.epsilon, dual.C)
    return (b @ K_test).mean(axis=0) + offsets.mean()


def row(flip: float, n: int, seeds: range) -> list[float]:
    """Return raw best and mean, share beating random, polished best and mean, and R2 twice."""
    figures = []
    for seed in seeds:
        X, y = scaled_data("friedman1", n + 300, seed)
        common = {"C": 1, "epsilon": 0.05, "num_reads": 100, "sampler": NoisySampler(flip)}
        model = QSVR(**common, random_state=seed).fit(X[:n], y[:n])
        qubo = QSVR(**common, random_state=seed).make_problem(X[:n], y[:n]).qubo
        samples = NoisySampler(flip).sample(qubo, num_reads=100, seed=seed)
        kernel = Kernel.resolve("rbf", gamma="scale", degree=3, coef0=0.0, X=X[:n])
        alone = np.median(y[:n]) + raw_prediction(qubo, samples, kernel(X[:n], X[n:]))
        info, bound = model.sampler_info_, model.relaxation_bound_
        raw, polished = (info[key] - bound for key in ("raw_energies", "energies"))
        random = info["random_energies"] - bound
        beats = np.mean(raw[:, None] < random[None])
        scale = abs(bound)
        scores = [r2_score(y[n:], each) for each in (model.predict(X[n:]), alone)]
        figures.append(
            [raw.min() / scale, raw.mean() / scale, beats,
             polished.min() / scale, polished.mean() / scale, *scores]
        )  # fmt: skip
    return np.mean(figures, axis=0).tolist()


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore", CoarseEncodingWarning)
    options = arguments(__doc__)
    seeds = range(3 if options.quick else 10)
    thresholds = Thresholds()
    for n in (20,) if options.quick else (20, 50):
        print(f"friedman1, {n} samples at 3 bits, 100 reads, mean of {len(seeds)} splits")
        rows = {flip: row(flip, n, seeds) for flip in FLIPS}
        print_table(
            ["flipped bits", "raw best", "raw mean", "beats random", "polished best",
             "polished mean", "R2 polished", "R2 raw"],
            [
                [f"{flip:.0%}", f"{r[0]:.1%}", f"{r[1]:.1%}", f"{r[2]:.0%}", f"{r[3]:.2%}",
                 f"{r[4]:.2%}", f"{r[5]:.3f}", f"{r[6]:.3f}"]
                for flip, r in rows.items()
            ],
        )  # fmt: skip
        thresholds.at_most("raw mean, clean against random", rows[0.0][1], 0.5 * rows[0.5][1])
        thresholds.at_most("polished best of random strings", rows[0.5][3] - rows[0.0][3], 0.02)
    thresholds.finish(options.check)


if __name__ == "__main__":
    main()
