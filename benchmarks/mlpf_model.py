"""Swift-Hyperband against Hyperband on MLPF itself, trained on simulated events.

    python benchmarks/mlpf_model.py [--quick] [--check]

Both search the same configurations of the seven hyperparameters, seed by seed, and train for real.
Training is exact to the bit, so what one search has trained of a configuration the other looks up;
epochs are counted as if each had trained its own. Beside the support vector machine the table
shows keeping the last value, which costs nothing.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from _harness import Thresholds, arguments, print_table
from hpo.examples import mlpf, space_path
from hpo.run.tuner import Tuner
from hpo.schedulers import make_scheduler
from hpo.searchers import RandomSearcher
from hpo.space import SearchSpace
from hpo.trainers import Metrics
from hpo.trial import Config

METHODS: tuple[tuple[str, str, str | None], ...] = (
    ("Hyperband", "hyperband", None),
    ("Swift-Hyperband, NuSVR", "swift-hyperband", "nusvr"),
    ("Swift-Hyperband, last value", "swift-hyperband", "last-value"),
)


@dataclass(frozen=True)
class RememberingTrainer:
    """Trains each configuration once, whichever search asks.

    Attributes
    ----------
    directory : Path
        For checkpoints.
    data : str
        See `hpo.examples.mlpf.load_events`.
    """

    directory: Path
    data: str

    def train(self, config: Config, start: int, stop: int, checkpoint: Path) -> Metrics:  # noqa: ARG002
        """Train, or look up what was trained."""
        import torch

        torch.set_num_threads(1)
        full = {**config, "data": self.data}
        name = hashlib.sha256(json.dumps(full, sort_keys=True).encode()).hexdigest()[:16]
        return mlpf.trainer.train(full, start, stop, self.directory / name)


@dataclass(frozen=True)
class Found:
    """What a search found and spent."""

    loss: float
    epochs: int
    config: Config
    skills: tuple[float, ...]


def search(
    trainer: RememberingTrainer, method: tuple[str, str, str | None], seed: int, max_resource: int
) -> Found:
    """Run one search in this process, so that it repeats exactly."""
    _, name, predictor = method
    space = SearchSpace.from_toml(space_path("mlpf"))
    options = {"min_curves": 5, "train_ahead": False} if predictor else {}
    scheduler = make_scheduler(
        name, RandomSearcher(space, seed=seed), max_resource=max_resource, seed=seed, **options
    )
    results = Tuner(trainer, scheduler, predictor=predictor, executor="inline").run()
    best = results.best
    if best is None:
        message = f"seed {seed}: no trial of {name} ended with a finite loss"
        raise RuntimeError(message)
    skills = (event.skill for event in scheduler.summary().events)
    return Found(
        best.last_loss, results.epochs, best.config, tuple(s for s in skills if s is not None)
    )


def main() -> None:
    args = arguments(__doc__)
    thresholds = Thresholds()
    max_resource, data = (12, "simulated:32") if args.quick else (16, "simulated:64")
    seeds = range(3)
    trivial = mlpf.trivial_score(data)["loss"]
    print(f"MLPF on {data} events, at most {max_resource} epochs; trivial loss {trivial:.4f}")
    rows: list[list[str]] = []
    found: dict[str, list[Found]] = {name: [] for name, _, _ in METHODS}
    with tempfile.TemporaryDirectory() as directory:
        trainer = RememberingTrainer(Path(directory), data)
        for seed in seeds:
            for method in METHODS:
                result = search(trainer, method, seed, max_resource)
                found[method[0]].append(result)
                skill = f"{np.median(result.skills):+.2f}" if result.skills else "-"
                plain = found["Hyperband"][seed]
                saved = f"{100 * (1 - result.epochs / plain.epochs):.1f}%"
                cells = [str(result.epochs), saved, f"{result.loss:.4f}", skill]
                same = "yes" if result.config == plain.config else "no"
                rows.append([f"seed {seed}: {method[0]}", *cells, same])
    print_table(["search", "epochs", "saved", "best loss", "skill", "same configuration"], rows)
    hold(found, trivial, thresholds)
    thresholds.finish(check=args.check)


def hold(found: dict[str, list[Found]], trivial: float, thresholds: Thresholds) -> None:
    """Hold the thresholds: epochs saved on every seed, no worse best loss, better than trivial."""
    swift = found["Swift-Hyperband, NuSVR"]
    for seed, (ours, plain) in enumerate(zip(swift, found["Hyperband"], strict=True)):
        thresholds.hold(
            f"seed {seed}: fewer epochs ({ours.epochs} < {plain.epochs})",
            ours.epochs < plain.epochs,
        )
        thresholds.hold(
            f"seed {seed}: best loss no worse ({ours.loss:.4f} <= {plain.loss:.4f})",
            ours.loss <= plain.loss,
        )
        thresholds.at_most(
            f"seed {seed}: best loss against the trivial one", ours.loss / trivial, 0.9
        )


if __name__ == "__main__":
    main()
