# ruff: noqa: ARG002 - the interface of Ray tells more than is needed
"""Swift-Hyperband as a scheduler of Ray Tune.

Every trial is trained to its next decision point, paused there, and resumed or stopped by the
decision. The decisions are those of `hpo.Tuner` with the same configurations and curves::

    tuner = tune.Tuner(
        trainable,
        param_space={"lr": tune.loguniform(1e-4, 1e-1)},
        tune_config=tune.TuneConfig(
            metric="loss",
            mode="min",
            num_samples=143,
            scheduler=SwiftHyperBand(max_t=81, journal="swift.jsonl"),
            reuse_actors=True,
        ),
    )
    tuner.fit()

Ray does not save a scheduler's state. With a journal, `tune.Tuner.restore` continues the search:
the scheduler rebuilds its state from the journal. Ray's own snapshot is some seconds older than a
crash, so losses that it lacks are reported to Ray again from the journal.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from hpo.errors import JournalError
from hpo.integrations.conductor import Arrivals, Conductor
from hpo.integrations.ray.records import RayJournal, build_scheduler, known_losses, known_trials
from hpo.predictors import CurvePredictor, make_predictor, run_predict_job
from hpo.run.replay import replay
from hpo.trainers.objective import Objective

_log = logging.getLogger(__name__)

_SCHEDULERS = ("swift-hyperband", "fast-hyperband", "hyperband", "successive-halving")
_PATIENCE = 60.0
"""Seconds that all trials may wait for further ones before that is called an error."""


class SwiftHyperBand(TrialScheduler):
    """Swift-Hyperband as a scheduler for `ray.tune.Tuner`.

    Parameters
    ----------
    time_attr : str, default="training_iteration"
        Result that counts the units of training from 1. Report after every unit; if a unit is
        missing, the next loss is used for it.
    metric, mode : str, optional
        Metric to optimise, and ``"min"`` or ``"max"``; they may be given in `tune.TuneConfig`
        instead.
    max_t : int, default=81
        Maximum number of units per trial.
    reduction_factor : int, default=2
        Halving rate, eta: the best 1/eta of the trials survive a rung.
    scheduler : str, default="swift-hyperband"
        ``"swift-hyperband"``, ``"fast-hyperband"``, ``"hyperband"`` or ``"successive-halving"``.
    predictor : str or CurvePredictor, default="nusvr"
        Predictor of learning curves (see `hpo.make_predictor`). It runs in the process of
        `tune.Tuner` while trials are trained.
    journal : str or Path, optional
        File for the scheduler's state, a new one unless the search is restored. A search without a
        journal cannot be restored.
    **options
        Further options of the scheduler (see `hpo.schedulers.scheduler_options`), such as
        ``min_curves`` or ``min_resource`` (Ray's ``grace_period``). By default brackets are
        repeated as long as there are samples, and nothing is trained ahead of a decision.

    See Also
    --------
    hpo.integrations.ray.read_run : Reads the journal of such a search.

    Notes
    -----
    A trainable must save checkpoints. Otherwise a resumed trial starts from the beginning, although
    its known losses are kept. Trials wait for their round, so `max_concurrent_trials` must not be
    below the number of trials in a bracket; limit the resources instead.

    Raises
    ------
    ValueError
        If a setting is unknown or out of range.

    Examples
    --------
    >>> scheduler = SwiftHyperBand(metric="loss", mode="min", max_t=27, journal="swift.jsonl")
    """

    _supports_buffered_results = False

    def __init__(  # noqa: PLR0913 - settings of a method, most by keyword
        self,
        time_attr: str = "training_iteration",
        metric: str | None = None,
        mode: str | None = None,
        *,
        max_t: int = 81,
        reduction_factor: int = 2,
        scheduler: str = "swift-hyperband",
        predictor: str | CurvePredictor = "nusvr",
        journal: str | Path | None = None,
        **options: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call,unused-ignore]
        if mode not in (None, "min", "max"):
            raise ValueError(f"mode must be 'min' or 'max', got {mode!r}")
        if scheduler not in _SCHEDULERS:
            raise ValueError(
                f"scheduler must be one of {', '.join(_SCHEDULERS)}; got {scheduler!r}"
            )
        self._time_attr, self._metric, self._mode = time_attr, metric, mode
        self._predictor = make_predictor(predictor)
        # Absolute, since Ray changes the working directory, and restore may start in another.
        self._journal_path = None if journal is None else Path(journal).absolute()
        self._settings = {
            "scheduler": scheduler,
            "max_resource": max_t,
            "reduction_factor": reduction_factor,
            **_defaults(scheduler),
            **options,
        }
        build_scheduler(self._settings, Arrivals())  # complain now
        self._reset()

    def _reset(self) -> None:
        self._conductor: Conductor | None = None
        self._records: RayJournal | None = None
        self._numbers: dict[str, int] = {}
        self._trials: dict[int, Trial] = {}
        self._live: set[int] = set()
        self._errored: set[int] = set()
        self._idle_since: float | None = None
        self._warned = False

    def __getstate__(self) -> dict[str, Any]:
        """Return the settings alone: Ray pickles a scheduler before it runs, to restore it."""
        names = ("_time_attr", "_metric", "_mode", "_predictor", "_journal_path", "_settings")
        return {name: self.__dict__[name] for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the settings."""
        self.__dict__.update(state)
        self._reset()

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Take the settings of `tune.TuneConfig`, unless this scheduler has its own."""
        if (self._metric and metric) or (self._mode and mode):
            return False
        self._metric = metric or self._metric
        self._mode = mode or self._mode
        return self._metric is not None and self._mode is not None

    # -- what Ray tells ----------------------------------------------------------------------

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Take in a trial: a new one, one that is tried again, or one that is restored."""
        conductor = self._begun(trial)
        number = self._numbers.get(trial.trial_id)
        if number is None:
            number = conductor.arrive(dict(trial.config))
            self._numbers[trial.trial_id] = number
            if self._records is not None:
                self._records.arrived(number, trial.trial_id, trial.config)
        restored = number not in self._trials and _has_results(trial)
        self._trials[number] = trial
        self._live.add(number)
        self._errored.discard(number)
        conductor.settle()
        if restored:
            self._restore(conductor, number, trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Receive a result; return whether the trial continues, pauses or stops."""
        conductor, number = self._of(trial)
        self._take(conductor, number, result)
        conductor.settle()
        if conductor.is_over(number):
            return str(TrialScheduler.STOP)
        going_on = number in conductor.jobs
        return str(TrialScheduler.CONTINUE if going_on else TrialScheduler.PAUSE)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Take note that a trial has ended, by itself or because it was stopped."""
        conductor, number = self._of(trial)
        self._live.discard(number)
        if not conductor.is_over(number):
            self._take(conductor, number, result)
            conductor.finish(number)
            conductor.settle()

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Take note of an error; whether Ray tries the trial again shows later."""
        self._errored.add(self._of(trial)[1])

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """Take note that a waiting trial was removed, by us or by the user."""
        conductor, number = self._of(trial)
        self._live.discard(number)
        if not conductor.is_over(number):
            conductor.fail(number, "removed while it waited")
            conductor.settle()

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Return the trial to resume or start next; None if there is none."""
        if self._conductor is None:
            return None
        self._look_at_errors(self._conductor)
        if tune_controller.search_alg.is_finished():
            self._conductor.close()
        self._conductor.settle()
        self._stop_losers(self._conductor, tune_controller)
        self._complain_if_stuck(self._conductor)
        runnable = [self._trials[number] for number in self._conductor.jobs]
        for status in (Trial.PAUSED, Trial.PENDING):
            for trial in runnable:
                if trial.status == status:
                    return trial
        return None

    def debug_string(self) -> str:
        """Return one line on the state, for Ray's status report."""
        jobs = 0 if self._conductor is None else len(self._conductor.jobs)
        name, trials = self._settings["scheduler"], len(self._trials)
        return f"Using {name}: {trials} trials, {len(self._live)} live, {jobs} to be trained"

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the journal is always up to date."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the state comes from the journal."""

    # -- parts -------------------------------------------------------------------------------

    def _of(self, trial: Trial) -> tuple[Conductor, int]:
        return self._begun(trial), self._numbers[trial.trial_id]

    def _take(self, conductor: Conductor, number: int, result: dict[str, Any]) -> None:
        """Take in a result that counts and has the metric."""
        if self._metric not in result or self._time_attr not in result:
            return  # the last message of a trial may be without; Ray checks all others
        unit = int(result[self._time_attr])
        loss = float(result[self._metric]) * (-1.0 if self._mode == "max" else 1.0)
        if unit > len(conductor.losses[number]):
            if self._records is not None:
                self._records.result(number, unit, loss)
            conductor.result(number, unit, loss)

    def _begun(self, first: Trial) -> Conductor:
        """Return the conductor, made when the first trial comes."""
        if self._conductor is None:
            self._conductor = self._begin(first)
        return self._conductor

    def _begin(self, first: Trial) -> Conductor:
        arrivals = Arrivals()
        scheduler = build_scheduler(self._settings, arrivals)
        if self._journal_path is None:
            _check_not_restored(first)
        else:
            self._records = RayJournal(
                self._journal_path,
                self._settings,
                Objective.of(self._metric, self._mode or "min"),
            )
        content = None if self._records is None else self._records.content
        recorder = None if self._records is None else self._records.journal
        conductor = Conductor(
            scheduler, arrivals, lambda job: run_predict_job(job, self._predictor), recorder
        )
        if content is not None:
            trials = known_trials(content)
            self._numbers = {ray_id: number for number, (ray_id, _) in enumerate(trials)}
            self._check_known(first)
            arrivals.configs.extend(config for _, config in trials)
            conductor.losses = known_losses(content)
            conductor.resume(replay(content, scheduler))
        return conductor

    def _check_known(self, first: Trial) -> None:
        """Refuse a journal of another experiment."""
        if self._numbers and first.trial_id not in self._numbers:
            raise JournalError(
                f"journal {self._journal_path} belongs to another experiment; name a new file, or "
                "continue that experiment with tune.Tuner.restore"
            )

    def _restore(self, conductor: Conductor, number: int, trial: Trial) -> None:
        """Bring a trial of an earlier process and the scheduler's view of it together."""
        if trial.status in (Trial.TERMINATED, Trial.ERROR):
            self._live.discard(number)
            if not conductor.is_over(number):
                self._end(conductor, number, trial)
        elif number not in conductor.jobs and not conductor.is_over(number):
            trial.set_status(Trial.PAUSED)  # else Ray starts it, though it waits for a decision

    @staticmethod
    def _end(conductor: Conductor, number: int, trial: Trial) -> None:
        if trial.status == Trial.ERROR:
            conductor.fail(number, "failed before the search was restored")
        else:
            conductor.finish(number)
        conductor.settle()

    def _look_at_errors(self, conductor: Conductor) -> None:
        """Count trials as failed that Ray does not try again."""
        for number in sorted(self._errored):
            if self._trials[number].status == Trial.ERROR:
                self._live.discard(number)
                conductor.fail(number, _reason(self._trials[number]))
        self._errored.clear()

    def _stop_losers(self, conductor: Conductor, tune_controller: Any) -> None:
        """Stop paused trials that a decision dropped, and trials beyond the last bracket."""
        for number in sorted(self._live):
            trial = self._trials[number]
            surplus = conductor.done and number not in conductor.jobs
            if (conductor.is_over(number) or surplus) and trial.status in (
                Trial.PAUSED,
                Trial.PENDING,
            ):
                self._report_again(conductor, number, trial)
                tune_controller.stop_trial(trial)

    def _report_again(self, conductor: Conductor, number: int, trial: Trial) -> None:
        """Give Ray the losses of a trial that its own snapshot lacks, after it was restored."""
        seen = int(trial.last_result.get(self._time_attr, 0))
        losses = conductor.losses[number]
        sign = -1.0 if self._mode == "max" else 1.0
        for unit, loss in enumerate(losses[seen:], seen + 1):
            values = {self._time_attr: unit, self._metric: sign * loss, "config": trial.config}
            trial.update_last_result({**trial.last_result, **values})
        if seen < len(losses) and not self._warned:
            self._warned = True
            _log.warning(
                "Ray's snapshot of this search is older than its journal %s: losses that Ray had "
                "forgotten were taken from the journal, and the checkpoints that Ray names for "
                "such trials are of earlier units; hpo.integrations.ray.read_run(journal) has "
                "every trial and loss",
                self._journal_path,
            )

    def _complain_if_stuck(self, conductor: Conductor) -> None:
        if conductor.jobs or conductor.done or not self._live:
            self._idle_since = None
            return
        now = time.monotonic()
        self._idle_since = self._idle_since or now
        if now - self._idle_since > _PATIENCE:
            raise RuntimeError(
                f"{len(self._live)} trials wait for further ones to complete their bracket, and "
                f"the search algorithm has given none for {_PATIENCE:g} s; raise "
                "max_concurrent_trials to the size of a bracket or leave it out"
            )


def _defaults(scheduler: str) -> dict[str, Any]:
    if scheduler == "successive-halving":
        return {}
    # As many brackets as a search may ever fill; it ends when the samples do.
    defaults: dict[str, Any] = {"iterations": 100}
    return {**defaults, "train_ahead": False} if scheduler == "swift-hyperband" else defaults


def _has_results(trial: Trial) -> bool:
    """Tell whether a trial has reported; Ray puts its id into the empty result of a new one."""
    return bool(set(trial.last_result) - {"trial_id"})


def _check_not_restored(trial: Trial) -> None:
    if _has_results(trial):
        raise JournalError(
            "this search is restored, and Ray does not keep the state of a scheduler: start it "
            "with SwiftHyperBand(journal=...) to be able to restore it"
        )


def _reason(trial: Trial) -> str:
    """Return the last line of the traceback that Ray has written beside the trial."""
    place = trial.error_file
    try:
        lines = Path(place).read_text(encoding="utf-8").strip().splitlines() if place else []
    except OSError:
        lines = []
    return " ".join(lines[-1].split())[:300] if lines else "failed in Ray"
