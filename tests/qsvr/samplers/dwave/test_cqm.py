"""The constrained form against full enumeration."""

from __future__ import annotations

from itertools import product

import dimod
import numpy as np
import pytest

from lattice import lattice_qubo
from qsvr import QSVR, FixedPointEncoding, SVRQubo


@pytest.mark.parametrize(("weight", "offset"), [(None, 0), ([1, 2, 3], 0), (None, 2)])
def test_objective_and_constraint_by_enumeration(weight, offset):
    qubo = lattice_qubo(3, weight=weight, offset=offset)
    n, top = 3, 3
    levels = np.array(list(product(range(top + 1), repeat=2 * n)))
    coefficients = qubo.encoding.values(levels.reshape(-1, 2, n))
    on_constraint = np.abs((coefficients[:, 0] - coefficients[:, 1]).sum(axis=1)) < 1e-9
    cqm = qubo.to_cqm()
    sample_set = dimod.ExactCQMSolver().sample_cqm(cqm)
    assert sample_set.record.is_feasible.sum() == on_constraint.sum()
    best = sample_set.filter(lambda row: row.is_feasible).first
    energies = qubo.dual.energy(coefficients)[on_constraint]
    assert best.energy == pytest.approx(energies.min(), abs=1e-9)
    found = np.array([best.sample[i] for i in range(2 * n)], dtype=int).reshape(1, 2, n)
    assert qubo.dual.energy(qubo.encoding.values(found))[0] == pytest.approx(best.energy)


def test_variables_are_integers_with_whole_factors():
    cqm = lattice_qubo(3).to_cqm()
    assert all(cqm.vartype(v) is dimod.INTEGER for v in cqm.variables)
    (constraint,) = cqm.constraints.values()
    assert set(constraint.lhs.linear.values()) == {1.0, -1.0}
    assert constraint.rhs == 0


def test_levels_off_a_common_lattice_are_refused():
    with pytest.raises(ValueError, match="multiples of one step for all samples"):
        lattice_qubo(3, weight=[1.0, 1.234567, np.pi]).to_cqm()


def test_uneven_levels_are_refused():
    dual = lattice_qubo(3).dual
    encoding = FixedPointEncoding.from_base(np.ones(3), 2, base=3.0)
    with pytest.raises(ValueError, match="equally spaced"):
        SVRQubo(dual, encoding).to_cqm()


def test_estimator_with_the_exact_solver():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(3, 2))
    y = X[:, 0]
    exact = dimod.ExactCQMSolver()
    model = QSVR(sampler=exact, n_bits=2, num_reads=5, polish=False).fit(X, y)
    assert model.sampler_info_["best_from"] == "sampler"
    assert model.solutions_.coefficients[0].sum() == pytest.approx(0.0, abs=1e-12)
    assert model.sampler_info_["feasible_fraction"] < 1.0
