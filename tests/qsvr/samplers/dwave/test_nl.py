"""The nonlinear form against full enumeration, and its sampler through the real client."""

from __future__ import annotations

import io
from itertools import product

import numpy as np
import pytest
from dwave.optimization import Model

from lattice import lattice_qubo
from qsvr import QSVR, FixedPointEncoding, SVRDual, SVRQubo, get_sampler
from qsvr.exceptions import CapacityError


@pytest.mark.parametrize(("weight", "offset"), [(None, 0), ([1, 2], 0), (None, 2)])
def test_objective_and_constraint_by_enumeration(weight, offset):
    qubo = lattice_qubo(2, weight=weight, offset=offset)
    model = qubo.to_nl()
    (decision,), (constraint,) = model.iter_decisions(), model.iter_constraints()
    levels = np.array(list(product(range(4), repeat=4)))
    coefficients = qubo.encoding.values(levels.reshape(-1, 2, 2))
    sums = (coefficients[:, 0] - coefficients[:, 1]).sum(axis=1)
    energies = qubo.dual.energy(coefficients)
    model.states.resize(1)
    for row, total, energy in zip(levels, sums, energies, strict=True):
        decision.set_state(0, row)
        assert bool(constraint.state(0)) == (abs(total) < 1e-9)
        without = energy - qubo.dual.equality_penalty * total**2
        assert float(model.objective.state(0)) == pytest.approx(without, abs=1e-9)


def test_levels_are_integers_within_their_bounds():
    model = lattice_qubo(3, n_bits=3).to_nl()
    (decision,) = model.iter_decisions()
    assert decision.shape() == (6,)
    assert (decision.lower_bound(), decision.upper_bound()) == (0, 7)


def test_it_survives_the_file_that_is_uploaded():
    model = lattice_qubo(2).to_nl()
    with model.to_file() as file:
        copy = Model.from_file(io.BytesIO(file.read()))
    if not copy.is_locked():
        copy.lock()
    values = []
    for each in (model, copy):
        each.states.resize(1)
        next(each.iter_decisions()).set_state(0, [3, 1, 2, 0])
        values.append(float(each.objective.state(0)))
    assert values[0] == values[1]


def test_levels_off_a_common_lattice_are_refused():
    with pytest.raises(ValueError, match="nonlinear model needs levels"):
        lattice_qubo(3, weight=[1.0, 1.234567, np.pi]).to_nl()


def test_uneven_levels_are_refused():
    dual = lattice_qubo(2).dual
    encoding = FixedPointEncoding.from_base(np.ones(2), 2, base=3.0)
    with pytest.raises(ValueError, match="nonlinear model needs equally spaced"):
        SVRQubo(dual, encoding).to_nl()


def test_its_solutions_hold_the_equation(api, data):
    X, y = data
    model = QSVR(C=5, sampler="nl", polish=False, num_reads=5).fit(X[:6], y[:6])
    info = model.sampler_info_
    assert info["feasible_fraction"] == 1.0
    assert len(model.solutions_.coefficients) > 1  # several states, where "hybrid" returns one
    for b in model.solutions_.coefficients:
        assert b.sum() == pytest.approx(0.0, abs=1e-9)
    (problem,) = api.problems.values()
    assert problem.job["type"] == "nl"
    assert info["access_time"] == pytest.approx(0.1)
    assert problem.job["params"] == {"time_limit": 0.1}


def test_time_limit_reaches_the_solver_and_has_a_least(api, data):
    X, y = data
    model = QSVR(C=5, sampler="nl", sampler_options={"time_limit": 3}).fit(X[:6], y[:6])
    assert model.sampler_info_["access_time"] == 3
    with pytest.raises(ValueError, match="time_limit"):
        model.set_params(sampler_options={"time_limit": 0.01}).fit(X[:6], y[:6])
    assert len(api.problems) == 1


def test_a_model_beyond_the_solver_is_refused(api, data):
    X, y = data
    api.solvers["hybrid_nl_solver"]["properties"]["maximum_decision_state_size"] = 64
    with pytest.raises(CapacityError, match="maximum_decision_state_size is 64"):
        QSVR(C=5, sampler="nl").fit(X[:6], y[:6])
    assert not api.uploads


def test_live_client(api, data):
    from dwave.system import LeapHybridNLSampler

    X, y = data
    with LeapHybridNLSampler() as live:
        model = QSVR(C=5, sampler=live, num_reads=5).fit(X[:6], y[:6])
        assert type(get_sampler(live)) is type(get_sampler("nl"))
        assert model.sampler_info_["n_problems"] == 1
        assert model.sampler_info_["sampler"] == "hybrid_nl_solver"


def test_states_come_back_in_order(api, data):
    """The states' levels are the coefficients of the samples, lowest energy first."""
    X, y = data
    kernel = np.exp(-0.5 * ((X[:6, None] - X[None, :6]) ** 2).sum(-1))
    dual = SVRDual(kernel, y[:6] - y[:6].mean(), 0.1, np.full(6, 5.0), 2.0)
    qubo = SVRQubo(dual, FixedPointEncoding.for_box(dual.C, 3))
    sent = []
    api.alter["states"] = lambda states: sent.append(states) or states
    samples = get_sampler("nl").sample(qubo, num_reads=5, seed=0)
    model = qubo.to_nl()
    model.states.from_file(io.BytesIO(sent[0]), check_header=False)
    (decision,) = model.iter_decisions()
    expected = np.array([decision.state(i) for i in range(5)]).astype(int).reshape(-1, 2, 6)
    energies = qubo.energies(qubo.encoding.bits(expected))
    np.testing.assert_allclose(samples.energies, np.sort(energies))
    np.testing.assert_array_equal(
        qubo.encoding.levels(samples.bits), expected[np.argsort(energies, kind="stable")]
    )
