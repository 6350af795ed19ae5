"""Running the jobs of a search on a pool of workers, with retries, and predictions beside them."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Any

from hpo.errors import (
    AT_DEADLINE,
    ExecutorBrokenError,
    InterruptedRunError,
    MachineError,
    MissingObjectiveError,
    StoppedRunError,
)
from hpo.run.checkpoints import CheckpointStore
from hpo.run.deadline import Deadline, known_part, part_note
from hpo.run.executors.pools import WorkerPool
from hpo.run.forecasting import InTurn, ModelRunner
from hpo.run.journal import JournalContent
from hpo.run.limits import Bounds, LimitReachedError
from hpo.run.objective import OBJECTIVE, named
from hpo.run.overlap import Overlap, OverlapMeter
from hpo.run.progress import Activity
from hpo.run.recorder import SEGMENT
from hpo.run.replay import CHECKPOINTS, RESTART, restarting
from hpo.run.trial_results import METRICS
from hpo.trainers.base import Outcome, Probe, Segment, Trainer
from hpo.trainers.objective import LOSS_MINIMISED, Objective
from hpo.trial import (
    ForecastJob,
    Job,
    ModelJob,
    ModelReport,
    Report,
    TrainFailure,
    TrainJob,
    TrainReport,
    finite_or_worst,
)

Note = Callable[[Mapping[str, Any]], None]

_LEAST_LOST, _LOST_PER_WORKER = 10, 3


@dataclass(frozen=True)
class Policy:
    """Retries and time limits of jobs.

    Attributes
    ----------
    max_retries : int, default=1
        Further attempts of a job that failed, each from the trial's last checkpoint.
    timeout : float or None, default=None
        Time limit of one attempt, in seconds.
    predict_timeout : float or None, default=None
        Time limit of a prediction, in seconds; after it the round is decided as plain Hyperband.
    max_lost : int or None, default=None
        Number of segments in a row that are lost with their workers or their executor, with none
        in between that ends, after which the run ends. None: 10, or 3 per worker if that is more.
    deadline : Deadline or None, default=None
        When the run stops: nothing is started that cannot end by then, and a segment that is too
        long is trained in part.
    objective : Objective
        What the search optimises.
    max_epochs : int or None, default=None
        Resource units of all sessions after which the run stops; a segment that is too long is
        trained in part.
    epochs_before : int, default=0
        Resource units that were reported by earlier sessions.
    target : float or None, default=None
        The run stops once a loss at or below this is reported; a loss, which is minimised.
    """

    max_retries: int = 1
    timeout: float | None = None
    predict_timeout: float | None = None
    max_lost: int | None = None
    deadline: Deadline | None = None
    objective: Objective = LOSS_MINIMISED
    max_epochs: int | None = None
    epochs_before: int = 0
    target: float | None = None

    def within(self, bounds: Bounds, epochs_before: int) -> Policy:
        """Return the policy with the limits of a run.

        Parameters
        ----------
        bounds : Bounds
        epochs_before : int
        """
        target = bounds.limits.target
        return replace(
            self,
            deadline=bounds.deadline,
            max_epochs=bounds.limits.max_epochs,
            epochs_before=epochs_before,
            target=None if target is None else self.objective.loss(target),
        )

    def most_lost(self, n_workers: int) -> int:
        """Return `max_lost` or its default.

        Parameters
        ----------
        n_workers : int
            Number of segments that run at the same time.
        """
        if self.max_lost is not None:
            return self.max_lost
        return max(_LEAST_LOST, _LOST_PER_WORKER * n_workers)


@dataclass(frozen=True)
class _Attempt:
    job: TrainJob
    number: int = 1
    restarted: bool = False  # the trial starts afresh
    serial: int = 0  # of its start
    known: tuple[float, ...] = ()  # losses of a first part, which was cut at the deadline

    @property
    def start(self) -> int:
        """Units that are done at the start; 0 if the trial starts from the beginning."""
        return len(self.known) + (0 if self.restarted else self.job.start)

    def new_units(self, stop: int) -> int:
        """Return how many units up to `stop` were never trained before."""
        return max(0, stop - max(self.start, self.job.start))


@dataclass(frozen=True)
class _Finished:
    attempt: _Attempt
    stop: int  # of the segment
    future: Future[Outcome]
    seconds: float


@dataclass(frozen=True)
class _Probed:
    future: Future[Outcome]


_Event = _Finished | _Probed | ModelReport | None  # None: `wait` is woken up to stop


class JobRunner:
    """A `hpo.loop.Runner` over a `WorkerPool`.

    Parameters
    ----------
    trainer : Trainer
        Trains the segments.
    pool : WorkerPool
        Workers that run the segments.
    model : ModelRunner
        Answers prediction jobs, in turn or beside the training.
    checkpoints : CheckpointStore
        Checkpoints of the trials.
    policy : Policy
        Retries and time limits.
    note : callable
        Called with retries, extra metrics and overlap figures (plain values), for the journal.
    notes : iterable of Mapping, default=()
        Notes of the run before it was resumed.

    Attributes
    ----------
    idle : callable
        Called before the runner waits or trains, to update the display. Returns the seconds after
        which it is to be called again, None if that is not needed.
    """

    idle: Callable[[], float | None]

    def __init__(
        self,
        trainer: Trainer,
        pool: WorkerPool,
        model: ModelRunner,
        checkpoints: CheckpointStore,
        policy: Policy,
        note: Note,
        notes: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        self.idle = lambda: None
        self._trainer = trainer
        self._pool = pool
        self._model = model
        self._checkpoints = checkpoints
        self._policy = policy
        self._note = note
        self._deadline = policy.deadline
        self._late: list[_Attempt] = []  # cannot be trained before the deadline or the limit
        self._epochs = policy.epochs_before  # trained, or in training
        self._limit = ""  # that has ended the run
        self.background = not isinstance(model, InTurn)
        self._queue: deque[_Attempt | ModelJob] = deque()
        self._events: SimpleQueue[_Event] = SimpleQueue()
        self._training = 0
        self._predicting: set[int] = set()
        self._forecasting: set[int] = set()
        self._held: list[_Finished] = []  # of a single worker, until the forecast has ended
        self._signum: int | None = None
        self._error: StoppedRunError | None = None  # raised once all reports are delivered
        self._n_lost = 0  # segments lost in a row
        self._n_started = 0
        # Lost, and nothing has ended that started since: with the number of starts until then.
        self._doubtful: list[tuple[int, TrainFailure]] = []
        notes = list(notes)
        self._keeps = any(note.get("what") == CHECKPOINTS for note in notes)
        self._objective = named(policy.objective, notes)
        self._is_measured = any(note.get("what") == OBJECTIVE for note in notes)
        self._meter = OverlapMeter(pool.n_workers)
        self._lock = threading.Lock()

    @property
    def free(self) -> int:
        """Number of training jobs that may be submitted now; 0 once the run is stopping."""
        if self._stopping or self._late:
            return 0
        queued = sum(isinstance(item, _Attempt) for item in self._queue)
        return max(0, min(self._pool.free, self._pool.n_workers - self._training) - queued)

    @property
    def _stopping(self) -> bool:
        return self._signum is not None or self._error is not None or bool(self._limit)

    @property
    def _epochs_left(self) -> float:
        most = self._policy.max_epochs
        return math.inf if most is None else max(0, most - self._epochs)

    def submit(self, job: Job, known: tuple[float, ...] = ()) -> None:
        """Accept a job without blocking; it starts in the next `wait` with a free worker.

        Parameters
        ----------
        job : Job
        known : tuple of float, default=()
            Losses of its first units, which an earlier session trained.
        """
        self._epochs += len(known)
        if not isinstance(job, TrainJob):
            self._queue.append(job)
        elif job.trial_id in self._checkpoints.removed:
            self._checkpoints.removed.remove(job.trial_id)
            reason = "its checkpoint was deleted when the trial was over"
            self._note({"what": RESTART, **_place(job), "reason": reason})
            self.submit_afresh(job)
        else:
            self._queue.append(_Attempt(job, known=known))

    def submit_afresh(self, job: TrainJob) -> None:
        """Accept a job whose restart was interrupted; its trial starts from the beginning again.

        Parameters
        ----------
        job : TrainJob
        """
        self._queue.append(_Attempt(job, restarted=True))

    def resubmit(self, pending: Sequence[Job], before: JournalContent) -> None:
        """Accept the jobs that an earlier session decided and did not report.

        Parameters
        ----------
        pending : sequence of Job
        before : JournalContent
            Content of the journal of that session.
        """
        afresh, notes = restarting(before), before.notes()
        for job in pending:
            if not isinstance(job, TrainJob):
                self.submit(job)
            elif job.trial_id in afresh:
                self.submit_afresh(job)
            else:
                self.submit(job, self._objective.losses(known_part(job, notes)))

    def stop(self, signum: int) -> None:
        """Make `wait` raise `InterruptedRunError` soon; safe to call from a signal handler."""
        self._signum = signum
        self._events.put(None)

    def end(self, limit: str) -> None:
        """Make `wait` raise `LimitReachedError` soon.

        Parameters
        ----------
        limit : str
            Name of the limit that has ended the run.
        """
        self._limit = self._limit or limit
        self._events.put(None)

    def _end_in_time(self) -> None:
        if self._deadline is not None and self._deadline.is_limit:
            self.end("max_time")
        else:
            self.stop(AT_DEADLINE)

    def _end_late(self) -> None:
        """End the run, since nothing that is left can be trained before its limit."""
        if self._epochs_left == 0:
            self.end("max_epochs")
        elif self._deadline is None or self._deadline.units(self._late[0].job.trial_id) >= 1:
            # Epochs that were reserved for a segment that has failed.
            self._queue.extend(self._late)
            self._late.clear()
            self._start_jobs()
        else:
            self._end_in_time()

    def wait(self) -> Sequence[Report]:
        """Start jobs, block until there is a report, and return all reports.

        There is none if a job was lost with its worker and another worker is free: it is not known
        yet whether the job ended its worker, or the workers are failing.

        Raises
        ------
        InterruptedRunError
            If `stop` was called or nothing more can be trained before the deadline, and all reports
            are delivered.
        LimitReachedError
            If a limit has ended the run, and all reports are delivered.
        MachineError
            If the machine fails, and all reports are delivered.
        ExecutorBrokenError
            If no worker is left to run on, or too many were lost in a row.
        """
        while True:
            self._start_jobs()
            if self._late and not self._training and not self._stopping:
                self._end_late()
            reports = self._collect()
            if reports:
                return reports
            if self._error is not None:
                raise self._error
            if self._signum is not None:
                raise InterruptedRunError(self._signum)
            if self._limit:
                raise LimitReachedError(self._limit)
            if self._doubtful and self.free > 0:
                return []

    def _start_jobs(self) -> None:
        if self._stopping:
            return
        for _ in range(len(self._queue)):
            item = self._queue.popleft()
            if isinstance(item, ModelJob):
                self._start_prediction(item)
            elif self._pool.free > 0 and self._training < self._pool.n_workers:
                self._start_training(item)
            else:
                self._queue.append(item)
            if not self.background and not self._events.empty():
                return  # in turn: deliver one report before the next job runs

    def _start_training(self, attempt: _Attempt) -> None:
        job, stop = attempt.job, attempt.job.stop
        fit = math.inf if self._deadline is None else self._deadline.units(job.trial_id)
        if fit < stop - attempt.start:
            stop = attempt.start + int(fit)
        left = self._epochs_left
        if left < attempt.new_units(stop):
            stop = max(attempt.start, job.start) + int(left)
        if stop == attempt.start or left == 0:
            self._late.append(attempt)
            return
        self._epochs += attempt.new_units(stop)
        self._n_started += 1
        attempt = replace(attempt, serial=self._n_started)
        segment = Segment(
            dict(job.config),
            attempt.start,
            stop,
            self._checkpoints.checkpoint(job.trial_id),
            self._checkpoints.attempts(job.trial_id),
            fresh=attempt.restarted and attempt.start == 0,
            expects_checkpoint=self._keeps,
            trial_id=job.trial_id,
            attempt=attempt.number,
            deadline=None if self._deadline is None else time.time() + self._deadline.remaining,
            objective=self._objective,
        )
        self._training += 1
        self._mark(training=+1)
        if not self.background:
            self.idle()
        begun = time.monotonic()

        def finished(future: Future[Outcome]) -> None:  # called in a thread of the pool
            self._mark(training=-1)
            self._events.put(_Finished(attempt, stop, future, time.monotonic() - begun))

        future = self._pool.submit(self._trainer, segment, self._policy.timeout)
        future.add_done_callback(finished)

    def _start_probe(self) -> None:
        """Find out whether a worker ends by itself, since no other job is there to show it."""
        segment = Segment({}, 0, 1, self._checkpoints.root / "probe" / "checkpoint")
        self._training += 1
        future = self._pool.submit(Probe(), segment, None)
        future.add_done_callback(lambda done: self._events.put(_Probed(done)))

    def _start_prediction(self, job: ModelJob) -> None:
        self._predicting.add(job.job_id)
        if isinstance(job, ForecastJob):
            self._forecasting.add(job.job_id)
        self._mark(predicting=+1)
        if not self.background:
            self.idle()
        future = self._model.start(job, self._policy.predict_timeout)
        future.add_done_callback(lambda done: self._predicted(done.result()))

    def _predicted(self, report: ModelReport) -> None:
        """Record the end of a prediction (called in a thread of its own)."""
        self._mark(predicting=-1)
        self._events.put(report)

    def _mark(self, *, training: int = 0, predicting: int = 0) -> None:
        with self._lock:
            self._meter.change(time.monotonic(), training=training, predicting=predicting)

    def overlap(self) -> Overlap:
        """Return the overlap of training and prediction so far."""
        with self._lock:
            return self._meter.until(time.monotonic())

    def _collect(self) -> list[Report]:
        """Wait for an event, then process all events in the queue."""
        if not self._stopping and not self._training and not self._predicting:
            if not self._doubtful:
                raise ExecutorBrokenError(
                    "every worker of the executor is occupied by a job that was abandoned"
                )
            if not self._pool.free:
                return self._released()
            self._start_probe()
        events = [] if self._stopping else [self._next_event()]
        with contextlib.suppress(Empty):
            while True:
                events.append(self._events.get_nowait())
        return [report for event in self._in_order(events) for report in self._processed(event)]

    def activity(self) -> Activity:
        """Return what happens at this moment; safe to call from any thread."""
        waiting = self._pool.n_waiting
        return Activity(
            training=max(0, self._training - waiting),
            waiting=waiting + len(self._queue),
            predicting=len(self._predicting),
            stopping=self._stopping,
            in_turn=not self.background,
        )

    def _next_event(self) -> _Event:
        """Wait for an event, until the deadline."""
        while True:
            limits = [self.idle(), None if self._deadline is None else self._deadline.remaining]
            known = [seconds for seconds in limits if seconds is not None]
            try:
                return self._events.get(timeout=min(known, default=None))
            except Empty:
                if self._deadline is not None and self._deadline.remaining == 0:
                    self._end_in_time()
                    return None

    def _in_order(self, events: list[_Event]) -> Iterator[_Event]:
        """Yield the events to process now.

        With a single worker, a forecast comes before the training that was decided with it, as in
        the inline executor, whichever ends first: so a search repeats itself.
        """
        if self._pool.n_workers > 1:
            yield from events
            return
        self._held += [event for event in events if isinstance(event, _Finished)]
        yield from (event for event in events if not isinstance(event, _Finished))
        if not self._forecasting or self._stopping:
            held, self._held = self._held, []
            yield from held

    def _processed(self, event: _Event) -> list[Report]:
        """Return the reports that follow from an event."""
        if isinstance(event, _Finished):
            self._training -= 1
            return self._ended(event, event.future.result())
        if isinstance(event, _Probed):
            self._training -= 1
            outcome = event.future.result()
            return self._released() if not outcome.reason else self._lost(outcome)
        if event is None:
            return []
        self._predicting.remove(event.job_id)
        self._forecasting.discard(event.job_id)
        self._note(self.overlap().to_note())
        return [event]

    def _ended(self, event: _Finished, outcome: Outcome) -> list[Report]:
        """Turn an outcome into reports, or queue another attempt, or stop the run."""
        attempt = event.attempt
        if outcome.reason:
            self._epochs -= attempt.new_units(event.stop)
        if outcome.cause == "objective" and not self._is_measured:  # it concerns every trial
            self._error = self._error or MissingObjectiveError(outcome.reason)
            return []
        if outcome.cause in ("lost", "executor", "machine"):
            self._lost(outcome)
            if self._error is None and (failure := self._failed(attempt, outcome)) is not None:
                self._doubtful.append((self._n_started, failure))
            return []
        self._n_lost = 0
        if outcome.reason:
            report: Report | None = self._failed(attempt, outcome)
        else:
            report = self._succeeded(event, outcome)
        return self._released(attempt.serial) + ([] if report is None else [report])

    def _lost(self, outcome: Outcome) -> list[Report]:
        """Count a job that was lost through no trial's fault, for all that is known; no reports."""
        self._n_lost += 1
        if self._error is not None:
            return []
        if outcome.cause == "machine":
            self._error = MachineError(f"{outcome.reason} and resume")
        elif self._n_lost >= self._policy.most_lost(self._pool.n_workers):
            self._error = ExecutorBrokenError(
                f"{self._n_lost} segments in a row were lost with their workers, the last one "
                f"with: {outcome.reason}; no trial was recorded as failed. Check the workers and "
                "resume"
            )
        return []

    def _released(self, serial: int | None = None) -> list[Report]:
        """Return the failures of jobs that ended their workers, as others do not.

        Parameters
        ----------
        serial : int or None, default=None
            Start of a job that ended well; None for a job that started after all others.
        """
        before = [(n, failure) for n, failure in self._doubtful if serial is None or n < serial]
        self._doubtful = [each for each in self._doubtful if each not in before]
        return [failure for _, failure in before]

    def _succeeded(self, event: _Finished, outcome: Outcome) -> TrainReport | None:
        """Return the report of a job, or queue the rest of one that was trained in part."""
        attempt, job = event.attempt, event.attempt.job
        self._note_place(job, outcome)
        self._checkpoints.settle(job.trial_id, outcome.attempt)
        self._note_objective(outcome.objective)
        stop = attempt.start + len(outcome.losses)  # sooner where training has ended by itself
        self._epochs += attempt.new_units(stop) - attempt.new_units(event.stop)
        if self._deadline is not None:
            seconds = event.seconds - outcome.waited
            self._deadline.measured(job.trial_id, len(outcome.losses), seconds)
        skipped = max(0, job.start - attempt.start)  # trained again, and known
        if outcome.extra and stop > job.start:
            extra = {name: list(values)[skipped:] for name, values in outcome.extra.items()}
            place = {**_place(job), "start": attempt.start + skipped, "stop": stop}
            self._note({"what": METRICS, **place, "extra": extra})
        if outcome.kept and not self._keeps:
            self._keeps = True
            self._note({"what": CHECKPOINTS})
        target = self._policy.target
        if target is not None and any(finite_or_worst(loss) <= target for loss in outcome.losses):
            self.end("target")
        losses = attempt.known + outcome.losses
        if outcome.finished:
            new = losses[job.start if attempt.restarted else 0 :]
            return TrainReport(job.trial_id, job.start, job.stop, new, finished=True)
        if event.stop < job.stop:
            if not attempt.restarted:  # one that is resumed starts afresh again
                self._note(part_note(job, self._objective.values(losses), outcome.place))
            self._queue.appendleft(replace(attempt, known=losses))
            return None
        return TrainReport(job.trial_id, job.start, job.stop, losses[job.start - job.stop :])

    def _note_objective(self, name: str) -> None:
        """Say which metric the first segment was measured by; further ones are by the same."""
        self._is_measured = True
        if name and not self._objective.name:
            self._objective = replace(self._objective, name=name)
            self._note({"what": OBJECTIVE, "name": name})

    def _note_place(self, job: TrainJob, outcome: Outcome) -> None:
        """Say where a segment ran, which goes into the line of its report."""
        if outcome.place:
            self._note({"what": SEGMENT, **_place(job), "where": dict(outcome.place)})

    def _failed(self, attempt: _Attempt, outcome: Outcome) -> TrainFailure | None:
        """Queue another attempt and return None, or return the failure if there is none left."""
        job = attempt.job
        if outcome.cause == "checkpoint" and not attempt.restarted:
            self._note({"what": RESTART, **_place(job), "reason": outcome.reason})
            self._queue.appendleft(replace(attempt, restarted=True, known=()))
            return None
        is_counted = outcome.cause != "executor"
        if outcome.retry and (attempt.number <= self._policy.max_retries or not is_counted):
            what = {"what": "retry", **_place(job), "attempt": attempt.number}
            self._note({**what, "reason": outcome.reason, "where": dict(outcome.place)})
            self._queue.appendleft(replace(attempt, number=attempt.number + is_counted))
            return None
        self._note_place(job, outcome)
        self._checkpoints.settle(job.trial_id, outcome.attempt)
        attempts = f" [{attempt.number} attempts]" if attempt.number > 1 else ""
        return TrainFailure(job.trial_id, job.start, job.stop, outcome.reason + attempts)


def _place(job: TrainJob) -> dict[str, Any]:
    return {"trial_id": job.trial_id, "start": job.start, "stop": job.stop}
