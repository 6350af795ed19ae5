"""Options of the executors, as given by ``--executor-option NAME=VALUE``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from hpo.errors import UsageError

DEVICE_VARIABLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Devices:
    """Devices of workers, one per worker, passed in the environment.

    Attributes
    ----------
    names : tuple of str
        Device of worker 0, of worker 1, and so on.
    variable : str, default="CUDA_VISIBLE_DEVICES"
        Environment variable that selects the devices of a process.
    """

    names: tuple[str, ...]
    variable: str = DEVICE_VARIABLE

    def of(self, worker: int) -> dict[str, str]:
        """Return the environment of a worker.

        Raises
        ------
        UsageError
            If there are more workers than devices.
        """
        self.check(worker + 1)
        return {self.variable: self.names[worker]}

    def check(self, n_workers: int) -> None:
        """Check that there is one for each worker.

        Raises
        ------
        UsageError
            If there are too few.
        """
        if not 0 < n_workers <= len(self.names):
            raise UsageError(
                f"devices must name one device per worker: {n_workers} workers, got "
                f"{len(self.names)} ({','.join(self.names)}); name a device twice to share it, or "
                "take fewer workers"
            )


@dataclass(frozen=True)
class ExecutorOptions:
    """Options of all executors. `hpo.run.executors.registry` defines which executor takes which.

    Attributes
    ----------
    address : str, default=""
        Address of a running Dask scheduler or Ray cluster; empty starts one on this machine.
    scheduler_file : str, default=""
        File in which a Dask scheduler wrote its address.
    devices : Devices or None, default=None
        Devices of each machine, one per worker.
    threads : int, default=1
        Number of threads of numerical libraries in a worker.
    patience : float, default=60.0
        Seconds to wait for a cluster, for its first worker, and for the workers' answers to the
        handshake.
    """

    address: str = ""
    scheduler_file: str = ""
    devices: Devices | None = None
    threads: int = 1
    patience: float = 60.0

    @classmethod
    def read(cls, executor: str, allowed: Iterable[str], given: Mapping[str, Any]) -> Self:
        """Build the options from plain values.

        Parameters
        ----------
        executor : str
            Name of the executor, for messages.
        allowed : iterable of str
            Options that it takes.
        given : Mapping
            Options by name.

        Raises
        ------
        UsageError
            If an option is unknown or invalid.
        """
        allowed = sorted(allowed)
        for name in given:
            if name not in allowed:
                known = ", ".join(allowed) or "none"
                raise UsageError(f"executor {executor!r} has no option {name!r}; it has: {known}")
        values = dict(given)
        variable = values.pop("device_variable", DEVICE_VARIABLE)
        if "devices" in values:
            given_devices = values["devices"]  # "0,1", 0 or [0, 1]
            parts = given_devices.split(",") if isinstance(given_devices, str) else given_devices
            parts = parts if isinstance(parts, list | tuple) else [parts]
            names = tuple(str(part).strip() for part in parts)
            if not names or not all(names):
                raise UsageError(
                    f"executor option devices must be a list such as 0,1, got {given_devices!r}"
                )
            values["devices"] = Devices(names, str(variable))
        options = cls(**values)
        options._check()
        return options

    def _check(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type == "str" and not isinstance(value, str):
                raise UsageError(f"executor option {field.name} must be text, got {value!r}")
        if isinstance(self.threads, bool) or not isinstance(self.threads, int) or self.threads < 1:
            raise UsageError(
                f"executor option threads must be an integer of at least 1, got {self.threads!r}"
            )
        if not isinstance(self.patience, int | float) or not self.patience > 0:
            raise UsageError(
                f"executor option patience must be seconds above 0, got {self.patience!r}"
            )
        if self.address and self.scheduler_file:
            raise UsageError(
                "executor options address and scheduler_file exclude each other; give one"
            )
