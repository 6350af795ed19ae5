# ruff: noqa: ARG002 - controls ignore most of their inputs
"""Hyperband and Swift-Hyperband on the recorded MLPF curves, against the published figures.

    python benchmarks/published.py [--quick] [--check] [--table mlpf_curves.csv]

Published: arXiv 2311.17508 and the result files of its authors. Seed t tries the rows
``numpy.random.RandomState(t).permutation(296)[:163]``, on one worker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from _harness import Thresholds
from _hpo_common import mlpf_table, options, show
from hpo.brackets import floor_log, hyperband_brackets
from hpo.loop import Scheduler
from hpo.predictors import BasePredictor, CurvePredictor, PredictionContext, make_predictor
from hpo.schedulers import Hyperband, SwiftHyperband
from hpo.searchers import Searcher
from hpo.simulation import CurveTable, TableSearcher, simulate
from hpo.simulation.datasets import clean_rows
from hpo.trial import Curve, SchedulerSummary

PUBLISHED_EPOCHS = (2923, 2896, 2910, 2905, 2878, 2920, 2891, 2982, 2993, 2965)
A, B, C = 442.538879, 442.267731, 442.997314
PUBLISHED_LOSSES = (A, B, B, A, B, A, B, B, C, B)
PUBLISHED_BRACKETS = {12: (149, 22), 35: (872, 84), 100: (3213, 163), 300: (15380, 608)}
PUBLISHED_QSVR_QPU = "2953 +- 61"
PUBLISHED_HUNDRED = (2913, 54)

Make = Callable[[Searcher], Scheduler]
_PLAIN: dict[tuple[int, int], SchedulerSummary] = {}


@dataclass(frozen=True)
class Row:
    """One method over many seeds."""

    name: str
    epochs: np.ndarray  # (n_seeds,)
    losses: np.ndarray  # (n_seeds,)
    same: float  # share of seeds with Hyperband's configuration
    rank: float  # mean rank of the chosen configuration among all tried
    skill: float  # median over the predictions of all seeds

    def cells(self, reference: float) -> tuple[str, ...]:
        """Return the cells of the printed table."""
        mean = self.epochs.mean()
        return (
            self.name,
            f"{mean:.0f} +- {self.epochs.std(ddof=1):.0f}",
            f"{100 * (mean / reference - 1):+.1f}%",
            f"{self.losses.mean():.3f} +- {self.losses.std(ddof=1):.3f}",
            f"{100 * self.same:.0f}%",
            f"{self.rank:.2f}",
            "-" if np.isnan(self.skill) else f"{self.skill:+.2f}",
        )


HEADER = ("method", "epochs", "saved", "final loss", "same as HB", "rank", "skill")


def run(
    name: str, make: Make, table: CurveTable, seeds: range, predictor: CurvePredictor | None = None
) -> tuple[Row, list[SchedulerSummary]]:
    """Run a method for every seed."""
    runs = [simulate(make, table, seed=t, predictor=predictor).summary for t in seeds]
    baseline = [plain(table, t) for t in seeds]
    skills = [e.skill for s in runs for e in s.events if e.skill is not None]
    same = np.mean(
        [s.best == b.best or _loss(s) == _loss(b) for s, b in zip(runs, baseline, strict=True)]
    )
    ranks = [_rank(s, table, t) for s, t in zip(runs, seeds, strict=True)]
    row = Row(
        name=name,
        epochs=np.array([s.epochs for s in runs]),
        losses=np.array([_loss(s) for s in runs]),
        same=float(same),
        rank=float(np.mean(ranks)),
        skill=float(np.median(skills)) if skills else np.nan,
    )
    return row, runs


def plain(table: CurveTable, seed: int) -> SchedulerSummary:
    """Return Hyperband's run, which every row is compared with."""
    key = (id(table), seed)
    if key not in _PLAIN:
        _PLAIN[key] = simulate(hyperband(table), table, seed=seed).summary
    return _PLAIN[key]


def _loss(summary: SchedulerSummary) -> float:
    return summary.best.last_loss if summary.best else np.inf


def _rank(summary: SchedulerSummary, table: CurveTable, seed: int) -> int:
    """Return the rank of the chosen configuration's final loss among all that were tried."""
    order = TableSearcher(table, seed).order[: len(summary.trials)]
    return 1 + int(np.sum(table.losses[list(order), -1] < _loss(summary)))


def hyperband(table: CurveTable) -> Make:
    return lambda searcher: Hyperband(searcher, max_resource=table.max_resource)


def swift(table: CurveTable) -> Make:
    return lambda s: SwiftHyperband.as_published(s, max_resource=table.max_resource)


class MeanPredictor(BasePredictor):
    """Predicts the mean of the training curves' final losses."""

    def _fit(self, curves: Sequence[Curve], values: np.ndarray, context: PredictionContext) -> None:
        self.mean_ = float(np.mean(values[:, -1]))

    def _predict(self, curves: Sequence[Curve], values: np.ndarray) -> np.ndarray:
        return np.full(len(curves), self.mean_)


class RandomPredictor(BasePredictor):
    """Predicts a final loss drawn from those of the training curves."""

    def _fit(self, curves: Sequence[Curve], values: np.ndarray, context: PredictionContext) -> None:
        self.targets_, self.seed_ = values[:, -1].copy(), context.seed

    def _predict(self, curves: Sequence[Curve], values: np.ndarray) -> np.ndarray:
        return np.random.default_rng(self.seed_).choice(self.targets_, len(curves))


def predictors(*, quick: bool) -> dict[str, CurvePredictor]:
    """Return the predictors of the table."""
    folds = 0 if quick else 5
    return {
        "Swift, NuSVR": make_predictor("nusvr", folds=folds),
        "Swift, last value": make_predictor("last-value", folds=folds),
        "Swift, power law": make_predictor("power-law", folds=folds),
        "Swift, mean": MeanPredictor(folds),
        "Swift, random": RandomPredictor(folds),
        "Swift, QSVR": make_predictor("qsvr", folds=folds),
    }


def check_brackets(thresholds: Thresholds) -> None:
    rows = []
    for resource, published in PUBLISHED_BRACKETS.items():
        brackets = hyperband_brackets(resource, 2)
        ours = sum(b.epochs for b in brackets), sum(b.n_trials for b in brackets)
        rows.append((resource, *ours, *published))
        if ours != published:
            thresholds.failures.append(f"brackets of R={resource}: {ours} instead of {published}")
    show(
        "Brackets, reduction_factor 2",
        ("R", "epochs", "trials", "published epochs", "published trials"),
        rows,
    )
    thresholds.hold("bracket totals of R = 12, 35, 100, 300 as published", not thresholds.failures)
    thresholds.hold("floor(log(243, 3)) is 5", floor_log(243, 3) == 5)


def check_published(table: CurveTable, thresholds: Thresholds) -> None:
    seeds = range(10)
    _, ours = run("Hyperband", hyperband(table), table, seeds)
    _, nusvr = run("Swift", swift(table), table, seeds, make_predictor("nusvr", folds=0))
    rows = [
        (t, h.epochs, f"{_loss(h):.6f}", s.epochs, p, s.epochs - p, f"{_loss(s):.6f}")
        for t, h, s, p in zip(seeds, ours, nusvr, PUBLISHED_EPOCHS, strict=True)
    ]
    show(
        "Seed by seed, R = 100, one worker, the reference's order",
        ("seed", "HB", "loss", "Swift NuSVR", "published", "difference", "loss"),
        rows,
    )
    equal_losses = sum(
        abs(_loss(h) - loss) < 1e-6 and abs(_loss(s) - loss) < 1e-6
        for h, s, loss in zip(ours, nusvr, PUBLISHED_LOSSES, strict=True)
    )
    equal = sum(s.epochs == p for s, p in zip(nusvr, PUBLISHED_EPOCHS, strict=True))
    mean = float(np.mean([s.epochs for s in nusvr]))
    thresholds.hold("Hyperband: 3213 epochs on 10 of 10", all(h.epochs == 3213 for h in ours))
    thresholds.hold(f"losses as published on {equal_losses} of 10 (10)", equal_losses == 10)
    thresholds.hold(f"Swift mean {mean:.1f} within 1% of 2926", abs(mean / 2926 - 1) <= 0.01)
    thresholds.hold(f"Swift epochs as published on {equal} of 10 (7)", equal >= 7)


def compare(title: str, table: CurveTable, n_seeds: int, *, quick: bool) -> list[Row]:
    """Print the table of all predictors, QSVR on ten seeds as published."""
    reference, _ = run("Hyperband", hyperband(table), table, range(n_seeds))
    rows = [reference]
    for name, predictor in predictors(quick=quick).items():
        count = min(n_seeds, 10) if "QSVR" in name else n_seeds
        label = f"{name} ({count} seeds)" if count != n_seeds else name
        rows.append(run(label, swift(table), table, range(count), predictor)[0])
    show(title, HEADER, [row.cells(reference.epochs.mean()) for row in rows])
    return rows


def main() -> None:
    args = options(__doc__)
    table = mlpf_table(args.table)
    thresholds = Thresholds()
    check_brackets(thresholds)
    check_published(table, thresholds)
    count = 20 if args.quick else 100
    title = f"Whole table, R = 100, seeds 0..{count - 1}"
    rows = compare(title, table, count, quick=args.quick)
    print(f"  published, seeds 0..9: NuSVR 2926 +- 40, QSVR on the QPU {PUBLISHED_QSVR_QPU}")
    nusvr = rows[1]
    mean, spread = PUBLISHED_HUNDRED
    error = 3 * spread / np.sqrt(count)
    thresholds.hold(
        f"NuSVR over {count} seeds: {nusvr.epochs.mean():.0f}, {mean} +- {spread} within three "
        f"standard errors ({error:.0f})",
        abs(nusvr.epochs.mean() - mean) <= error,
    )
    kept = clean_rows(table)
    clean = table.take(kept)
    # 163 configurations are more than the clean part has: a unit of two epochs needs 84.
    clean = CurveTable(clean.configs, clean.losses[:, 1::2])
    title = (
        f"Clean part: {len(kept)} of {len(table)} rows (no repeated hyperparameters, no restarts), "
        f"R = 50 units of two epochs, seeds 0..{count - 1}"
    )
    compare(title, clean, count, quick=args.quick)
    thresholds.finish(check=args.check)


if __name__ == "__main__":
    main()
