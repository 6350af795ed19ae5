"""Running the jobs of a search on a pool of workers, with retries, and predictions beside them."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any

from hpo.errors import AT_DEADLINE, ExecutorBrokenError, InterruptedRunError
from hpo.run.checkpoints import CheckpointStore
from hpo.run.deadline import Deadline, part_note
from hpo.run.executors.pools import WorkerPool
from hpo.run.executors.signals import STOP_SIGNALS
from hpo.run.forecasting import InTurn, ModelRunner
from hpo.run.overlap import Overlap, OverlapMeter
from hpo.trainers.base import Outcome, Segment, Trainer
from hpo.trial import (
    ForecastJob,
    Job,
    ModelJob,
    ModelReport,
    Report,
    TrainFailure,
    TrainJob,
    TrainReport,
)

Note = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Policy:
    """Retries and time limits of jobs.

    Attributes
    ----------
    max_retries : int
        Further attempts of a job that failed, each from the trial's last checkpoint.
    timeout : float or None
        Time limit of one attempt, in seconds.
    predict_timeout : float or None
        Time limit of a prediction, in seconds; after it the round is decided as plain Hyperband.
    """

    max_retries: int = 1
    timeout: float | None = None
    predict_timeout: float | None = None


@dataclass(frozen=True)
class _Attempt:
    job: TrainJob
    number: int = 1
    known: tuple[float, ...] = ()  # losses of a first part, which was cut at the deadline


@dataclass(frozen=True)
class _Finished:
    attempt: _Attempt
    segment: Segment
    future: Future[Outcome]
    seconds: float


_Event = _Finished | ModelReport | None  # None: `wait` is woken up to stop


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
    deadline : Deadline, optional
        When the run stops: nothing is started that cannot end by then, and a segment that is too
        long is trained in part.
    """

    def __init__(
        self,
        trainer: Trainer,
        pool: WorkerPool,
        model: ModelRunner,
        checkpoints: CheckpointStore,
        policy: Policy,
        note: Note,
        deadline: Deadline | None = None,
    ) -> None:
        self._trainer = trainer
        self._pool = pool
        self._model = model
        self._checkpoints = checkpoints
        self._policy = policy
        self._note = note
        self._deadline = deadline
        self._late: list[_Attempt] = []  # cannot be trained before the deadline
        self.background = not isinstance(model, InTurn)
        self._queue: deque[_Attempt | ModelJob] = deque()
        self._events: SimpleQueue[_Event] = SimpleQueue()
        self._training = 0
        self._predicting: set[int] = set()
        self._forecasting: set[int] = set()
        self._held: list[_Finished] = []  # of a single worker, until the forecast has ended
        self._signum: int | None = None
        self._meter = OverlapMeter(pool.n_workers)
        self._lock = threading.Lock()

    @property
    def free(self) -> int:
        """Number of training jobs that may be submitted now; 0 once the run is stopping."""
        if self._signum is not None or self._late:
            return 0
        queued = sum(isinstance(item, _Attempt) for item in self._queue)
        return max(0, min(self._pool.free, self._pool.n_workers - self._training) - queued)

    def submit(self, job: Job, known: tuple[float, ...] = ()) -> None:
        """Accept a job without blocking; it starts in the next `wait` with a free worker.

        Parameters
        ----------
        job : Job
        known : tuple of float
            Losses of its first units, which an earlier session trained.
        """
        self._queue.append(_Attempt(job, known=known) if isinstance(job, TrainJob) else job)

    def stop(self, signum: int) -> None:
        """Make `wait` raise `InterruptedRunError` soon; safe to call from a signal handler."""
        self._signum = signum
        self._events.put(None)

    def wait(self) -> Sequence[Report]:
        """Start jobs, block until there is a report, and return all reports.

        Raises
        ------
        InterruptedRunError
            If `stop` was called or nothing more can be trained before the deadline, and all reports
            are delivered.
        ExecutorBrokenError
            If no worker is left to run on.
        """
        while True:
            self._start_jobs()
            if self._late and not self._training:
                self.stop(AT_DEADLINE)
            reports = self._collect()
            if reports:
                return reports
            if self._signum is not None:
                raise InterruptedRunError(self._signum)

    def _start_jobs(self) -> None:
        if self._signum is not None:
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
        job = attempt.job
        start, stop = job.start + len(attempt.known), job.stop
        fit = math.inf if self._deadline is None else self._deadline.units(job.trial_id)
        if fit < stop - start:
            stop = start + int(fit)
        if stop == start:
            self._late.append(attempt)
            return
        checkpoint = self._checkpoints.checkpoint(job.trial_id)
        attempts = self._checkpoints.attempts(job.trial_id)
        segment = Segment(dict(job.config), start, stop, checkpoint, attempts)
        self._training += 1
        self._mark(training=+1)
        begun = time.monotonic()

        def finished(future: Future[Outcome]) -> None:  # called in a thread of the pool
            self._mark(training=-1)
            self._events.put(_Finished(attempt, segment, future, time.monotonic() - begun))

        future = self._pool.submit(self._trainer, segment, self._policy.timeout)
        future.add_done_callback(finished)

    def _start_prediction(self, job: ModelJob) -> None:
        self._predicting.add(job.job_id)
        if isinstance(job, ForecastJob):
            self._forecasting.add(job.job_id)
        self._mark(predicting=+1)
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
        if self._signum is None and not self._training and not self._predicting:
            raise ExecutorBrokenError(
                "every worker of the executor is occupied by a job that was abandoned"
            )
        events = [] if self._signum is not None else [self._next_event()]
        with contextlib.suppress(Empty):
            while True:
                events.append(self._events.get_nowait())
        return [report for event in self._in_order(events) if (report := self._processed(event))]

    def _next_event(self) -> _Event:
        """Wait for an event, until the deadline."""
        try:
            return self._events.get(
                timeout=None if self._deadline is None else self._deadline.remaining
            )
        except Empty:
            self.stop(AT_DEADLINE)
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
        if not self._forecasting or self._signum is not None:
            held, self._held = self._held, []
            yield from held

    def _processed(self, event: _Event) -> Report | None:
        """Return the report that follows from an event, if there is one."""
        if isinstance(event, _Finished):
            self._training -= 1
            return self._report(event)
        if event is None:
            return None
        self._predicting.remove(event.job_id)
        self._forecasting.discard(event.job_id)
        self._note(self.overlap().to_note())
        return event

    def _report(self, event: _Finished) -> TrainReport | TrainFailure | None:
        """Turn an outcome into a report, or queue another attempt and return None."""
        attempt, segment, outcome = event.attempt, event.segment, event.future.result()
        job = attempt.job
        where = {"trial_id": job.trial_id, "start": segment.start, "stop": segment.stop}
        if not outcome.reason:
            self._checkpoints.settle(job.trial_id, outcome.attempt)
            if outcome.extra:
                extra = {name: list(values) for name, values in outcome.extra.items()}
                self._note({"what": "metrics", **where, "extra": extra})
            losses = attempt.known + outcome.losses
            if self._deadline is not None:
                self._deadline.measured(job.trial_id, segment.stop - segment.start, event.seconds)
            if segment.stop < job.stop:
                self._note(part_note(job, losses))
                self._queue.appendleft(replace(attempt, known=losses))
                return None
            return TrainReport(job.trial_id, job.start, job.stop, losses)
        if outcome.retry and attempt.number <= self._policy.max_retries:
            what = {"what": "retry", **where, "attempt": attempt.number, "reason": outcome.reason}
            self._note(what)
            self._queue.appendleft(replace(attempt, number=attempt.number + 1))
            return None
        self._checkpoints.settle(job.trial_id, outcome.attempt)
        attempts = f" [{attempt.number} attempts]" if attempt.number > 1 else ""
        return TrainFailure(job.trial_id, job.start, job.stop, outcome.reason + attempts)


@contextlib.contextmanager
def signals_stop(runner: JobRunner) -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and a batch system's signals stop the run in good order.

    They are `hpo.run.executors.signals.STOP_SIGNALS`, but for a SIGHUP that is ignored (``nohup``).
    A second Ctrl-C stops the run at once. Signal handlers belong to the main thread; in another
    thread this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum: int, _: FrameType | None) -> None:
        if signal.SIGINT in before:
            signal.signal(signal.SIGINT, before[signal.SIGINT])
        runner.stop(signum)
        if not runner.background:
            os.write(2, b"\nStopping after the running segment; Ctrl-C again stops at once.\n")

    before: dict[int, Any] = {
        signum: signal.signal(signum, stop)
        for signum in STOP_SIGNALS
        if signum.name != "SIGHUP" or signal.getsignal(signum) != signal.SIG_IGN
    }
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
