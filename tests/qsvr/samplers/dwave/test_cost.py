"""The cost guard: worked out before anything is submitted, and accounted for afterwards."""

from __future__ import annotations

import numpy as np
import pytest

from qsvr import QSVC, QSVR, QSVCEnsemble, QSVREnsemble, get_sampler
from qsvr.exceptions import CostLimitError, FallbackWarning
from qsvr.samplers.budget import AccessBudget, AccessPlan


def _fit(data, sampler="qpu", verbose=0, **options):
    X, y = data
    model = QSVR(C=5, sampler=sampler, num_reads=8, verbose=verbose, sampler_options=options)
    return model.fit(X[:6], y[:6])


@pytest.mark.parametrize("sampler", ["qpu", "hybrid", "cqm", "nl"])
def test_too_expensive_is_refused_before_submission(api, data, sampler):
    with pytest.raises(CostLimitError, match="Nothing was submitted"):
        _fit(data, sampler, max_access_time=0.001)
    assert not api.problems
    assert not api.uploads


def test_rounds_of_a_refinement_are_in_the_plan(api, data, capsys):
    X, y = data
    one = AccessPlan(1, 0.016)  # about what 8 reads take
    model = QSVR(C=5, sampler="qpu", num_reads=8, n_refinements=9, verbose=1)
    model.set_params(sampler_options={"max_access_time": 5 * one.seconds})
    with pytest.raises(CostLimitError, match="Nothing was submitted"):
        model.fit(X[:6], y[:6])
    assert "estimate: 10 problems" in capsys.readouterr().out
    assert not api.problems


def test_all_members_of_an_ensemble_are_in_the_plan(api, data):
    X, y = data
    member = QSVR(C=5, sampler="qpu", num_reads=8, sampler_options={"max_access_time": 0.1})
    with pytest.raises(CostLimitError, match="Nothing was submitted"):
        QSVREnsemble(member, n_estimators=50, max_samples=6).fit(X, y)
    assert not api.problems
    few = QSVREnsemble(member, n_estimators=3, max_samples=6, random_state=0).fit(X, y)
    assert len(api.problems) == len(few.estimators_) == 3


def test_all_pairs_of_classes_are_in_the_plan(api, data):
    """Three classes are three problems; calibration solves them once more for each fold."""
    X, _ = data
    y = np.arange(12) % 3
    model = QSVC(sampler="qpu", num_reads=8, sampler_options={"max_access_time": 0.04})
    with pytest.raises(CostLimitError, match=r"3 problems .*Nothing was submitted"):
        model.fit(X[:12], y)
    with pytest.raises(CostLimitError, match=r"15 problems .*Nothing was submitted"):
        model.set_params(probability=True, sampler_options={"max_access_time": 0.2}).fit(X[:12], y)
    assert not api.problems
    with pytest.raises(CostLimitError, match=r"30 problems .*Nothing was submitted"):
        QSVCEnsemble(model.set_params(probability=False), n_estimators=10, max_samples=9).fit(
            X[:12], y
        )
    assert not api.problems
    model.set_params(sampler_options={"max_access_time": 1.0}).fit(X[:12], y)
    assert len(api.problems) == len(model.samplesets_) == 3
    assert [info["n_variables"] for info in model.sampler_info_] == [24] * 3
    assert model.sampler_info_[-1]["total_problems"] == 3


@pytest.mark.parametrize("sampler", ["hybrid", "cqm", "nl"])
def test_hybrid_solvers_classify(api, data, sampler):
    X, _ = data
    y = np.where(X[:8, 0] > np.median(X[:8, 0]), "high", "low")
    model = QSVC(C=5.0, sampler=sampler, num_reads=4, random_state=0).fit(X[:8], y)
    assert model.sampler_info_[0]["n_variables"] == 24
    assert model.sampler_info_[0].get("feasible_fraction", 1.0) > 0.0
    assert model.score(X[:8], y) > 0.7


def test_estimate_is_the_solvers_own(api, data, capsys):
    model = _fit(data, verbose=1)
    solver = get_sampler("qpu").client.solver
    qubits = model.sampler_info_["n_qubits"]
    expected = solver.estimate_qpu_access_time(qubits, num_reads=8) * 1e-6
    assert f"estimate: 1 problem of {expected:.3g} s" in capsys.readouterr().out


def test_spent_total_is_kept(api, data):
    first, second = _fit(data).sampler_info_, _fit(data).sampler_info_
    assert first["access_time"] == pytest.approx(0.015072 + 8 * 160.54e-6)
    assert second["total_access_time"] == pytest.approx(2 * first["access_time"])
    assert second["total_problems"] == 2


def test_plan_multiplies():
    plan = AccessPlan(3, 0.5).times(4)
    assert (plan.n_problems, plan.seconds) == (12, 6.0)
    plan.check(6.0)
    with pytest.raises(CostLimitError, match="max_access_time=5 s"):
        plan.check(5.0)


def test_a_limit_may_be_used_up_to_the_end():
    budget = AccessBudget(0.3)
    for _ in range(3):  # their sum is 0.30000000000000004
        budget.charge(0.1)
    with pytest.raises(CostLimitError, match=r"3 problems took 0\.3 s"):
        budget.charge(1e-6)
    assert budget.n_submitted == 3


def test_budget_never_exceeds_its_limit():
    budget = AccessBudget(1.0)
    budget.charge(0.6)
    with pytest.raises(CostLimitError):
        budget.charge(0.5)
    budget.settle(0.6, 0.4)
    budget.charge(0.5)
    budget.refund(0.5)
    assert budget.seconds == pytest.approx(0.4)
    assert budget.n_submitted == 1


@pytest.mark.parametrize("sampler", ["qpu", "hybrid", "cqm", "nl"])
def test_budget_is_no_option(api, data, sampler):
    with pytest.raises(ValueError, match=r"sampler_options has \['budget'\]"):
        _fit(data, sampler, budget=AccessBudget())
    assert not api.problems


@pytest.mark.filterwarnings("ignore:refinement ended by n_refinements=1")
@pytest.mark.parametrize("sampler", ["qpu", "hybrid", "cqm", "nl"])
def test_problems_of_one_budget_are_added(api, data, sampler):
    X, y = data
    model = QSVR(C=5, sampler=sampler, num_reads=8, n_refinements=1, tol=1e-12)
    info = model.fit(X[:6], y[:6]).sampler_info_
    assert info["n_problems"] == 2
    assert info["access_time"] == pytest.approx(info["total_access_time"])
    assert not [value for value in vars(model).values() if isinstance(value, AccessBudget)]


def test_a_fallback_service_is_charged_to_the_same_budget(api, data):
    """Its run time of seconds is more than what the QPU's estimate leaves room for."""
    api.inject("submit", "offline")
    with (
        pytest.warns(FallbackWarning, match="hybrid"),
        pytest.raises(CostLimitError, match="was not submitted"),
    ):
        _fit(data, fallback="hybrid", max_access_time=0.1)
    assert [problem.error for problem in api.problems.values()] == ["Solver is offline"]
    assert not api.uploads


def test_chain_strength_scan_proposes_one(api, data):
    import numpy as np

    from qsvr import FixedPointEncoding, SVRDual, SVRQubo, scan_chain_strength

    X, y = data
    kernel = np.exp(-0.5 * ((X[:6, None] - X[None, :6]) ** 2).sum(-1))
    dual = SVRDual(kernel, y[:6] - y[:6].mean(), 0.1, np.full(6, 5.0), 2.0)
    qubo = SVRQubo(dual, FixedPointEncoding.for_box(dual.C, 3))
    scan = scan_chain_strength(get_sampler("qpu"), qubo, prefactors=(0.1, 1.0, 3.0), num_reads=20)
    broken = [row.chain_break_fraction for row in scan.rows]
    assert broken[0] > broken[-1]
    assert scan.proposal in {0.1, 1.0, 3.0}
    assert f"proposed prefactor: {scan.proposal:g}" in str(scan)
    assert len(api.problems) == 3
