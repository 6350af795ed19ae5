"""Where models answer: in turn, in a thread, or in a process of their own.

A forecast takes a tenth of a second to seconds of processor time, most of it in Python code that
holds the interpreter's lock. In a thread it would delay the loop that hands out jobs, so the
forecasters of this package run in a process of their own. Another model stays in a thread: it may
wait for an annealer most of the time, and it may hold what must not be copied, such as a token.
"""

from __future__ import annotations

import contextlib
import io
import pickle
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Future, InvalidStateError
from functools import cache, partial
from typing import Any, Protocol

from hpo.errors import usage_checked
from hpo.loop import Scheduler
from hpo.predictors import CurvePredictor, Forecaster, make_predictor, run_predict_job
from hpo.predictors.warm_start import warm_started
from hpo.run.executors.process import OwnProcess, ProcessSetup, call_after
from hpo.run.warm_start import searches_of
from hpo.trainers.base import describe
from hpo.trial import Curve, ForecastJob, ModelJob, ModelReport, PredictFailure

_COPIED = ("_codecs", "builtins", "collections", "copyreg", "functools", "hpo", "numpy", "sklearn")
"""Packages whose objects may be sent to the process: not qsvr, whose samplers may hold a token."""


class ModelRunner(Protocol):
    """Answers prediction and forecast jobs."""

    def start(self, job: ModelJob, timeout: float | None) -> Future[ModelReport]:
        """Start a job; the future never carries an exception.

        Parameters
        ----------
        job : PredictJob or ForecastJob
        timeout : float or None
            Seconds after which the job has failed.
        """
        ...

    def close(self) -> None:
        """End the process or thread that answers."""
        ...


class InTurn:
    """Answers a job at once, in the calling thread.

    Parameters
    ----------
    predict : callable
        Runs a job; must not raise.
    """

    def __init__(self, predict: Callable[[ModelJob], ModelReport]) -> None:
        self._predict = predict

    def start(self, job: ModelJob, timeout: float | None) -> Future[ModelReport]:  # noqa: ARG002
        """Answer the job; it has no time limit."""
        future: Future[ModelReport] = Future()
        future.set_result(self._predict(job))
        return future

    def close(self) -> None:
        """Do nothing."""


class InThread:
    """Answers each job in a thread of its own, which no timeout stops.

    Parameters
    ----------
    predict : callable
        Runs a job; must not raise.
    """

    def __init__(self, predict: Callable[[ModelJob], ModelReport]) -> None:
        self._predict = predict

    def start(self, job: ModelJob, timeout: float | None) -> Future[ModelReport]:
        """Start the job."""
        future: Future[ModelReport] = Future()
        threading.Thread(target=lambda: _settle(future, self._predict(job)), daemon=True).start()
        if timeout is not None:
            call_after(timeout, future, lambda: _settle(future, _late(job, timeout)))
        return future

    def close(self) -> None:
        """Do nothing: the threads do not keep the process alive."""


class InProcess:
    """Answers one job at a time in a process of its own, which a timeout kills.

    The process is started at once and imports what a forecast needs. If it dies, its job has
    failed, and the next job starts another.

    Parameters
    ----------
    model : bytes
        The predictor, pickled.
    searcher : object
        Sent with each job, in the state that it has when the job starts.
    """

    def __init__(self, model: bytes, searcher: Any) -> None:
        self._model = model
        self._searcher = searcher
        self._process: OwnProcess[None] = OwnProcess(ProcessSetup())
        self._process.start(self._preparation)

    def _preparation(self) -> Callable[[], None]:
        return partial(_adopt, self._model, pickle.dumps(self._searcher))

    def start(self, job: ModelJob, timeout: float | None) -> Future[ModelReport]:
        """Start the job."""
        work = pickle.dumps((job, self._searcher))
        outer: Future[ModelReport] = Future()
        ready, inner = self._process.submit(self._preparation, _answer, work)
        process = self._process.generation
        inner.add_done_callback(lambda done: self._finish(job, done, outer, process))
        if timeout is not None:
            expire = partial(self._expire, job, timeout, outer)
            ready.add_done_callback(lambda _: call_after(timeout, outer, expire))
        return outer

    def _finish(
        self, job: ModelJob, inner: Future[ModelReport], outer: Future[ModelReport], process: int
    ) -> None:
        if inner.cancelled():
            _settle(outer, PredictFailure(job.job_id, "cancelled"))
        elif (error := inner.exception()) is None:
            _settle(outer, inner.result())
        elif isinstance(error, BrokenExecutor):
            reason = f"the process of the forecast {self._process.ending()}"
            self._process.discard(process)
            _settle(outer, PredictFailure(job.job_id, reason))
        else:
            _settle(outer, PredictFailure(job.job_id, describe(error)))

    def _expire(self, job: ModelJob, timeout: float, outer: Future[ModelReport]) -> None:
        process = self._process.latest
        self._process.discard()  # the next job does not wait for its end
        _settle(outer, _late(job, timeout))
        self._process.kill(process)

    def close(self) -> None:
        """Kill the process."""
        self._process.close()


def model_runner(
    predictor: CurvePredictor | Forecaster | str | None,
    scheduler: Scheduler,
    notes: Sequence[Mapping[str, Any]] = (),
    *,
    background: bool,
) -> ModelRunner:
    """Return the object that runs the model jobs of a run.

    Parameters
    ----------
    predictor : CurvePredictor, Forecaster, str or None
        A predictor or its name; None takes the default of the scheduler.
    scheduler : Scheduler
        If it forecasts, its searcher proposes new configurations with each forecast.
    notes : sequence of Mapping, default=()
        Notes of the run, among them those of the earlier searches that forecasts learn from.
    background : bool
        Whether to answer beside the training; False answers in turn, in this thread.
    """
    searcher = getattr(scheduler, "searcher", None)
    if predictor is None and searcher is None:
        # Built at the first job: most such schedulers have none, and it imports scikit-learn.
        default = cache(partial(make_predictor, "nusvr"))
        return _in_turn_or_thread(default, None, background=background)
    if predictor is None:
        predictor = "mixed"
    model: Any = make_predictor(predictor) if isinstance(predictor, str) else predictor
    if searcher is not None and (earlier := searches_of(notes, getattr(searcher, "space", None))):
        model = usage_checked(warm_started, model, earlier)
    if background and searcher is not None:
        with contextlib.suppress(Exception):  # pickle raises whatever an object does
            _copied(searcher)
            return InProcess(_copied(model), searcher)
    return _in_turn_or_thread(lambda: model, searcher, background=background)


def _in_turn_or_thread(
    model: Callable[[], Any], searcher: Any, *, background: bool
) -> InTurn | InThread:
    def predict(job: ModelJob) -> ModelReport:
        try:
            return run_predict_job(job, model(), searcher)
        except Exception as error:  # noqa: BLE001 - it runs in a thread that nobody else watches
            return PredictFailure(job.job_id, describe(error))

    return (InThread if background else InTurn)(predict)


class _OwnPickler(pickle.Pickler):
    """Refuses objects of other packages than `_COPIED`."""

    def persistent_id(self, obj: Any) -> None:
        """Check an object; called for every one."""
        module = getattr(obj, "__module__", None) or type(obj).__module__  # of a class: its own
        if module.partition(".")[0] not in _COPIED:
            raise pickle.PicklingError(f"objects of {module} are not sent")


def _copied(value: Any) -> bytes:
    buffer = io.BytesIO()
    _OwnPickler(buffer).dump(value)
    return buffer.getvalue()


def _settle(future: Future[ModelReport], report: ModelReport) -> None:
    """Set a result unless there is one."""
    with contextlib.suppress(InvalidStateError):
        future.set_result(report)


def _late(job: ModelJob, seconds: float) -> PredictFailure:
    return PredictFailure(job.job_id, f"timed out: no prediction after {seconds:g} s")


# -- in the process --------------------------------------------------------------------------

_adopted: Any = None
"""The predictor."""


def _adopt(model: bytes, searcher: bytes) -> None:
    """Keep the predictor, and make a small forecast, which imports what forecasts need."""
    global _adopted  # noqa: PLW0603 - of this process
    _adopted = pickle.loads(model)  # noqa: S301 - from our parent
    with contextlib.suppress(Exception):  # a real forecast reports its failure
        copy = pickle.loads(searcher)  # noqa: S301 - from our parent
        curves = [
            Curve(trial, config, tuple(1.0 / (trial + unit) for unit in range(1, 7 - trial)))
            for trial in range(5)
            if (config := copy.propose(trial)) is not None
        ]
        for seed in (0, 1):  # a mixed forecaster chooses by the seed
            run_predict_job(ForecastJob(0, 8, tuple(curves), (), seed, 4, {}), _adopted, copy)


def _answer(work: bytes) -> ModelReport:
    job, searcher = pickle.loads(work)  # noqa: S301 - from our parent
    return run_predict_job(job, _adopted, searcher)
