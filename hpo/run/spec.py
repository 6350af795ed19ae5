"""Settings of a run as plain values, which its journal stores so that it can be resumed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, get_type_hints

from hpo.errors import JournalError, MissingPackageError, UsageError, usage_checked
from hpo.loop import Scheduler
from hpo.predictors import as_forecaster, make_predictor
from hpo.run.baseline import HyperbandBaseline
from hpo.run.checks import is_integer, is_number, shown
from hpo.run.replay import EXTENDED
from hpo.schedulers import FORECASTING, make_scheduler
from hpo.schedulers.registry import (
    asks_for_forecasts,
    asks_for_predictor,
    check_scheduler_options,
)
from hpo.searchers import REMOVED, Searcher, make_searcher, searcher_options
from hpo.searchers.registry import CATALOGUE, check_searcher_options, learns_from_forecasts
from hpo.space.search_space import SearchSpace
from hpo.trainers import NamedTrainer, ScriptTrainer

_SECRETS = ("token", "password", "secret", "api_key", "credential")


@dataclass(frozen=True)
class RunSpec:
    """Settings of a run as names and numbers.

    The journal of a run stores them, so that ``hpo resume`` needs no further settings. Each field
    corresponds to an option of ``hpo run``.

    Attributes
    ----------
    trainer : str
        ``FILE.py:name`` or ``package.module:name``; empty for a script.
    space : Mapping
        Search space in the form of `SearchSpace.to_dict`.
    max_resource : int
        Maximum resource per trial, R (epochs for a network).
    scheduler : str, default="swift-asha"
        Name of the scheduler (``hpo list schedulers``).
    reduction_factor : int, default=2
        Halving rate, eta: the best 1/eta of the trials survive a rung.
    searcher : str, default="auto"
        ``"curves"`` (new configurations from forecasts), ``"tpe"`` (Optuna's sampler),
        ``"random"``, ``"grid"``, or ``"auto"``: ``"curves"`` for a scheduler that
        forecasts, else ``"random"``.
    allow_duplicates : bool, default=False
        Whether the searcher may propose a configuration that was tried, for a trainer with noise.
    seed : int, default=0
        Seed of the random number generators.
    searcher_options, scheduler_options, predictor_options : Mapping, default={}
        Further options by name.
    predictor : str, default="auto"
        Name of the curve predictor; ``"auto"`` is ``"mixed"`` if the scheduler forecasts, else
        ``"nusvr"``.
    n_workers : int or None, default=1
        Number of segments that run at the same time; None takes all workers of the executor.
    executor : str, default="process"
        Name of the executor (`hpo.run.executors.EXECUTORS`).
    executor_options : Mapping, default={}
        Options of the executor by name.
    max_retries : int, default=1
        Further attempts of a job that failed.
    timeout : float or None, default=None
        Time limit of one attempt, in seconds.
    predict_timeout : float or None, default=None
        Time limit of a prediction, in seconds.
    max_lost : int or None, default=None
        Number of segments in a row that may be lost with their workers (see `hpo.Tuner`).
    checkpoint_dir : str, default=""
        Directory of the checkpoints; empty for the default beside the journal.
    fingerprint : str, default=""
        SHA-256 of the trainer's file at the start of the run; empty for a module.
    script : Mapping, default={}
        Parameters of a `hpo.ScriptTrainer` by name; empty for another trainer.
    objective : str or None, default=None
        Name of the metric to optimise (see `hpo.Tuner`).
    mode : {"min", "max"}, default="min"
        Whether lower or higher is better.
    keep_checkpoints : bool, default=False
        Whether to keep the checkpoints of all trials (see `hpo.Tuner`).

    See Also
    --------
    Tuner.from_spec : Builds a tuner from a specification.

    Examples
    --------
    >>> space = {"lr": {"type": "float", "low": 0.001, "high": 1.0, "log": True}}
    >>> spec = RunSpec("train.py:train", space, max_resource=27, scheduler="hyperband")
    >>> spec.searcher, spec.n_workers
    ('auto', 1)
    """

    trainer: str
    space: Mapping[str, Any]
    max_resource: int
    scheduler: str = "swift-asha"
    reduction_factor: int = 2
    searcher: str = "auto"
    searcher_options: Mapping[str, Any] = field(default_factory=dict)
    allow_duplicates: bool = False
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
    max_lost: int | None = None
    checkpoint_dir: str = ""
    fingerprint: str = ""
    script: Mapping[str, Any] = field(default_factory=dict)
    objective: str | None = None
    mode: str = "min"
    keep_checkpoints: bool = False

    def __post_init__(self) -> None:
        """Refuse secrets, since all settings are written to the journal."""
        for options in (
            self.searcher_options,
            self.scheduler_options,
            self.predictor_options,
            self.executor_options,
        ):
            _refuse_secrets(options)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any], journal: Path | None = None) -> Self:
        """Rebuild the specification that `to_json` wrote.

        Parameters
        ----------
        data : Mapping
            As `to_json` returns it.
        journal : Path, default=None
            Journal that holds it, for messages.

        Raises
        ------
        JournalError
            If a field is missing or unknown, or its value is of another type.
        """
        if "allow_duplicates" not in data:
            # An older version, in which all searchers but the grid could repeat themselves.
            data = {**data, "allow_duplicates": data.get("searcher") != "grid"}
        # An older version deleted none.
        data = {"keep_checkpoints": True, **data}
        problem = ""
        for name, hint in get_type_hints(cls).items():
            if name in data and not _fits(data[name], hint):
                problem = f"{name} has the value {shown(data[name])}"
        try:
            if not problem:
                return cls(**data)
        except TypeError as error:
            problem = str(error)
        where = "the journal's header" if journal is None else f"line 1 of journal {journal}"
        raise JournalError(f"{where} does not describe a run of this hpo version: {problem}")

    def extended(self, notes: Iterable[Mapping[str, Any]]) -> RunSpec:
        """Return the specification with the settings by which the run was extended.

        Parameters
        ----------
        notes : iterable of Mapping
            Notes of its journal.
        """
        return dataclasses.replace(self, **extended_settings(vars(self), notes))

    def build_trainer(self) -> NamedTrainer | ScriptTrainer:
        """Build the trainer; one that is named is not imported.

        Raises
        ------
        UsageError
            If it is a script whose command is invalid or does not fit the space, or if both a
            trainer and a script are given, or none.
        """
        if bool(self.trainer) == bool(self.script):
            got = f"{self.trainer!r} and {dict(self.script)!r}"
            raise UsageError(f"a run must have either a trainer or a script, got {got}")
        if not self.script:
            return NamedTrainer(self.trainer).resolved()
        script: ScriptTrainer = usage_checked(lambda: ScriptTrainer(**self.script))
        script.check_space(usage_checked(SearchSpace.from_dict, self.space))
        return script

    def resolved(
        self, checkpoint_dir: Path | None = None
    ) -> tuple[NamedTrainer | ScriptTrainer, Self]:
        """Return the trainer, and the specification with absolute paths and its fingerprint.

        Parameters
        ----------
        checkpoint_dir : Path or None, default=None
            Directory of the checkpoints, if it is another one.

        Raises
        ------
        UsageError
            As `build_trainer`.
        """
        trainer = self.build_trainer()
        place = checkpoint_dir or self.checkpoint_dir
        return trainer, dataclasses.replace(
            self,
            trainer=trainer.name if isinstance(trainer, NamedTrainer) else "",
            script=trainer.to_dict() if isinstance(trainer, ScriptTrainer) else {},
            fingerprint=trainer.fingerprint(),
            checkpoint_dir=str(Path(place).resolve()) if place else "",
        )

    def build_scheduler(self) -> Scheduler:
        """Build the scheduler in the state in which the run began.

        Raises
        ------
        UsageError
            If a name or a setting is invalid.
        """
        # Before the call: an option may have the name of one of its parameters.
        usage_checked(check_scheduler_options, self.scheduler, self.scheduler_options)
        searcher = self.build_searcher()
        scheduler: Scheduler = usage_checked(
            lambda: make_scheduler(
                self.scheduler,
                searcher,
                max_resource=self.max_resource,
                reduction_factor=self.reduction_factor,
                seed=self.seed,
                **self.scheduler_options,
            )
        )
        return scheduler

    def scheduler_of(self, journal: Path) -> Scheduler:
        """Build the scheduler of a run whose journal holds this specification.

        Raises
        ------
        JournalError
            If a name or a setting is invalid.
        """
        try:
            return self.build_scheduler()
        except MissingPackageError:
            raise
        except UsageError as error:
            raise JournalError(f"line 1 of journal {journal} describes no run: {error}") from error

    def build_searcher(self) -> Searcher:
        """Build the searcher, which proposes configurations.

        Raises
        ------
        UsageError
            If the space or the searcher is invalid.
        """
        space = usage_checked(SearchSpace.from_dict, self.space)
        name = self.searcher
        if name == "auto":
            name = "curves" if self._forecasts else "random"
        if name not in REMOVED and name not in CATALOGUE.names():
            raise UsageError(
                f"searcher must be auto or one of {', '.join(CATALOGUE.names())}; got {name!r} "
                "(hpo list describes them)"
            )
        if usage_checked(learns_from_forecasts, name) and not self._forecasts:
            raise UsageError(
                f"searcher {name!r} proposes with forecasts, and scheduler {self.scheduler!r} "
                f"asks for none; use one of {', '.join(FORECASTING)}, or searcher='random'"
            )
        usage_checked(check_searcher_options, name, self.searcher_options)
        options = dict(self.searcher_options)
        if self.allow_duplicates or "allow_duplicates" in searcher_options(name):
            options = {"allow_duplicates": self.allow_duplicates, **options}
        searcher: Searcher = usage_checked(lambda: make_searcher(name, space, self.seed, **options))
        return searcher

    @property
    def _forecasts(self) -> bool:
        return bool(usage_checked(asks_for_forecasts, self.scheduler))

    def build_predictor(self) -> Any:
        """Build the predictor of learning curves; None if none was asked for and none is needed."""
        name = self.predictor
        if name == "auto":
            if not self.predictor_options and not asks_for_predictor(self.scheduler):
                return None  # it would import scikit-learn
            name = "mixed" if self._forecasts else "nusvr"
        predictor = usage_checked(lambda: make_predictor(name, **self.predictor_options))
        return usage_checked(as_forecaster, predictor) if self._forecasts else predictor

    def baseline(self) -> HyperbandBaseline | None:
        """Return plain Hyperband with these settings; None if the run is no form of Hyperband."""
        if not self.scheduler.endswith("hyperband") and not self._forecasts:
            return None
        iterations = self.scheduler_options.get("iterations", 1)
        rounds = not self._forecasts
        # One that forecasts is compared with Hyperband from one unit on, as its budget is.
        least = self.scheduler_options.get("min_resource", 1) if rounds else 1
        return HyperbandBaseline(
            self.max_resource, self.reduction_factor, iterations, rounds, least
        )


def extended_settings(
    spec: Mapping[str, Any], notes: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the plain values of a specification, with those by which its run was extended.

    Parameters
    ----------
    spec : Mapping
        Empty for a run from Python objects.
    notes : iterable of Mapping
        Notes of its journal.
    """
    settings = dict(spec)
    for note in notes:
        if spec and note.get("what") == EXTENDED:
            options = dict(note["settings"])
            settings["max_resource"] = options.pop("max_resource", settings.get("max_resource"))
            settings["scheduler_options"] = {**settings.get("scheduler_options", {}), **options}
    return settings


def _fits(value: object, hint: Any) -> bool:
    """Return whether a plain value is of the type of a field."""
    if hint in (int | None, float | None, str | None) and value is None:
        return True
    if hint == str | None:
        return isinstance(value, str)
    if hint in (int, int | None):
        return is_integer(value)
    if hint == float | None:
        return is_number(value)
    if hint == Mapping[str, Any]:
        return isinstance(value, Mapping)
    return type(value) is hint


def _refuse_secrets(options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        if any(part in name.lower() for part in _SECRETS):
            raise UsageError(
                f"option {name!r} looks like a secret, and the journal keeps all options; put it "
                "into the environment or the service's own configuration file"
            )
        if isinstance(value, Mapping):
            _refuse_secrets(value)
