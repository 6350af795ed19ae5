"""Ray: each segment is a task, on this machine or on a running cluster."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from hpo.errors import ExecutorLostError, UsageError, import_optional
from hpo.run.executors.handshake import Greeter, Question, Reply, raise_refused
from hpo.run.executors.options import Devices, ExecutorOptions
from hpo.run.executors.remote import ClusterPool, WorkerSetup
from hpo.trainers.base import Trainer

T = TypeVar("T")

_TRY_EVERY = 0.5
"""Seconds between two tries to reach a cluster."""

# HTTP/2 (RFC 9113, sections 3.4 and 6.5): a client sends this preface and an empty SETTINGS frame,
# and a server answers with a SETTINGS frame.
_FRAME_HEADER, _SETTINGS = 9, b"\x04"
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + _SETTINGS + b"\0\0\0\0\0"


def ray_pool(n_workers: int | None, options: ExecutorOptions) -> ClusterPool:
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
    return ClusterPool(lambda: spare.pop() if spare else _Ray(count, options), count)


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
        gpus = 0 if options.devices is None else 1
        # max_retries: the run itself retries what fails
        self._open = self._ray.remote(max_retries=0)(_travelling())
        self._task = self._open.options(num_cpus=1, num_gpus=gpus)
        self._setup = WorkerSetup(options.threads)
        self._greeter = Greeter("ray", options.patience, self._ray.cloudpickle.dumps)

    def _start(self, n_workers: int, options: ExecutorOptions) -> None:
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        try:
            if options.address:
                _wait_for(options.address, options.patience)
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
        parcel = self._greeter.parcel(partial(self._setup.run, work))
        try:
            kind, result = self._ray.get(self._task.remote(*parcel))
        except self._ray.exceptions.RaySystemError as error:
            raise ExecutorLostError(f"Ray is gone ({error})") from error
        if kind == "refused":
            raise_refused([result], "ray")
        done: T = result
        return done

    def greet(self, trainer: Trainer, root: Path) -> None:
        """Check a process on each node; a later one is checked with its first call."""
        self._greeter.greet(trainer, root, self._ask)

    def _ask(self, question: Question) -> tuple[list[Reply], list[str]]:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        tasks: dict[Any, str] = {}
        for node in self._ray.nodes():
            if node["Alive"] and node["Resources"].get("CPU", 0) > 0:
                there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                task = self._open.options(num_cpus=0, scheduling_strategy=there)
                name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
                tasks[task.remote(*question.parcel())] = name
        done, late = self._ray.wait(
            list(tasks), num_returns=len(tasks), timeout=self._greeter.patience
        )
        return [self._ray.get(task) for task in done], [tasks[task] for task in late]

    def close(self) -> None:
        """Disconnect, and stop Ray if it was started here."""
        if self._owner and self._ray.is_initialized():
            self._ray.shutdown()


def _travelling() -> Callable[..., Any]:
    """Return `eval` as a function that Ray sends as it is, where it would import one of ours."""
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec("def hpo_segment(text, variables):\n    return eval(text, variables)", scope)  # noqa: S102
    made: Callable[..., Any] = scope["hpo_segment"]
    return made


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


def _wait_for(address: str, patience: float) -> None:
    """Wait until something answers at an address: Ray itself tries for minutes.

    Raises
    ------
    UsageError
        If nothing does in time.
    """
    place = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    host, _, port = place.rpartition("://")[2].rpartition(":")
    if place in ("", "auto", "local") or not host or not port.isdecimal():
        return  # Ray finds its own, or complains at once
    end = time.monotonic() + patience
    while True:
        problem = _problem_at(host.strip("[]"), int(port), max(_TRY_EVERY, end - time.monotonic()))
        if not problem:
            return
        if time.monotonic() + _TRY_EVERY > end:
            raise UsageError(
                f"no Ray cluster answers at {place} within patience={patience:g} s ({problem}); "
                "start it first (ray start --head), or correct the address"
            )
        time.sleep(_TRY_EVERY)


def _problem_at(host: str, port: int, patience: float) -> str:
    """Return why no server of gRPC, which Ray uses, answers here; empty if one does."""
    try:
        with socket.create_connection((host, port), patience) as connection:
            if os.environ.get("RAY_USE_TLS", "0") == "1":
                return ""
            connection.sendall(_PREFACE)
            answer = connection.recv(_FRAME_HEADER)
    except (OSError, OverflowError) as error:
        return str(error) or type(error).__name__
    return "" if answer[3:4] == _SETTINGS else "another service answers"
