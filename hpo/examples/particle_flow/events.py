"""Collision events: what a detector measured, and which particle each measurement stands for.

The columns are those of the public particle-flow data simulated with Delphes
(doi 10.5281/zenodo.4559324), so that simulated and public events are interchangeable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo._typing import BoolArray

TOWER, TRACK = 1, 2
"""Kinds of elements: an energy in the calorimeter, a charged particle's track."""

CLASSES = ("none", "charged hadron", "neutral hadron", "photon", "electron", "muon")
"""What an element can stand for, numbered from 0."""

N_FEATURES = 12
"""Columns of an element.

Tower: kind 1, transverse energy, eta, sin phi, cos phi, energy, electromagnetic energy, hadronic
energy, four zeros. Track: kind 2, pt, eta, sin phi, cos phi, momentum, and where it meets the
calorimeter (eta, sin phi, cos phi), charge, whether it is a muon, whether it is an electron.
Energies and momenta in GeV.
"""

N_TARGETS = 7
"""Columns of a target: class, charge, pt, eta, sin phi, cos phi, energy; zeros for none."""

Event = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Elements (n, 12) and targets (n, 7) of one event."""


@dataclass(frozen=True)
class Events:
    """Events of equal length, filled up with zeros.

    Attributes
    ----------
    elements : ndarray of shape (n_events, n_elements, 12), float32
        See `N_FEATURES`.
    targets : ndarray of shape (n_events, n_elements, 7), float32
        See `N_TARGETS`.

    Raises
    ------
    ValueError
        If the shapes are others.

    Examples
    --------
    >>> from hpo.examples.particle_flow import simulate_events
    >>> events = simulate_events(4, seed=0)
    >>> len(events.elements) == len(events.targets)
    True
    """

    elements: NDArray[np.float32]
    targets: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Check the shapes."""
        shape = self.elements.shape[:2]
        if self.elements.shape != (*shape, N_FEATURES) or self.targets.shape != (
            *shape,
            N_TARGETS,
        ):
            raise ValueError(
                f"elements must have the shape (n_events, n_elements, {N_FEATURES}) and targets "
                f"(n_events, n_elements, {N_TARGETS}); got {self.elements.shape} and "
                f"{self.targets.shape}"
            )

    def __len__(self) -> int:
        return len(self.elements)

    @property
    def present(self) -> BoolArray:
        """Which elements are there and no filling, of shape (n_events, n_elements)."""
        return np.asarray(self.elements[..., 0] != 0)

    @classmethod
    def padded(cls, events: Sequence[Event], multiple: int = 1) -> Events:
        """Join events of different lengths.

        Parameters
        ----------
        events : sequence of (elements, targets)
            One or more.
        multiple : int, default=1
            The common length is the smallest multiple of this that holds them all.

        Raises
        ------
        ValueError
            If there is no event.
        """
        if not events:
            raise ValueError("events must hold at least one event, got none")
        longest = max(len(elements) for elements, _ in events)
        length = -(-longest // multiple) * multiple
        elements = np.zeros((len(events), length, N_FEATURES), np.float32)
        targets = np.zeros((len(events), length, N_TARGETS), np.float32)
        for row, (measured, true) in enumerate(events):
            elements[row, : len(measured)] = measured
            targets[row, : len(true)] = true
        return cls(elements, targets)

    def split(self, n_first: int) -> tuple[Events, Events]:
        """Return the first `n_first` events and the others."""
        return (
            Events(self.elements[:n_first], self.targets[:n_first]),
            Events(self.elements[n_first:], self.targets[n_first:]),
        )
