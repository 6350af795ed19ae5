"""Several processes that train one model together (PyTorch's DistributedDataParallel).

A process outside such a group is a group of one, so that `TorchTrainer` needs no case distinction.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from hpo.errors import CheckpointError
from hpo.trainers.torch.random_state import RandomState, import_torch

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ProcessGroup:
    """The processes that train one trial.

    Attributes
    ----------
    rank : int, default=0
        Number of this process, from 0.
    size : int, default=1
        Number of processes; 1 outside a group.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> ProcessGroup:
        """Return the group that this process belongs to."""
        distributed = import_torch().distributed
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    def wrap(self, model: torch.nn.Module) -> torch.nn.Module:
        """Return the model with gradients averaged over the group."""
        if self.size == 1:
            return model
        device = next(model.parameters()).device
        ids = [device.index] if device.type == "cuda" else None
        parallel = import_torch().nn.parallel.DistributedDataParallel
        return cast("torch.nn.Module", parallel(model, device_ids=ids))

    def from_first(self, value: Any) -> Any:
        """Return the value of the first process."""
        values = [value]
        if self.size > 1:
            import_torch().distributed.broadcast_object_list(values, src=0)
        return values[0]

    def from_all(self, value: Any) -> list[Any]:
        """Return the values of all processes, in order of rank."""
        values = [value] * self.size
        if self.size > 1:
            import_torch().distributed.all_gather_object(values, value)
        return values

    def check_writers(self, random_state: Mapping[str, Any]) -> None:
        """Check that a checkpoint was written by as many processes as now read it.

        Raises
        ------
        CheckpointError
            If the numbers differ: each process has its own random states.
        """
        writers = len(random_state.get("ranks", (None,)))
        if writers != self.size:
            raise CheckpointError(
                f"checkpoint was written by {writers} processes, and {self.size} read it; go on "
                "with as many as before"
            )

    def meet(self) -> None:
        """Wait until every process has reached this point."""
        if self.size > 1:
            import_torch().distributed.barrier()


def local_device(name: str) -> torch.device:
    """Return the device of this process.

    Parameters
    ----------
    name : str
        PyTorch's name; in a group, ``"cuda"`` is the GPU of this process.
    """
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    return cast("torch.device", import_torch().device(name))


@dataclass(frozen=True)
class GroupRandomState:
    """Random states of all processes of a group.

    Attributes
    ----------
    own : RandomState
        Random state of this process.
    group : ProcessGroup
        Its group.
    """

    own: RandomState
    group: ProcessGroup

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all processes; every process must call this."""
        return {"ranks": self.group.from_all(self.own.state_dict())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state of this process."""
        self.own.load_state_dict(state["ranks"][self.group.rank])
