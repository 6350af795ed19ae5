"""Any engine that can run one call to its end, as a `concurrent.futures.Executor`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Engine(Protocol):
    """Runs calls on machines of its own."""

    def call(self, work: Callable[[], T]) -> T:
        """Run a picklable call somewhere and wait for its result.

        Raises
        ------
        EngineLostError
            If the engine as a whole is gone.
        Exception
            Whatever else: it concerns this call only.
        """
        ...

    def close(self) -> None:
        """Disconnect, ending what was started here; calls that still wait raise."""
        ...


class CallingExecutor(Executor):
    """Hands each call to an engine in a thread of its own, which waits for the result.

    Results arrive in these threads, not in an engine's event loop, so that whoever takes them may
    call the engine again.

    Parameters
    ----------
    engine : Engine
        Runs the calls; closed with this executor.
    n_workers : int
        Calls that wait at the same time.
    """

    def __init__(self, engine: Engine, n_workers: int) -> None:
        self._engine = engine
        self._threads = ThreadPoolExecutor(n_workers, thread_name_prefix="engine-call")

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start a call."""
        return self._threads.submit(self._engine.call, partial(fn, *args, **kwargs))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Close the engine; calls that were not finished are lost."""
        if wait and not cancel_futures:
            self._threads.shutdown(wait=True)
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._engine.close()
