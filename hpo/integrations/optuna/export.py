"""Export of a run to a study in an Optuna storage, for optuna-dashboard and Optuna's plots.

The export can be repeated during a run: trials of the study are updated, none is written twice. In
the study a trial that is not over is RUNNING, a stopped one PRUNED, a completed one COMPLETE, and a
failed one FAIL. Values have the trainer's sign, and the study the direction of the run's objective.
Further metrics after a trial's last unit are its user attributes ``metric_NAME``.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import BaseStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo.errors import UsageError
from hpo.loop import Scheduler
from hpo.run.journal import JournalContent, read_journal
from hpo.run.results import Results
from hpo.run.spec import RunSpec
from hpo.run.trial_results import TrialResult
from hpo.searchers.optuna import search_distributions, searched_value
from hpo.space.domains import Categorical, Constant, Scipy
from hpo.space.search_space import SearchSpace
from hpo.text import visible
from hpo.trainers.objective import Objective
from hpo.trial import TrialStatus

_RUN = "hpo:run"
_TRIAL = "hpo:trial"
_MAX_MESSAGE = 200
_STATES = {
    TrialStatus.RUNNING: TrialState.RUNNING,
    TrialStatus.WAITING: TrialState.RUNNING,
    TrialStatus.STOPPED: TrialState.PRUNED,
    TrialStatus.COMPLETED: TrialState.COMPLETE,
    TrialStatus.FAILED: TrialState.FAIL,
}


@dataclass(frozen=True)
class Exported:
    """Outcome of an export.

    Attributes
    ----------
    study : str
        Name of the study.
    added, updated, unchanged : int
        Number of trials.

    Examples
    --------
    >>> from hpo.integrations.optuna import Exported
    >>> Exported("digits", added=17, updated=0, unchanged=0).added
    17
    """

    study: str
    added: int
    updated: int
    unchanged: int


def export_journal(
    journal: Path,
    storage: str | Path | BaseStorage,
    *,
    study_name: str | None = None,
    scheduler: Scheduler | None = None,
    space: SearchSpace | None = None,
) -> Exported:
    """Write a run, finished or not, to an Optuna storage; may be repeated.

    Parameters
    ----------
    journal : Path
        Journal of the run, which is only read.
    storage : str, Path or BaseStorage
        ``"sqlite:///runs.db"`` or another URL of a database; a path, for Optuna's journal file; or
        a storage object.
    study_name : str, default=None
        Default: the journal's name without its ending.
    scheduler, space : default=None
        For a run that was started from Python objects: its search space and, while it runs or if
        it was killed, a scheduler in the state in which it began, without which trials between two
        segments count as running.

    Returns
    -------
    Exported

    Raises
    ------
    JournalError
        If the journal cannot be used or does not fit the scheduler.
    UsageError
        If the study belongs to another run, the space is needed and not given, or the storage
        cannot be used: it is locked, damaged, or not to be reached.
    """
    journal = Path(journal)
    content = read_journal(journal)
    results = Results.from_journal(journal, scheduler)
    space = _space(content) if space is None else space
    name = visible(study_name or journal.stem)
    with _storage_errors(storage):
        study = _study(_storage(storage), name, content.header.run_id, results.objective)
        exporter = _Exporter(study, space, _times(content), finished=results.finished)
        there = {t.user_attrs[_TRIAL]: t for t in study.get_trials() if _TRIAL in t.user_attrs}
        outcomes = [exporter.write(trial, there.get(trial.trial_id)) for trial in results.trials]
    counts = {kind: outcomes.count(kind) for kind in ("added", "updated", "unchanged")}
    return Exported(study.study_name, **counts)


@contextlib.contextmanager
def _storage_errors(storage: str | Path | BaseStorage) -> Iterator[None]:
    """Say what a database or its driver refused; without passwords, which addresses may hold."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 - each driver of a database has errors of its own
        cause = error if error.__cause__ is None else error.__cause__
        why = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
        lines = why.splitlines() or [""]
        if isinstance(storage, BaseStorage):
            where = type(storage).__name__
        else:
            where = f"storage {_without_password(str(storage))!r}"
        raise UsageError(
            f"cannot export to {where}: {type(cause).__name__}: "
            f"{_without_password(lines[0])[:_MAX_MESSAGE]}; see that it can be written, that no "
            "other program has locked it, and export again"
        ) from None


def _without_password(text: str) -> str:
    text = re.sub(r"(://[^/\s:@]*):[^/\s]*@", r"\1:***@", text)
    return re.sub(
        r"((?:password|passwd|token|secret)=)[^&\s]*", r"\1***", text, flags=re.IGNORECASE
    )


def _storage(storage: str | Path | BaseStorage) -> BaseStorage:
    if isinstance(storage, BaseStorage):
        return storage
    if visible(storage) != str(storage):
        raise UsageError(
            f"storage {str(storage)!r} must be a path or an address without control characters; "
            "name another"
        )
    if isinstance(storage, str) and "://" in storage:
        return optuna.storages.RDBStorage(storage)
    _check_file(Path(storage))
    return optuna.storages.JournalStorage(JournalFileBackend(str(storage)))


def _check_file(path: Path) -> None:
    """Check that a file, to which Optuna would append, is one of Optuna's."""
    if path.is_dir() or not path.name:
        raise UsageError(f"storage {str(path)!r} must be a file or an address, got a directory")
    if not path.exists():
        return
    with path.open("rb") as file:
        line = file.readline(10_000)
    if line and not line.startswith(b'{"op_code"'):
        raise UsageError(
            f"storage {str(path)!r} must be a new file or a journal of Optuna, which this file is "
            "not; nothing was changed, name another"
        )


def _study(storage: BaseStorage, name: str, run_id: str, objective: Objective) -> Study:
    """Open the study of a run, or create it.

    Raises
    ------
    UsageError
        If there is a study of this name that holds something else.
    """
    direction = StudyDirection.MINIMIZE if objective.mode == "min" else StudyDirection.MAXIMIZE
    study = optuna.create_study(
        storage=storage, study_name=name, load_if_exists=True, direction=direction
    )
    owner = study.user_attrs.get(_RUN)
    if owner is None and not study.get_trials(deepcopy=False):
        if study.direction != direction:
            raise UsageError(
                f"study {name!r} of the storage has another direction than the run, whose "
                f"objective is {objective.mode}imised; give another study_name"
            )
        study.set_user_attr(_RUN, run_id)
    elif owner != run_id or study.direction != direction:
        what = "another run" if owner else "trials that are not of this program"
        raise UsageError(f"study {name!r} of the storage holds {what}; give another study_name")
    return study


def _space(content: JournalContent) -> SearchSpace:
    if not content.header.spec:
        raise UsageError(
            f"journal {content.path} was started from Python objects and does not hold the search "
            "space; give it: hpo.integrations.optuna.export_journal(journal, storage, space=space)"
        )
    return SearchSpace.from_dict(RunSpec.from_json(content.header.spec, content.path).space)


@dataclass(frozen=True)
class _Times:
    """Times of the first and the last entry of a trial, in seconds since the epoch."""

    first: float
    last: float


def _times(content: JournalContent) -> dict[int, _Times]:
    times: dict[int, _Times] = {}
    for entry in content.entries:
        trial = entry.data.get("trial_id")
        if isinstance(trial, int):
            first = times[trial].first if trial in times else entry.time
            times[trial] = _Times(first, entry.time)
    return times


class _Exporter:
    """Writes the trials of one run.

    Parameters
    ----------
    study : optuna.study.Study
        Study to write to.
    space : SearchSpace
        Search space of the run.
    times : Mapping of int to _Times
        Times of each trial.
    finished : bool
        Whether the run is over, so that waiting trials are never trained again.
    """

    def __init__(
        self, study: Study, space: SearchSpace, times: Mapping[int, _Times], *, finished: bool
    ) -> None:
        self._study = study
        self._space = space
        self._times = times
        self._finished = finished
        self._searched = search_distributions(space)

    def write(self, trial: TrialResult, there: FrozenTrial | None) -> str:
        """Add or update a trial; return ``"added"``, ``"updated"`` or ``"unchanged"``."""
        wanted = self._frozen(trial)
        if there is None:
            self._study.add_trial(wanted)
            return "added"
        if there.state.is_finished():
            return "unchanged"
        return "updated" if self._update(there, wanted) else "unchanged"

    def _update(self, there: FrozenTrial, wanted: FrozenTrial) -> bool:
        """Update a running trial; return whether anything changed."""
        storage, number = self._study._storage, there._trial_id  # noqa: SLF001 - no public way
        new = [s for s in wanted.intermediate_values if s not in there.intermediate_values]
        for step in sorted(new):
            storage.set_trial_intermediate_value(number, step, wanted.intermediate_values[step])
        for name, value in wanted.user_attrs.items():
            if there.user_attrs.get(name) != value:
                storage.set_trial_user_attr(number, name, value)
        if wanted.state.is_finished():
            storage.set_trial_state_values(number, wanted.state, wanted.values)
        return bool(new) or wanted.state.is_finished()

    def _frozen(self, trial: TrialResult) -> FrozenTrial:
        times = self._times[trial.trial_id]
        state = self._state(trial)
        attributes = {
            _TRIAL: trial.trial_id,
            "bracket": trial.bracket,
            "rung": trial.rung,
            "status": str(trial.status),
            **({"reason": visible(trial.reason)} if trial.reason else {}),
            **{
                visible(f"metric_{name}"): value if math.isfinite(value) else str(value)
                for name, value in trial.last_metrics.items()
            },
        }
        frozen = create_trial(
            state=state,
            value=trial.value if state is TrialState.COMPLETE else None,
            params={
                visible(name): self._value(name, value) for name, value in trial.config.items()
            },
            distributions={
                visible(name): self._distribution(name, trial.config[name])
                for name in self._space.domains
                if name in trial.config
            },
            user_attrs=attributes,
            intermediate_values=dict(enumerate(trial.values, 1)),
        )
        frozen.datetime_start = _moment(times.first)
        frozen.datetime_complete = _moment(times.last) if state.is_finished() else None
        return frozen

    def _state(self, trial: TrialResult) -> TrialState:
        state = _STATES[trial.status]
        if state is TrialState.RUNNING and self._finished:
            return TrialState.PRUNED
        if state is TrialState.COMPLETE and math.isnan(trial.value):
            return TrialState.FAIL  # a complete trial has a value there
        return state

    def _distribution(self, name: str, value: Any) -> BaseDistribution:
        """Return the distribution of a trial's value, also of constants and scipy's."""
        domain = self._space.domains[name]
        if isinstance(domain, Constant):
            return CategoricalDistribution((self._value(name, domain.value),))
        if isinstance(domain, Scipy):
            low, high = sorted((*(domain.quantile(unit) for unit in (0.0, 1.0)), value))[::2]
            kind = FloatDistribution if domain.is_continuous else IntDistribution
            return kind(low, high)
        known: BaseDistribution = self._searched[name]
        return known

    def _value(self, name: str, value: Any) -> Any:
        """Return a value as Optuna keeps it, which has no tuples."""
        domain = self._space.domains.get(name)
        if isinstance(domain, Categorical):
            return searched_value(domain, value)
        return str(value) if isinstance(value, tuple) else value


def _moment(seconds: float) -> dt.datetime:
    """Return local time without a zone, as Optuna keeps it."""
    return dt.datetime.fromtimestamp(seconds)  # noqa: DTZ006
