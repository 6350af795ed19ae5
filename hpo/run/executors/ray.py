"""Ray: each segment is a task, on this machine or on a running cluster."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from hpo.errors import ExecutorLostError, UsageError, import_optional
from hpo.run.executors.options import Devices, ExecutorOptions
from hpo.run.executors.pools import ExecutorPool
from hpo.run.executors.remote import CallingExecutor, WorkerSetup

T = TypeVar("T")


def ray_pool(n_workers: int | None, options: ExecutorOptions) -> ExecutorPool:
    """Build a pool on Ray.

    If this process is connected to Ray already, that connection is used and left open. The output
    of the workers is in the logs of Ray's session.

    Parameters
    ----------
    n_workers : int or None
        Segments at the same time; None takes the processors of the cluster, or 1 without one.
    options : ExecutorOptions
        ``address`` of a cluster (``auto`` finds it); without it Ray is started on this machine.
    """
    first = _Ray(n_workers or 1, options)
    own = first.count() if options.address else 1
    count = own if n_workers is None else n_workers
    spare = [first]  # connected already; after it broke, connect anew
    return ExecutorPool(
        lambda: CallingExecutor(spare.pop() if spare else _Ray(count, options), count), count
    )


class _Ray:
    """A connection to Ray, started here where there was none."""

    def __init__(self, n_workers: int, options: ExecutorOptions) -> None:
        self._ray = import_optional("ray", "executor 'ray'", "ray")
        self._owner = not self._ray.is_initialized()
        if options.devices is not None:
            options.devices.check(n_workers)
        if self._owner:
            self._start(n_workers, options)
        if options.devices is not None:
            self._check_devices(n_workers)
        task = self._ray.remote(WorkerSetup.run)
        gpus = 0 if options.devices is None else 1
        # max_retries: the run itself retries what fails
        self._task = task.options(num_cpus=1, num_gpus=gpus, max_retries=0)
        self._setup = WorkerSetup(options.threads)

    def _start(self, n_workers: int, options: ExecutorOptions) -> None:
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        try:
            if options.address:
                self._ray.init(address=options.address, **quiet)
            else:
                _show(options.devices)
                gpus = 0 if options.devices is None else n_workers
                self._ray.init(num_cpus=n_workers, num_gpus=gpus, include_dashboard=False, **quiet)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UsageError(
                f"Ray cannot be reached at {options.address or 'this machine'}: {error}"
            ) from error

    def _check_devices(self, n_workers: int) -> None:
        """Complain where tasks would wait for devices that Ray does not have."""
        there = int(self._ray.cluster_resources().get("GPU", 0))
        if there < n_workers:
            self.close()
            raise UsageError(
                f"devices: the Ray that is running has {there} GPUs for {n_workers} workers; "
                "start it with as many, or leave it to be started here (ray.shutdown() first)"
            )

    def count(self) -> int:
        """Return the processors of the cluster."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def call(self, work: Callable[[], T]) -> T:
        """Run a call as a task."""
        try:
            result: T = self._ray.get(self._task.remote(self._setup, work))
        except self._ray.exceptions.RaySystemError as error:
            raise ExecutorLostError(f"Ray is gone ({error})") from error
        return result

    def close(self) -> None:
        """Disconnect, and stop Ray if it was started here."""
        if self._owner and self._ray.is_initialized():
            self._ray.shutdown()


def _show(devices: Devices | None) -> None:
    """Make devices visible to Ray, which assigns one to each task by CUDA_VISIBLE_DEVICES."""
    if devices is None:
        return
    if devices.variable != "CUDA_VISIBLE_DEVICES":
        raise UsageError(
            "executor 'ray' gives devices out through CUDA_VISIBLE_DEVICES, got device_variable "
            f"{devices.variable!r}; leave it out"
        )
    os.environ[devices.variable] = ",".join(devices.names)
