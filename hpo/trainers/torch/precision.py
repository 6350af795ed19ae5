"""Mixed precision: matrix products in 16 bits, weights and losses in 32 bits."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hpo.trainers.torch.random_state import import_torch

if TYPE_CHECKING:
    import torch

PRECISIONS = ("float32", "bfloat16", "float16")


class Precision:
    """Precision of a training step.

    Parameters
    ----------
    name : {"float32", "bfloat16", "float16"}
        ``"float16"`` scales the loss, so that small gradients do not vanish, and needs a GPU;
        ``"bfloat16"`` has the range of float32 and needs no scaling.
    device : str
        Type of the device: ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    ValueError
        If the name is unknown, or float16 is asked for on a CPU.
    """

    def __init__(self, name: str, device: str) -> None:
        torch = import_torch()
        if name not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}; got {name!r}")
        if name == "float16" and device == "cpu":
            raise ValueError(
                "precision 'float16' needs a GPU; use 'bfloat16' or 'float32' on a CPU"
            )
        self.name = name
        self.device = device
        self._scaler = torch.amp.GradScaler(device, enabled=name == "float16")

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Return a context that computes in this precision."""
        if self.name == "float32":
            return contextlib.nullcontext()
        torch = import_torch()
        context: contextlib.AbstractContextManager[Any] = torch.autocast(
            self.device, getattr(torch, self.name)
        )
        return context

    def step(self, loss: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Backpropagate the loss and step the optimizer."""
        self._scaler.scale(loss).backward()
        self._scaler.step(optimizer)
        self._scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the loss scaling; empty without scaling."""
        return dict(self._scaler.state_dict())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state that `state_dict` returned."""
        self._scaler.load_state_dict(dict(state))
