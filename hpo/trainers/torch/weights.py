"""Weights of epochs before the last one, in files beside the checkpoint.

The best epoch so far can only be told from the epochs after it. Its weights are therefore copied in
memory, and written when a later epoch that is not as good is about to be saved: before the
checkpoint, and those that are not needed any more are deleted after it. So the files that a
checkpoint needs are there whenever the process is killed.
"""

from __future__ import annotations

import contextlib
import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hpo.errors import CheckpointError
from hpo.files import write_atomically
from hpo.trainers.torch.random_state import import_torch

if TYPE_CHECKING:
    import torch


def best_epoch(losses: Sequence[float]) -> int:
    """Return the number of the epoch with the lowest loss, from 1 on: the first one of equals.

    Parameters
    ----------
    losses : sequence of float
        At least one; NaN and infinity count as worst.
    """
    known = [loss if math.isfinite(loss) else math.inf for loss in losses]
    return 1 + known.index(min(known))


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and plain values to a file, all or nothing."""
    buffer = io.BytesIO()  # torch would hide the reason of a failed write
    import_torch().save(state, buffer)
    write_atomically(path, lambda file: file.write(buffer.getbuffer()))


class Weights:
    """The weights beside a checkpoint.

    Parameters
    ----------
    checkpoint : Path
        The checkpoint, which includes the weights of its last epoch.
    keep : {"last", "best", "all"}, default="last"
        Which others are kept.
    """

    def __init__(self, checkpoint: Path, keep: Literal["last", "best", "all"] = "last") -> None:
        self._checkpoint = checkpoint
        self._keep = keep
        self._copies: dict[int, Mapping[str, Any]] = {}  # by epoch, not yet in a file

    def note(self, model: torch.nn.Module, losses: Sequence[float]) -> None:
        """Copy the weights of the last epoch if they have to be kept.

        Parameters
        ----------
        model : torch.nn.Module
            The model after that epoch.
        losses : sequence of float
            Losses of all epochs; empty before the first one.
        """
        epoch = len(losses)
        if not epoch or self._keep == "last":
            return
        if self._keep == "best":
            if best_epoch(losses) != epoch:
                return
            self._copies.clear()
        self._copies[epoch] = {name: _copy(value) for name, value in model.state_dict().items()}

    def save(self, losses: Sequence[float]) -> None:
        """Write the copied weights that the next checkpoint does not include.

        Parameters
        ----------
        losses : sequence of float
            Losses of all epochs of the next checkpoint.
        """
        for epoch in [epoch for epoch in self._copies if epoch < len(losses)]:
            save_state(self._path(epoch), {"epoch": epoch, "model": self._copies.pop(epoch)})

    def tidy(self, losses: Sequence[float]) -> None:
        """Delete weights that the checkpoint has made superfluous.

        Parameters
        ----------
        losses : sequence of float
            Losses of all epochs of the checkpoint.
        """
        if self._keep != "best":
            return
        for path in self._checkpoint.parent.glob(f"{self._checkpoint.name}.epoch-*"):
            if path != self._path(best_epoch(losses)):
                with contextlib.suppress(OSError):
                    path.unlink()

    def load(
        self, losses: Sequence[float], which: Literal["last", "best"] | int
    ) -> Mapping[str, Any] | None:
        """Return weights; None for those in the checkpoint itself.

        Parameters
        ----------
        losses : sequence of float
            Losses of all epochs of the checkpoint.
        which : {"last", "best"} or int
            The epoch.

        Raises
        ------
        ValueError
            If they were not kept.
        CheckpointError
            If they cannot be read.
        """
        named = {"last": len(losses), "best": best_epoch(losses)}
        epoch = named.get(which) if isinstance(which, str) else which
        if epoch is None or isinstance(epoch, bool) or not 1 <= epoch <= len(losses):
            raise ValueError(
                f"which must be 'last', 'best' or an epoch of 1 to {len(losses)}, got {which!r}"
            )
        if epoch == len(losses):
            return None
        path = self._path(epoch)
        if not path.exists():
            kept = sorted(int(found[1]) for found in map(_number, self._files()) if found)
            raise ValueError(
                f"which={which!r} needs the weights of epoch {epoch}, which {self._checkpoint} "
                f"does not have (it has those of {[*kept, len(losses)]}); train with "
                "TorchTrainer(keep='best') or 'all'"
            )
        try:
            state = import_torch().load(path, weights_only=True, map_location="cpu")
            weights: Mapping[str, Any] = state["model"]
        except Exception as error:
            raise CheckpointError(
                f"cannot read weights {path}: {type(error).__name__}; load which='last'"
            ) from error
        return weights

    def _files(self) -> list[str]:
        folder = self._checkpoint.parent
        return [path.name for path in folder.glob(f"{self._checkpoint.name}.epoch-*")]

    def _path(self, epoch: int) -> Path:
        return self._checkpoint.with_name(f"{self._checkpoint.name}.epoch-{epoch:05d}")


def _number(name: str) -> re.Match[str] | None:
    return re.search(r"\.epoch-(\d+)$", name)


def _copy(value: Any) -> Any:
    return value.detach().cpu().clone() if hasattr(value, "detach") else value
