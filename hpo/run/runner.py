"""Runs the jobs of a search on a pool of workers, with retries; predictions beside training."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from hpo.errors import ExecutorBrokenError, InterruptedRunError
from hpo.run.checkpoints import CheckpointStore
from hpo.run.executors.pools import WorkerPool
from hpo.run.overlap import Overlap, OverlapMeter
from hpo.trainers.base import Outcome, Segment, Trainer
from hpo.trial import (
    Job,
    ModelJob,
    ModelReport,
    PredictFailure,
    Report,
    TrainFailure,
    TrainJob,
    TrainReport,
)

Predict = Callable[[ModelJob], ModelReport]
Note = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Policy:
    """What is done about jobs that fail.

    Attributes
    ----------
    max_retries : int
        Further attempts for a job that failed, each from the trial's last checkpoint.
    timeout : float or None
        Seconds that one attempt may take.
    predict_timeout : float or None
        Seconds that a prediction may take; then its round goes on as plain Hyperband.
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


_Event = _Finished | ModelReport | None  # None: woken up to stop


class JobRunner:
    """A `hpo.loop.Runner` over a `WorkerPool`.

    Parameters
    ----------
    trainer : Trainer
        Trains.
    pool : WorkerPool
        Where it trains.
    predict : callable
        Runs a `PredictJob` or `ForecastJob`; must not raise.
    checkpoints : CheckpointStore
        Where each trial keeps its state.
    policy : Policy
        Retries and timeout.
    note : callable
        Hears of retries and extra metrics (plain values), for the journal.
    background : bool
        Predict in a thread while training goes on; False predicts in turn, which repeats exactly.
    """

    def __init__(
        self,
        trainer: Trainer,
        pool: WorkerPool,
        predict: Predict,
        checkpoints: CheckpointStore,
        policy: Policy,
        note: Note,
        *,
        background: bool,
    ) -> None:
        self._trainer = trainer
        self._pool = pool
        self._predict = predict
        self._checkpoints = checkpoints
        self._policy = policy
        self._note = note
        self.background = background
        self._queue: deque[_Attempt | ModelJob] = deque()
        self._events: SimpleQueue[_Event] = SimpleQueue()
        self._training = 0
        self._predicting: set[int] = set()
        self._signum: int | None = None
        self._meter = OverlapMeter(pool.n_workers)
        self._under_way: set[int] = set()  # predictions, until they end or their time is out
        self._lock = threading.Lock()

    @property
    def free(self) -> int:
        """How many more training jobs may be submitted now; none once the run is to stop."""
        if self._signum is not None:
            return 0
        queued = sum(isinstance(item, _Attempt) for item in self._queue)
        return max(0, min(self._pool.free, self._pool.n_workers - self._training) - queued)

    def submit(self, job: Job) -> None:
        """Queue a job; it starts in the next `wait`."""
        self._queue.append(_Attempt(job) if isinstance(job, TrainJob) else job)

    def stop(self, signum: int) -> None:
        """Have `wait` raise `InterruptedRunError` soon; safe to call from a signal handler."""
        self._signum = signum
        self._events.put(None)

    def wait(self) -> Sequence[Report]:
        """Start what can be started, block until a report is there, and return all that are.

        Raises
        ------
        InterruptedRunError
            If `stop` was called and no report is left to be delivered.
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
        segment = Segment(dict(job.config), job.start, job.stop, checkpoint)
        self._training += 1
        self._mark(training=+1)
        future = self._pool.submit(self._trainer, segment, self._policy.timeout)
        future.add_done_callback(lambda done: self._trained(attempt, done))

    def _trained(self, attempt: _Attempt, future: Future[Outcome]) -> None:
        """Take note of an outcome (in a thread of the pool)."""
        self._mark(training=-1)
        self._events.put(_Finished(attempt, future))

    def _start_prediction(self, job: ModelJob) -> None:
        self._predicting.add(job.job_id)
        self._under_way.add(job.job_id)
        self._mark(predicting=+1)
        if not self.background:
            self._predicted(self._predict(job))
            return
        _in_thread(lambda: self._predicted(self._predict(job)))
        seconds = self._policy.predict_timeout
        if seconds is not None:
            late = PredictFailure(job.job_id, f"timed out: no prediction after {seconds:g} s")
            _in_thread(lambda: self._predicted(late), delay=seconds)

    def _predicted(self, report: ModelReport) -> None:
        """Take note of a prediction, or of its time being out (in a thread of its own)."""
        with self._lock:
            first = report.job_id in self._under_way
            self._under_way.discard(report.job_id)
        if first:
            self._mark(predicting=-1)
        self._events.put(report)

    def _mark(self, *, training: int = 0, predicting: int = 0) -> None:
        with self._lock:
            self._meter.change(time.monotonic(), training=training, predicting=predicting)

    def overlap(self) -> Overlap:
        """Return how well training and predicting went on at the same time so far."""
        with self._lock:
            return self._meter.until(time.monotonic())

    def _collect(self) -> list[Report]:
        """Wait for an event, then take all that are there."""
        if self._signum is None and not self._training and not self._predicting:
            raise ExecutorBrokenError(
                "every worker of the executor is busy with a job that was given up"
            )
        reports = self._taken(self._events.get()) if self._signum is None else []
        while True:
            try:
                event = self._events.get_nowait()
            except Empty:
                return reports
            reports += self._taken(event)

    def _taken(self, event: _Event) -> list[Report]:
        if event is None:
            return []
        if isinstance(event, ModelReport):
            if event.job_id not in self._predicting:
                return []  # after its time was out, or its time was out after it came
            self._predicting.remove(event.job_id)
            self._note(self.overlap().to_note())
            return [event]
        self._training -= 1
        report = self._judged(event.attempt, event.future.result())
        return [] if report is None else [report]

    def _judged(self, attempt: _Attempt, outcome: Outcome) -> TrainReport | TrainFailure | None:
        """Turn an outcome into a report, or queue another attempt and return None."""
        job = attempt.job
        where = {"trial_id": job.trial_id, "start": job.start, "stop": job.stop}
        if not outcome.reason:
            if outcome.extra:
                extra = {name: list(values) for name, values in outcome.extra.items()}
                self._note({"what": "metrics", **where, "extra": extra})
            return TrainReport(job.trial_id, job.start, job.stop, outcome.losses)
        if outcome.retry and attempt.number <= self._policy.max_retries:
            what = {"what": "retry", **where, "attempt": attempt.number, "reason": outcome.reason}
            self._note(what)
            self._queue.appendleft(_Attempt(job, attempt.number + 1))
            return None
        return TrainFailure(job.trial_id, job.start, job.stop, _final(outcome, attempt))


def _in_thread(work: Callable[[], None], delay: float = 0.0) -> None:
    """Do something later, in a thread that does not keep the process alive."""
    timer = threading.Timer(delay, work)
    timer.daemon = True
    timer.start()


def _final(outcome: Outcome, attempt: _Attempt) -> str:
    return outcome.reason + (f" [{attempt.number} attempts]" if attempt.number > 1 else "")
