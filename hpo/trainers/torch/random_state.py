"""Random states of a trial: its own generators, and the global ones during training."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.errors import import_optional

if TYPE_CHECKING:
    import torch


def import_torch() -> Any:
    """Return the torch module.

    Raises
    ------
    MissingPackageError
        If it is not installed.
    """
    return import_optional("torch", "TorchTrainer", "torch")


@dataclass(frozen=True)
class Generators:
    """Three seeded generators of one trial; its checkpoint includes their states.

    Attributes
    ----------
    torch : torch.Generator
        For data loaders (``DataLoader(..., generator=generators.torch)``) and tensors on the CPU.
    numpy : numpy.random.Generator
        For NumPy.
    python : random.Random
        For other Python code.

    Examples
    --------
    >>> from hpo.trainers import Generators
    >>> generators = Generators.seeded(0)
    >>> type(generators.numpy).__name__
    'Generator'
    """

    torch: torch.Generator
    numpy: np.random.Generator
    python: random.Random

    @classmethod
    def seeded(cls, seed: int) -> Generators:
        """Create the three generators from one seed."""
        return cls(
            import_torch().Generator().manual_seed(seed),
            np.random.default_rng(seed),
            random.Random(seed),  # noqa: S311 - not for secrets
        )


@dataclass(frozen=True)
class RandomState:
    """State of a trial's generators and, during training, of the global ones.

    Layers such as dropout draw from torch's global generator, and many data sets draw from the
    other global ones, so their states belong to the trial too.

    Attributes
    ----------
    owned : Generators
        Generators of the trial.
    """

    owned: Generators

    def state_dict(self) -> dict[str, Any]:
        """Return all states as tensors and text."""
        torch = import_torch()
        # A trial on the CPU must not open the GPU, where a process takes hundreds of megabytes.
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        return {
            "torch": self.owned.torch.get_state(),
            "numpy": json.dumps(self.owned.numpy.bit_generator.state),
            "python": json.dumps(self.owned.python.getstate()),
            "global torch": torch.get_rng_state(),
            "global cuda": cuda,
            "global numpy": _global_numpy_text(),
            "global python": json.dumps(random.getstate()),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore states that `state_dict` returned."""
        torch = import_torch()
        self.owned.torch.set_state(state["torch"])
        self.owned.numpy.bit_generator.state = json.loads(state["numpy"])
        self.owned.python.setstate(_python_state(state["python"]))
        torch.set_rng_state(state["global torch"])
        # The process that wrote them may have seen more devices than this one.
        for device, cuda in enumerate(state["global cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(cuda, device)
        _set_global_numpy(state["global numpy"])
        random.setstate(_python_state(state["global python"]))


def _python_state(text: str) -> tuple[Any, ...]:
    version, internal, gauss = json.loads(text)
    return version, tuple(internal), gauss


def _global_numpy_text() -> str:
    state = np.random.get_state(legacy=False)  # noqa: NPY002 - lent to the trial, then given back
    return json.dumps(state, default=lambda array: array.tolist())


def _set_global_numpy(text: str) -> None:
    state = json.loads(text)
    state["state"]["key"] = np.asarray(state["state"]["key"], dtype=np.uint32)
    np.random.set_state(state)  # noqa: NPY002


@contextlib.contextmanager
def isolated_random(seed: int) -> Iterator[RandomState]:
    """Seed the global generators for a trial, and restore them afterwards.

    Parameters
    ----------
    seed : int
        Seed of the global generators and of the trial's own.
    """
    torch = import_torch()
    opened, first_seed = torch.cuda.is_initialized(), torch.initial_seed()
    devices = list(range(torch.cuda.device_count())) if opened else []
    python, numpy = random.getstate(), _global_numpy_text()
    with torch.random.fork_rng(devices=devices):
        try:
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            yield RandomState(Generators.seeded(seed))
        finally:
            random.setstate(python)
            _set_global_numpy(numpy)
            if not opened:  # CUDA starts with the seed of the CPU, now or whenever it is opened
                torch.cuda.manual_seed_all(first_seed)
