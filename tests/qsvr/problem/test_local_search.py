"""Descent on levels against what a search through all levels and all pairs finds."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import scale

from qsvr import FixedPointEncoding, SVRDual, SVRQubo, get_sampler
from qsvr.problem import polish
from qsvr.problem.local_search import descend_levels
from qsvr.problem.stack import QuboStack


def dual_of(n, *, C=1.0, overlap=0.0, sign=1.0):
    X, y = load_diabetes(return_X_y=True)
    X, y = scale(X)[:n], scale(y)[:n]
    distance = ((X[:, None] - X[None]) ** 2).sum(axis=-1)
    return SVRDual(sign * np.exp(-0.1 * distance), y, 0.1, np.broadcast_to(C, n), 2.0, overlap)


def encodings(n):
    rng = np.random.default_rng(1)
    width = rng.uniform(0.2, 1.0, (2, n))
    width[1, 0] = 0.0  # a coefficient that cannot move
    return {
        "3 bits": FixedPointEncoding.for_box(np.ones(n), 3),
        "1 bit": FixedPointEncoding.for_box(np.ones(n), 1),
        "base 3": FixedPointEncoding.from_base(np.full(n, 0.1), 3, base=3.0),
        "windows": FixedPointEncoding(
            rng.uniform(0.0, 0.5, (2, n)), width, np.array([1, 2, 4]) / 7
        ),
    }


def local_minimum(qubo, levels):
    """Return the lowest energies that one change, or an opposite one of two, leads to."""
    dual, encoding, n = qubo.dual, qubo.encoding, qubo.dual.n_samples
    top = encoding.grid.size
    singles = []
    for side in range(2):
        for k in range(n):
            for level in range(top):
                other = levels.copy()
                other[side, k] = level
                singles.append(other)
    pairs = []
    for i in range(n):
        for j in range(n):
            for up in ((0, 1), (1, -1)):  # a up, or a-hat down
                for down in ((0, -1), (1, 1)):
                    other = levels.copy()
                    other[up[0], i] += up[1]
                    other[down[0], j] += down[1]
                    if other.min() >= 0 and other.max() < top:
                        pairs.append(other)
    energies = [dual.energy(encoding.values(np.array(each))) for each in (singles, pairs)]
    return energies[0].min(), energies[1].min()


@pytest.mark.parametrize("name", ["3 bits", "1 bit", "base 3", "windows"])
@pytest.mark.parametrize("sign", [1.0, -1.0], ids=["convex", "not convex"])
@pytest.mark.parametrize("overlap", [0.0, 0.3])
def test_no_change_of_one_nor_of_two_improves(name, sign, overlap):
    n = 7
    qubo = SVRQubo(dual_of(n, overlap=overlap, sign=sign), encodings(n)[name])
    rng = np.random.default_rng(0)
    start = rng.integers(0, qubo.encoding.grid.size, (5, 2, n))
    found = descend_levels(qubo, start)
    energies = qubo.dual.energy(qubo.encoding.values(found))
    assert (energies <= qubo.dual.energy(qubo.encoding.values(start)) + 1e-12).all()
    for levels, energy in zip(found, energies, strict=True):
        single, pair = local_minimum(qubo, levels)
        assert single >= energy - 1e-9
        assert pair >= energy - 1e-9


@pytest.mark.parametrize("name", ["3 bits", "1 bit", "base 3", "windows"])
def test_energies_of_pair_moves_are_those_of_the_points_they_lead_to(name):
    n = 9
    qubo = SVRQubo(dual_of(n, overlap=0.2), encodings(n)[name])
    dual, encoding = qubo.dual, qubo.encoding
    levels = np.random.default_rng(3).integers(0, encoding.grid.size, (2, n))
    partners = np.array([[j for j in range(n) if j != i] for i in range(n)])
    found = QuboStack.of([qubo]).excitations(levels[None], partners[None])[0]
    here = dual.energy(encoding.values(levels))

    def shifted(at, sample, down):
        """Return levels where the coefficient ``down`` falls, or else the other one rises."""
        at = at.copy()
        if at[down, sample] > 0:
            at[down, sample] -= 1
        elif encoding.is_even and at[1 - down, sample] < encoding.grid.size - 1:
            at[1 - down, sample] += 1
        else:
            return None
        moved = encoding.values(at)[:, sample] != encoding.values(levels)[:, sample]
        return at if moved.any() else None

    for i in range(n):
        for energy, j in zip(found[i], partners[i], strict=True):
            up = shifted(levels, i, 1)
            both = None if up is None else shifted(up, j, 0)
            expected = np.inf if both is None else dual.energy(encoding.values(both)) - here
            assert energy == pytest.approx(expected, abs=1e-12)


def test_one_job_starts_no_thread(monkeypatch):
    started = []
    start = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda self: (started.append(self), start(self)))
    qubo = SVRQubo(dual_of(12), FixedPointEncoding.for_box(np.ones(12), 3))
    samples = get_sampler("structured").sample(qubo, num_reads=130, seed=0, n_jobs=1)
    alone = polish(qubo, samples)
    assert not started
    shared = polish(qubo, samples, n_jobs=2)
    assert 1 <= len(started) <= 2  # a thread that is idle again takes the second part
    assert (shared.bits == alone.bits).all()


@pytest.mark.slow
def test_many_bits_do_not_cost_a_scan_of_all_levels():
    """A scan takes 25 times as long at 8 bits as at 3; bisection and few sweeps, a few times."""
    dual = dual_of(200)
    seconds = {}
    for n_bits in (3, 8):
        qubo = SVRQubo(dual, FixedPointEncoding.for_box(dual.C, n_bits))
        start = np.random.default_rng(0).integers(0, 2**n_bits, (16, 2, 200))
        descend_levels(qubo, start)  # compile
        before = time.process_time()
        found = descend_levels(qubo, start)
        seconds[n_bits] = time.process_time() - before
        assert dual.energy(qubo.encoding.values(found)).min() < 0.97 * dual.bound
    assert seconds[8] < 16 * seconds[3]
