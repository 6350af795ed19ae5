"""Errors of the machine, as distinct from those of trials."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from hpo.errors import InterruptedRunError, MachineError
from hpo.trainers.failures import describe
from hpo.trainers.faults import machine_fault


@contextlib.contextmanager
def machine_errors_named() -> Iterator[None]:
    """Add the remedy to an error of the machine; keep the results of an interrupt."""
    try:
        yield
    except KeyboardInterrupt as second:  # between the end of the run and that of its workers
        first = second.__context__
        if isinstance(second, InterruptedRunError) or not isinstance(first, InterruptedRunError):
            raise
        raise first from None
    except (OSError, MemoryError) as error:
        remedy = machine_fault(error, memory=True)
        if not remedy:
            raise
        raise MachineError(f"{describe(error)}; {remedy} and resume") from error
