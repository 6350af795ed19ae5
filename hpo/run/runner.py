"""Running the jobs of a search on a pool of workers, with retries, and predictions beside them."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any

from hpo.errors import ExecutorBrokenError, InterruptedRunError
from hpo.run.checkpoints import CheckpointStore
from hpo.run.executors.pools import WorkerPool
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


@dataclass(frozen=True)
class _Finished:
    attempt: _Attempt
    future: Future[Outcome]


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
    """

    def __init__(
        self,
        trainer: Trainer,
        pool: WorkerPool,
        model: ModelRunner,
        checkpoints: CheckpointStore,
        policy: Policy,
        note: Note,
    ) -> None:
        self._trainer = trainer
        self._pool = pool
        self._model = model
        self._checkpoints = checkpoints
        self._policy = policy
        self._note = note
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
        if self._signum is not None:
            return 0
        queued = sum(isinstance(item, _Attempt) for item in self._queue)
        return max(0, min(self._pool.free, self._pool.n_workers - self._training) - queued)

    def submit(self, job: Job) -> None:
        """Accept a job without blocking; it starts in the next `wait` with a free worker."""
        self._queue.append(_Attempt(job) if isinstance(job, TrainJob) else job)

    def stop(self, signum: int) -> None:
        """Make `wait` raise `InterruptedRunError` soon; safe to call from a signal handler."""
        self._signum = signum
        self._events.put(None)

    def wait(self) -> Sequence[Report]:
        """Start jobs, block until there is a report, and return all reports.

        Raises
        ------
        InterruptedRunError
            If `stop` was called and all reports are delivered.
        ExecutorBrokenError
            If no worker is left to run on.
        """
        while True:
            self._start_jobs()
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
        checkpoint = self._checkpoints.checkpoint(job.trial_id)
        attempts = self._checkpoints.attempts(job.trial_id)
        segment = Segment(dict(job.config), job.start, job.stop, checkpoint, attempts)
        self._training += 1
        self._mark(training=+1)

        def finished(future: Future[Outcome]) -> None:  # called in a thread of the pool
            self._mark(training=-1)
            self._events.put(_Finished(attempt, future))

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
        events = [] if self._signum is not None else [self._events.get()]
        with contextlib.suppress(Empty):
            while True:
                events.append(self._events.get_nowait())
        return [report for event in self._in_order(events) if (report := self._processed(event))]

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
            return self._report(event.attempt, event.future.result())
        if event is None:
            return None
        self._predicting.remove(event.job_id)
        self._forecasting.discard(event.job_id)
        self._note(self.overlap().to_note())
        return event

    def _report(self, attempt: _Attempt, outcome: Outcome) -> TrainReport | TrainFailure | None:
        """Turn an outcome into a report, or queue another attempt and return None."""
        job = attempt.job
        where = {"trial_id": job.trial_id, "start": job.start, "stop": job.stop}
        if not outcome.reason:
            self._checkpoints.settle(job.trial_id, outcome.attempt)
            if outcome.extra:
                extra = {name: list(values) for name, values in outcome.extra.items()}
                self._note({"what": "metrics", **where, "extra": extra})
            return TrainReport(job.trial_id, job.start, job.stop, outcome.losses)
        if outcome.retry and attempt.number <= self._policy.max_retries:
            what = {"what": "retry", **where, "attempt": attempt.number, "reason": outcome.reason}
            self._note(what)
            self._queue.appendleft(_Attempt(job, attempt.number + 1))
            return None
        self._checkpoints.settle(job.trial_id, outcome.attempt)
        attempts = f" [{attempt.number} attempts]" if attempt.number > 1 else ""
        return TrainFailure(job.trial_id, job.start, job.stop, outcome.reason + attempts)


@contextlib.contextmanager
def signals_stop(runner: JobRunner) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM stop the run in good order; a second Ctrl-C stops it at once.

    Signal handlers belong to the main thread; in another thread this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum: int, _: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before[signal.SIGINT])
        runner.stop(signum)
        if not runner.background:
            os.write(2, b"\nStopping after the running segment; Ctrl-C again stops at once.\n")

    stoppers = (signal.SIGINT, signal.SIGTERM)
    before: dict[int, Any] = {signum: signal.signal(signum, stop) for signum in stoppers}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
