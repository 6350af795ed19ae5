"""A run as plain values: everything that a journal's header needs to build the run again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from hpo.errors import JournalError, UsageError, usage_checked
from hpo.loop import Scheduler
from hpo.run.baseline import HyperbandBaseline
from hpo.searchers import LEARNING, SEARCHERS, Searcher, make_searcher
from hpo.space.search_space import SearchSpace

_SECRETS = ("token", "password", "secret", "api_key", "credential")


@dataclass(frozen=True)
class RunSpec:
    """Settings of a run that can be built from names and numbers.

    Attributes
    ----------
    trainer : str
        ``FILE.py:name`` or ``package.module:name``.
    space : Mapping
        Search space as `SearchSpace.to_dict` gives it.
    max_resource : int
        Most resource units (epochs) that one trial is trained.
    scheduler : str
        Name of the scheduler; ``"swift"`` is the recommended mode of Swift-Hyperband.
    reduction_factor : int
        One of how many trials goes on.
    searcher : str
        ``"curves"`` (new configurations from forecasts), ``"tpe"``, ``"gp"`` (from Optuna's
        samplers), ``"random"``, ``"grid"``, or ``"auto"``: curves where the scheduler forecasts,
        else random.
    seed : int
        Seed of all random choices.
    searcher_options, scheduler_options, predictor_options : Mapping
        Further options by name.
    predictor : str
        Name of the curve predictor; ``"auto"`` is ``"mixed"`` if the scheduler forecasts, else
        ``"nusvr"``.
    n_workers : int or None
        Segments that run at the same time; None: as many as the engine has.
    executor : str
        Name of the engine (`hpo.run.executors.EXECUTORS`).
    executor_options : Mapping
        What the engine is told, by name.
    max_retries : int
        Further attempts of a job that failed.
    timeout : float or None
        Seconds that one attempt may take.
    predict_timeout : float or None
        Seconds that a prediction may take.
    checkpoint_dir : str
        Where checkpoints are kept; empty for the default place beside the journal.
    fingerprint : str
        SHA-256 of the trainer's file when the run began; empty for a module.
    """

    trainer: str
    space: Mapping[str, Any]
    max_resource: int
    scheduler: str = "swift"
    reduction_factor: int = 2
    searcher: str = "auto"
    searcher_options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    scheduler_options: Mapping[str, Any] = field(default_factory=dict)
    predictor: str = "auto"
    predictor_options: Mapping[str, Any] = field(default_factory=dict)
    n_workers: int | None = 1
    executor: str = "process"
    executor_options: Mapping[str, Any] = field(default_factory=dict)
    max_retries: int = 1
    timeout: float | None = None
    predict_timeout: float | None = None
    checkpoint_dir: str = ""
    fingerprint: str = ""

    def __post_init__(self) -> None:
        """Refuse secrets, since all settings are written to the journal."""
        _refuse_secrets(
            {
                "searcher": self.searcher_options,
                "scheduler": self.scheduler_options,
                "predictor": self.predictor_options,
                "executor": self.executor_options,
            }
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild the specification that `to_json` wrote.

        Parameters
        ----------
        data : Mapping
            As `to_json` returns it.

        Raises
        ------
        JournalError
            If a field is missing or unknown.
        """
        try:
            return cls(**data)
        except TypeError as error:
            raise JournalError(
                f"the journal's header does not describe a run of this hpo version: {error}"
            ) from None

    def build_scheduler(self) -> Scheduler:
        """Build the scheduler in the state in which the run began.

        Raises
        ------
        UsageError
            If a name or a setting is refused; the message is that of the part which refused it.
        """
        from hpo.schedulers import make_scheduler

        scheduler: Scheduler = usage_checked(
            make_scheduler,
            self.scheduler,
            self.build_searcher(),
            max_resource=self.max_resource,
            reduction_factor=self.reduction_factor,
            seed=self.seed,
            **self.scheduler_options,
        )
        return scheduler

    def build_searcher(self) -> Searcher:
        """Build what proposes configurations.

        Raises
        ------
        UsageError
            If space or searcher is refused.
        """
        space = usage_checked(SearchSpace.from_dict, self.space)
        name = self.searcher
        if name == "auto":
            name = "curves" if self._forecasts else "random"
        if name not in SEARCHERS:
            raise UsageError(
                f"searcher must be auto or one of {', '.join(SEARCHERS)}; got {name!r}"
            )
        if name in LEARNING:
            self._check_learns()
        options = self.searcher_options
        searcher: Searcher = usage_checked(make_searcher, name, space, self.seed, **options)
        return searcher

    @property
    def _forecasts(self) -> bool:
        from hpo.schedulers import FORECASTING

        return self.scheduler in FORECASTING

    def _check_learns(self) -> None:
        from hpo.schedulers import FORECASTING

        if not self._forecasts:
            raise UsageError(
                f"searcher {self.searcher!r} proposes with forecasts, and scheduler "
                f"{self.scheduler!r} asks for none; use one of {', '.join(FORECASTING)}, or "
                "searcher='random'"
            )

    def build_predictor(self) -> Any:
        """Build the curve predictor."""
        from hpo.predictors import as_forecaster, make_predictor

        name = self.predictor
        if name == "auto":
            name = "mixed" if self._forecasts else "nusvr"
        predictor = usage_checked(make_predictor, name, **self.predictor_options)
        return usage_checked(as_forecaster, predictor) if self._forecasts else predictor

    def plan(self) -> HyperbandBaseline | None:
        """Return plain Hyperband with these settings; None if the run is no kind of Hyperband."""
        if not self.scheduler.endswith("hyperband") and not self._forecasts:
            return None
        iterations = self.scheduler_options.get("iterations", 1)
        rounds = not self._forecasts
        return HyperbandBaseline(self.max_resource, self.reduction_factor, iterations, rounds)


def _refuse_secrets(options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        if any(part in name.lower() for part in _SECRETS):
            raise UsageError(
                f"option {name!r} looks like a secret, and the journal keeps all options; put it "
                "into the environment or the service's own configuration file"
            )
        if isinstance(value, Mapping):
            _refuse_secrets(value)
