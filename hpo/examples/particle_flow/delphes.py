"""Reader of the public particle-flow data: top pairs and jets simulated with Pythia 8 and Delphes.

The files (``tev14_pythia8_ttbar_0_0.pkl.bz2`` and so on, doi 10.5281/zenodo.4559324) are pickles of
a dict: ``X`` a list with one array (n_elements, 12) an event, ``ygen`` with arrays (n_elements, 7)
of the generated particles, ``ycand`` with those of Delphes' own algorithm. A pickle can run any
code; this reader builds numpy arrays and plain containers, and refuses everything else.

References
----------
Pata et al., MLPF: efficient machine-learned particle-flow reconstruction using graph neural
networks, Eur. Phys. J. C 81, 381 (2021), arXiv 2101.08578.
"""

from __future__ import annotations

import bz2
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from hpo.examples.particle_flow.events import CLASSES, N_FEATURES, N_TARGETS, Event, Events

_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *((core, "_reconstruct") for core in ("numpy.core.multiarray", "numpy._core.multiarray")),
    *((core, "_frombuffer") for core in ("numpy.core.numeric", "numpy._core.numeric")),
    ("_codecs", "encode"),  # how pickle protocol 2 writes bytes
}


class _ArrayUnpickler(pickle.Unpickler):
    """Builds arrays and plain containers only."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no array")
        return super().find_class(module, name)


def read_delphes(path: str | Path, *, multiple: int = 1) -> Events:
    """Read a file of the public Delphes data.

    Parameters
    ----------
    path : str or Path
        ``.pkl`` or ``.pkl.bz2``.
    multiple : int, default=1
        Events are filled up to a common multiple of this length.

    Raises
    ------
    ValueError
        If the file is no pickle of arrays, or not of that form; the message names it.
    OSError
        If it cannot be read.
    """
    path = Path(path)
    try:
        with bz2.open(path) if path.suffix == ".bz2" else path.open("rb") as file:
            data = _ArrayUnpickler(file).load()
        events = [_event(x, y) for x, y in zip(data["X"], data["ygen"], strict=True)]
        return Events.padded(events, multiple)
    except FileNotFoundError:
        raise
    except Exception as error:  # whatever a damaged file makes pickle raise
        raise ValueError(f"{path} is no file of the Delphes particle-flow data: {error}") from error


def _event(elements: Any, targets: Any) -> Event:
    measured, true = np.asarray(elements, np.float32), np.asarray(targets, np.float32)
    if measured.shape[1:] != (N_FEATURES,) or true.shape != (len(measured), N_TARGETS):
        raise ValueError(
            f"an event needs elements (n, {N_FEATURES}) and targets (n, {N_TARGETS}), got "
            f"{measured.shape} and {true.shape}"
        )
    if not set(np.unique(true[:, 0]).tolist()) <= set(range(len(CLASSES))):
        raise ValueError(f"classes must be whole numbers from 0 to {len(CLASSES) - 1}")
    if not (np.isfinite(measured).all() and np.isfinite(true).all()):
        raise ValueError("its numbers must be finite")
    return measured, true
