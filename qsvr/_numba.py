"""The one place where numba is imported, so that importing the package stays quick.

Modules with compiled functions import from here, and are imported only when a model is fitted.
Compiled code is cached on disk if possible: beside the package, in the user's cache folder, or in
NUMBA_CACHE_DIR. If no folder can be written, code is compiled without a cache. Code whose cache
file is damaged is compiled again. Processes that compile at the same time do not disturb each
other.
"""

from __future__ import annotations

import contextlib
import gc
import glob
import hashlib
import logging
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, cast

_F = TypeVar("_F", bound=Callable[..., Any])

__all__ = ["in_threads", "inner", "inner_lanes", "njit", "njit_lanes"]


@contextlib.contextmanager
def _interrupts_after() -> Iterator[None]:
    """Delay Ctrl-C to the end of the block: half imported, numba cannot be imported again."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is interrupted
        return
    came: list[tuple[Any, ...]] = []
    before = signal.getsignal(signal.SIGINT)
    if not callable(before):
        yield
        return
    signal.signal(signal.SIGINT, lambda *arguments: came.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        before(*came[0])


with _interrupts_after():
    import numba
    from numba.core.caching import FunctionCache, IndexDataCacheFile

_FunctionCache: Any = FunctionCache  # which has no types
_IndexDataCacheFile: Any = IndexDataCacheFile
# Shown on standard error by default; logging.getLogger("qsvr").setLevel("ERROR") silences it.
_LOGGER = logging.getLogger("qsvr")


class _Files(_IndexDataCacheFile):
    """Files of compiled code, each named by the types and the source that it is for.

    Numba numbers the files and keeps an index of them. Of two processes that compile one function
    for different types at the same time, one may then put its code where the other's is looked up.
    """

    @property
    def _prefix(self) -> str:
        """Of the files that were compiled from this source by this numba."""
        source = _digest((self._version, self._source_stamp))[:8]
        return f"{self._index_name.removesuffix('.nbi')}.{source}-"

    def _name(self, key: Any) -> str:
        return f"{self._prefix}{_digest(key)[:16]}.nbc"

    def load(self, key: Any) -> Any:
        """Return the code for a key, or None."""
        try:
            kept, data = self._load_data(self._name(key))
        except FileNotFoundError:
            return None
        return data if kept == key else None

    def save(self, key: Any, data: Any) -> None:
        """Write the code for a key; remove that of an earlier source."""
        self._save_data(self._name(key), (key, data))
        base, prefix = self._index_name.removesuffix(".nbi"), self._prefix
        for path in Path(self._cache_path).glob(f"{glob.escape(base)}.*"):
            if not path.name.startswith(prefix):
                path.unlink(missing_ok=True)

    def flush(self) -> None:
        """Do nothing: there is no index, and a damaged file is replaced by the next `save`."""


def _digest(value: Any) -> str:
    """Return a digest that is the same in all processes: numba's types are shown by their names."""
    return hashlib.sha256(repr(value).encode()).hexdigest()


class _Cache(_FunctionCache):
    """Numba's cache on disk, without which a fit works as well."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        stamp = self._impl.locator.get_source_stamp()
        self._cache_file = _Files(self._cache_path, self._impl.filename_base, stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Load compiled code, or return None if its files are damaged."""
        found = None
        with contextlib.suppress(Exception):  # unpickling a damaged file may raise anything
            found = super().load_overload(sig, target_context)
        if found is None:
            _announce_once()
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Save compiled code, if there is space."""
        try:
            super().save_overload(sig, data)
        except Exception as error:  # noqa: BLE001 - an index that cannot be read raises as above
            _warn_once(f"compiled code could not be written to {self.cache_path} ({error})")


_kept: set[str] = set()  # folders of compiled code
_announced = threading.Event()
_warned = threading.Event()


def kept_in() -> str:
    """Return a description of the folder of the compiled code."""
    return f"kept in {os.path.commonpath(_kept)}" if _kept else "kept for this process only"


def _announce_once() -> None:
    """Log one line before the first fit compiles, which logging shows by default."""
    if not _announced.is_set():
        _announced.set()
        _LOGGER.warning(
            "qsvr: compiling for the first fit, which takes some seconds (%s; qsvr.warm_up() does "
            "it beforehand)", kept_in(),
        )  # fmt: skip


def _warn_once(reason: str) -> None:
    if not _warned.is_set():
        _warned.set()
        warnings.warn(
            f"{reason}, so each process compiles again, which takes about ten seconds. Set the "
            "environment variable NUMBA_CACHE_DIR to a writable folder.",
            RuntimeWarning,
            stacklevel=2,
        )


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Pause the garbage collector, which goes through all that a compiler builds, many times."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _cached(compiled: Any) -> Any:
    """Give a compiled function its cache, as ``numba.njit(cache=True)`` does."""
    compiled.compile = _without_collector()(compiled.compile)
    try:
        cache = _Cache(compiled.py_func)
        compiled._cache = cache  # noqa: SLF001 - as Dispatcher.enable_caching
        _kept.add(str(cache.cache_path))
    except RuntimeError:  # no folder can be written
        _warn_once("no folder for compiled code can be written")
    return compiled


_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
# No entry points for Python either, which are half of the work of a small function, and no counting
# of references, so that such a function must not allocate arrays.
_INNER: dict[str, Any] = {**_OPTIONS, "no_cpython_wrapper": True, "_nrt": False}


def njit(function: _F) -> _F:
    """Compile without the global interpreter lock, cached on disk, with IEEE arithmetic."""
    return cast(_F, _cached(numba.njit(**_OPTIONS)(function)))


def inner(function: _F) -> _F:
    """As `njit`, for functions that only compiled ones of the same file call."""
    return cast(_F, numba.njit(**_INNER)(function))


def njit_lanes(function: _F) -> _F:
    """As `njit`, with multiply-adds fused: loops over lanes then fill the vector units."""
    return cast(_F, _cached(numba.njit(**_OPTIONS, fastmath=True)(function)))


def inner_lanes(function: _F) -> _F:
    """As `inner`, with multiply-adds fused."""
    return cast(_F, numba.njit(**_INNER, fastmath=True)(function))


def in_threads(function: Callable[[Any], Any], parts: Sequence[Any], n_jobs: int) -> list[Any]:
    """Return ``function`` of each part, by at most ``n_jobs`` threads; by none for one part."""
    if min(n_jobs, len(parts)) < 2:
        return [function(part) for part in parts]
    with ThreadPoolExecutor(min(n_jobs, len(parts))) as pool:
        return list(pool.map(function, parts))
