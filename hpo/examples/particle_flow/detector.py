"""A small simulated detector: particles in, tracks and calorimeter towers out.

An event is a few jets of particles over a soft background. A charged particle leaves a track with
a measured momentum and is bent by the magnetic field on its way to the calorimeter. There, all
particles leave energy in towers of 0.1 x 0.1 in eta and phi, several in the same one where they
come close; photons and electrons in the electromagnetic part, hadrons in both, each with its own
resolution. The task of particle flow is the way back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo._typing import BoolArray, FloatArray
from hpo.examples.particle_flow.events import TOWER, TRACK, Event, Events

_SHARES = (0.0, 0.58, 0.13, 0.25, 0.02, 0.02)  # of the classes, from "none" to "muon"
_TRACK_EFFICIENCY = np.array([0.0, 0.95, 0.0, 0.0, 0.93, 0.98])
_ETA_MAX = 2.5
_N_PHI = 63
_CELL = 2 * np.pi / _N_PHI
_BEND = 0.68  # GeV: sine of the bending angle times pt, for 3.8 T over 1.2 m
_LEAST_TOWER, _LEAST_NEUTRAL = 0.5, 1.0  # GeV


@dataclass(frozen=True)
class _Particles:
    """True particles of an event; all arrays of shape (n,)."""

    kind: NDArray[np.int64]
    charge: FloatArray
    pt: FloatArray
    eta: FloatArray
    phi: FloatArray

    @property
    def energy(self) -> FloatArray:
        return np.asarray(self.pt * np.cosh(self.eta))  # masses are neglected


def simulate_events(n_events: int, seed: int = 0, n_particles: int = 30) -> Events:
    """Simulate events.

    Parameters
    ----------
    n_events : int
        How many; at least 1.
    seed : int, default=0
        Of all random choices; event number i is the same whatever the number of events.
    n_particles : int, default=30
        Mean number of particles in an event; at least 1.

    Returns
    -------
    Events

    Raises
    ------
    ValueError
        If a number is below 1.

    Examples
    --------
    >>> events = simulate_events(3, seed=1)
    >>> len(events), events.elements.shape[2], events.targets.shape[2]
    (3, 12, 7)
    """
    for name, value in (("n_events", n_events), ("n_particles", n_particles)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    return Events.padded(
        [_event(np.random.default_rng([seed, i]), n_particles) for i in range(n_events)]
    )


def _event(rng: np.random.Generator, n_particles: int) -> Event:
    particles = _generate(rng, max(int(rng.poisson(n_particles)), 1))
    has_track = rng.random(len(particles.kind)) < _TRACK_EFFICIENCY[particles.kind]
    tracks, track_targets = _tracks(rng, particles, has_track)
    towers, tower_targets = _towers(rng, particles, has_track)
    elements = np.concatenate([tracks, towers])
    targets = np.concatenate([track_targets, tower_targets])
    order = np.argsort(-elements[:, 1], kind="stable")
    return elements[order].astype(np.float32), targets[order].astype(np.float32)


def _generate(rng: np.random.Generator, n: int) -> _Particles:
    """Draw particles: three of four in jets, the others anywhere."""
    kind = rng.choice(len(_SHARES), n, p=_SHARES)
    n_jets = int(rng.integers(2, 5))
    jet = rng.integers(n_jets, size=n)
    inside = rng.random(n) < 0.75
    axis_eta, axis_phi = rng.uniform(-2, 2, n_jets), rng.uniform(-np.pi, np.pi, n_jets)
    eta = np.where(inside, axis_eta[jet] + rng.normal(0, 0.2, n), rng.uniform(-2.4, 2.4, n))
    phi = np.where(inside, axis_phi[jet] + rng.normal(0, 0.2, n), rng.uniform(-np.pi, np.pi, n))
    pt = 0.8 + rng.exponential(np.where(inside, 6.0, 1.5), n)
    charged = np.isin(kind, (1, 4, 5))
    charge = np.where(charged, rng.choice((-1.0, 1.0), n), 0.0)
    eta = np.clip(eta, -_ETA_MAX + 0.01, _ETA_MAX - 0.01)
    return _Particles(kind, charge, pt, eta, _wrapped(phi))


def _wrapped(phi: FloatArray) -> FloatArray:
    return np.asarray((phi + np.pi) % (2 * np.pi) - np.pi)


def _outer_phi(particles: _Particles) -> FloatArray:
    """Return where in phi particles meet the calorimeter, bent by the field."""
    bend = np.arcsin(np.minimum(_BEND / particles.pt, 0.95))
    return _wrapped(particles.phi - particles.charge * bend)


def _tracks(
    rng: np.random.Generator, particles: _Particles, has_track: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Return elements (n, 12) and targets (n, 7)."""
    n = int(has_track.sum())
    kind, charge = particles.kind[has_track], particles.charge[has_track]
    true_pt, eta = particles.pt[has_track], particles.eta[has_track]
    resolution = np.hypot(0.01, 0.001 * true_pt) * np.where(kind == 4, 3.0, 1.0)
    pt = true_pt * np.maximum(1 + resolution * rng.normal(size=n), 0.1)
    seen_eta = eta + rng.normal(0, 1e-3, n)
    seen_phi = particles.phi[has_track] + rng.normal(0, 1e-3, n)
    outer = _outer_phi(particles)[has_track] + rng.normal(0, 2e-3, n)
    columns = [
        np.full(n, TRACK),
        *(pt, seen_eta, np.sin(seen_phi), np.cos(seen_phi), pt * np.cosh(seen_eta)),
        *(seen_eta, np.sin(outer), np.cos(outer)),
        *(charge, kind == 5, kind == 4),
    ]
    targets = _targets(kind, charge, true_pt, eta, particles.phi[has_track])
    return np.column_stack(columns).astype(float), targets


def _towers(
    rng: np.random.Generator, particles: _Particles, has_track: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Return elements (n, 12) and targets (n, 7) of all towers above threshold."""
    n = len(particles.kind)
    electromagnetic, hadronic = _deposits(rng, particles)
    column = np.floor((_outer_phi(particles) + np.pi) / _CELL).astype(int) % _N_PHI
    row = np.floor((particles.eta + _ETA_MAX) / 0.1).astype(int)
    cells, cell = np.unique(row * _N_PHI + column, return_inverse=True)
    em = np.bincount(cell, electromagnetic, len(cells))
    had = np.bincount(cell, hadronic, len(cells))
    eta = (cells // _N_PHI + 0.5) * 0.1 - _ETA_MAX
    phi = (cells % _N_PHI + 0.5) * _CELL - np.pi
    energy = em + had
    zero = np.zeros(len(cells))
    columns = [
        np.full(len(cells), TOWER),
        *(energy / np.cosh(eta), eta, np.sin(phi), np.cos(phi), energy, em, had),
        *(zero, zero, zero, zero),
    ]
    targets = np.zeros((len(cells), 7))
    alone = ~has_track & (particles.kind != 5)  # a muon without a track is not reconstructed
    for place in np.unique(cell[alone]):
        targets[place] = _merged(particles, np.arange(n)[alone & (cell == place)])
    seen = energy > _LEAST_TOWER
    return np.column_stack(columns).astype(float)[seen], targets[seen]


def _deposits(rng: np.random.Generator, particles: _Particles) -> tuple[FloatArray, FloatArray]:
    """Return the measured electromagnetic and hadronic energy of each particle."""
    n = len(particles.kind)
    share = np.select(
        [np.isin(particles.kind, (3, 4)), particles.kind == 5],
        [np.ones(n), np.full(n, 0.2)],
        rng.beta(1.5, 3.0, n),
    )
    energy = np.where(particles.kind == 5, np.minimum(2.5, particles.energy), particles.energy)
    em, had = share * energy, (1 - share) * energy
    em_spread = np.hypot(0.1 * np.sqrt(em), 0.01 * em)
    had_spread = np.hypot(0.8 * np.sqrt(had), 0.05 * had)
    noisy = (em + em_spread * rng.normal(size=n), had + had_spread * rng.normal(size=n))
    return np.maximum(noisy[0], 0), np.maximum(noisy[1], 0)


def _merged(particles: _Particles, members: NDArray[np.int64]) -> FloatArray:
    """Return the target of a tower: the sum of its particles without a track, of shape (7,).

    The class is that of the largest energy; what is charged but left no track counts as neutral.
    """
    neutral = np.array([0, 2, 2, 3, 3, 0])[particles.kind[members]]
    pt, eta, phi = particles.pt[members], particles.eta[members], particles.phi[members]
    energy = particles.energy[members]
    if energy.sum() < _LEAST_NEUTRAL:
        return np.zeros(7)
    x, y, z = (pt * np.cos(phi)).sum(), (pt * np.sin(phi)).sum(), (pt * np.sinh(eta)).sum()
    kind = int(np.argmax(np.bincount(neutral, energy)))
    total = np.hypot(x, y)
    angles = (np.arcsinh(z / total), y / total, x / total)
    return np.array([kind, 0.0, total, *angles, energy.sum()])


def _targets(
    kind: NDArray[np.int64], charge: FloatArray, pt: FloatArray, eta: FloatArray, phi: FloatArray
) -> FloatArray:
    return np.column_stack([kind, charge, pt, eta, np.sin(phi), np.cos(phi), pt * np.cosh(eta)])
