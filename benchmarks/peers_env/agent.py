"""One peer behind a line protocol: runs in the peer's own environment, needs nothing of `hpo`.

    python agent.py NAME            # requests as JSON lines on stdin, one answer each on stdout
    python agent.py NAME --version  # prints the version of the peer's package

Requests:

- ``{"op": "start", "n_features": p, "max_resource": R, "epochs": n, "seed": s}`` begins a search in
  the unit cube of p dimensions, of at most about n epochs. Answer: ``{}``.
- ``{"op": "ask"}``. Answer: ``{"trial": t, "point": [...], "stop": u}``, to train trial t until u
  units are complete, or ``{"wait": true}`` where nothing is to be done before the next report, or
  ``{"done": true}``.
- ``{"op": "tell", "trial": t, "unit": u, "loss": x, "point": [...]}`` reports the loss after u
  units and the point that was evaluated. Answer: ``{"stop": v}`` to go on with the same trial until
  v units, or ``{}`` where the worker is free.

A trial whose number comes again is resumed, so that only its new epochs are trained. Every peer
runs with its own defaults, its halving rate (3) included, from 1 unit to R.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import random
import sys
import tempfile
import warnings
from dataclasses import dataclass
from typing import Any, Protocol

Answer = dict[str, Any]


@dataclass(frozen=True)
class Search:
    """What a search is begun with."""

    n_features: int
    max_resource: int
    epochs: int
    seed: int


@dataclass(frozen=True)
class Report:
    """Loss of a trial after so many units, and the point that was evaluated for it."""

    trial: int
    unit: int
    loss: float
    point: list[float]


class Peer(Protocol):
    """A search that is asked and told."""

    def ask(self) -> Answer:
        """Return what to train next."""
        ...

    def tell(self, report: Report) -> Answer:
        """Receive a loss, and say whether to go on with the trial."""
        ...


class Smac:
    """SMAC3's multi-fidelity facade: Hyperband with a random forest.

    It receives the loss at the point that it suggested: its intensifier knows no other.
    """

    def __init__(self, search: Search) -> None:
        from ConfigSpace import ConfigurationSpace, Float
        from smac import MultiFidelityFacade, Scenario

        space = ConfigurationSpace(seed=search.seed)
        space.add([Float(f"x{i}", (0.0, 1.0)) for i in range(search.n_features)])
        self._names = [f"x{i}" for i in range(search.n_features)]
        self._folder = tempfile.TemporaryDirectory()
        scenario = Scenario(
            space,
            output_directory=self._folder.name,
            deterministic=True,
            min_budget=1,
            max_budget=search.max_resource,
            n_trials=_evaluations(search.max_resource, search.epochs),
            seed=search.seed,
        )
        self._search = MultiFidelityFacade(
            scenario, _never_called, overwrite=True, logging_level=False
        )
        self._trials: dict[Any, int] = {}
        self._running: dict[tuple[int, int], Any] = {}

    def ask(self) -> Answer:
        """Return the next trial of the facade."""
        try:
            info = self._search.ask()
        except StopIteration:
            return {"done": True}
        trial = self._trials.setdefault(info.config, len(self._trials))
        stop = max(round(info.budget), 1)
        self._running[trial, stop] = info
        return {"trial": trial, "stop": stop, "point": [info.config[n] for n in self._names]}

    def tell(self, report: Report) -> Answer:
        """Report the cost of a trial."""
        from smac.runhistory import TrialValue

        info = self._running.pop((report.trial, report.unit))
        self._search.tell(info, TrialValue(cost=report.loss), save=False)
        return {}


def _never_called(config: Any, seed: int, budget: float) -> float:
    """Stand for the function to train, which SMAC wants to see, its parameters included."""
    raise NotImplementedError(f"asked and told only, got {config}, {seed}, {budget}")


def _evaluations(max_resource: int, epochs: int) -> int:
    """Return how many evaluations Hyperband of rate 3 makes with so many epochs, resuming trials.

    SMAC wants the number beforehand: a quarter of it, at most, is the random initial design.
    """
    budgets = [max_resource]
    while budgets[-1] >= 3:
        budgets.append(budgets[-1] / 3)
    steps = len(budgets)
    n_evaluations, n_epochs = 0, 0.0
    for last in range(steps):
        n_trials = -(-(3**last) * steps // (last + 1))
        before = 0.0
        for stage in range(last + 1):
            n_kept, budget = n_trials // 3**stage, budgets[last - stage]
            n_evaluations += n_kept
            n_epochs += n_kept * (budget - before)
            before = budget
    return max(round(n_evaluations * epochs / n_epochs), 8)


class Dehb:
    """DEHB by its ask and tell; its population holds the point that was evaluated."""

    def __init__(self, search: Search) -> None:
        from dehb import DEHB

        self._folder = tempfile.TemporaryDirectory()
        self._search = DEHB(
            f=None,
            cs=None,
            dimensions=search.n_features,
            min_fidelity=1,
            max_fidelity=search.max_resource,
            n_workers=1,  # more would start Dask, of which ask and tell make no use
            save_freq="end",
            seed=search.seed,
            output_path=self._folder.name,
            log_level="ERROR",
        )
        self._running: dict[tuple[int, int], list[Any]] = {}

    def ask(self) -> Answer:
        """Return the next job."""
        job = self._search.ask()
        trial, stop = int(job["config_id"]), max(round(float(job["fidelity"])), 1)
        self._running.setdefault((trial, stop), []).append(job)
        return {"trial": trial, "stop": stop, "point": [float(x) for x in job["config"]]}

    def tell(self, report: Report) -> Answer:
        """Report the fitness of a job."""
        import numpy as np

        job = self._running[report.trial, report.unit].pop(0)
        job = {**job, "config": np.array(report.point)}
        self._search.tell(job, {"fitness": report.loss, "cost": float(report.unit)})
        return {}


class SyneTune:
    """A scheduler of Syne Tune, which decides after every epoch whether a trial goes on."""

    def __init__(self, kind: str, search: Search) -> None:
        from syne_tune.config_space import uniform
        from syne_tune.optimizer import baselines

        space = {f"x{i}": uniform(0.0, 1.0) for i in range(search.n_features)}
        self._search = getattr(baselines, kind)(
            space,
            metric="loss",
            time_attr="epoch",
            max_t=search.max_resource,
            random_seed=search.seed,
        )
        self._max_resource = search.max_resource
        self._trials: list[Any] = []

    def ask(self) -> Answer:
        """Return a new trial."""
        import datetime as dt

        from syne_tune.backend.trial_status import Trial

        suggestion = self._search.suggest()
        if suggestion is None:
            return {"done": True}
        trial = len(self._trials)
        config = dict(suggestion.config)
        now = dt.datetime.now(tz=dt.UTC)
        self._trials.append(Trial(trial_id=trial, config=config, creation_time=now))
        self._search.on_trial_add(self._trials[-1])
        return {"trial": trial, "stop": 1, "point": [float(x) for x in config.values()]}

    def tell(self, report: Report) -> Answer:
        """Report an epoch."""
        trial = self._trials[report.trial]
        trial.config.update(zip(trial.config, report.point, strict=True))
        result = {"loss": report.loss, "epoch": report.unit}
        decision = self._search.on_trial_result(trial, result)
        goes_on = decision == "CONTINUE" and report.unit < self._max_resource
        return {"stop": report.unit + 1} if goes_on else {}


class Optuna:
    """Optuna's TPE with its HyperbandPruner, which decides after every epoch.

    TPE receives the loss at the point that it suggested: the pruner's brackets go by the numbers of
    the trials, so that no trial can be put in place of another.
    """

    def __init__(self, search: Search) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(
            sampler=optuna.samplers.TPESampler(seed=search.seed),
            pruner=optuna.pruners.HyperbandPruner(min_resource=1, max_resource=search.max_resource),
            # The pruner takes brackets by the study's name, which is random otherwise.
            study_name=f"league-{search.seed}",
        )
        self._space = {
            f"x{i}": optuna.distributions.FloatDistribution(0.0, 1.0)
            for i in range(search.n_features)
        }
        self._max_resource = search.max_resource
        self._trials: dict[int, Any] = {}

    def ask(self) -> Answer:
        """Return a new trial."""
        trial = self._study.ask(self._space)
        self._trials[trial.number] = trial
        return {"trial": trial.number, "stop": 1, "point": [trial.params[n] for n in self._space]}

    def tell(self, report: Report) -> Answer:
        """Report an epoch."""
        import optuna

        trial = self._trials[report.trial]
        trial.report(report.loss, report.unit)
        if report.unit == self._max_resource:
            self._study.tell(trial, report.loss)
            return {}
        if trial.should_prune():
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return {}
        return {"stop": report.unit + 1}


PACKAGES = {
    "smac": "smac",
    "dehb": "dehb",
    "syne-tune-asha": "syne-tune",
    "syne-tune-bohb": "syne-tune",
    "optuna": "optuna",
}


def make(name: str, search: Search) -> Peer:
    """Begin a search by the peer of this name."""
    if name == "smac":
        return Smac(search)
    if name == "dehb":
        return Dehb(search)
    if name == "optuna":
        return Optuna(search)
    return SyneTune(name.rpartition("-")[2].upper(), search)


def main() -> None:
    """Serve requests until stdin ends."""
    name = sys.argv[1]
    if "--version" in sys.argv[2:]:
        print(importlib.metadata.version(PACKAGES[name]))
        return
    # What the peers print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    peer: Peer | None = None
    for line in sys.stdin:
        request = json.loads(line)
        match request.pop("op"):
            case "start":
                random.seed(request["seed"])
                _seed_numpy(request["seed"])
                peer, answer = make(name, Search(**request)), {}
            case "ask" if peer is not None:
                answer = peer.ask()
            case "tell" if peer is not None:
                answer = peer.tell(Report(**request))
            case other:
                raise ValueError(f"op must be start, then ask or tell, got {other!r}")
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _seed_numpy(seed: int) -> None:
    import numpy as np

    np.random.seed(seed)  # noqa: NPY002 - some peers draw from the global generator


if __name__ == "__main__":
    main()
