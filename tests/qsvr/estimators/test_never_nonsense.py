"""Defaults that are never wrong in silence: averages, candidates, refinement and time limits."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale
from sklearn.svm import SVR

from qsvr import QSVR, CoarseEncodingWarning, SamplerFactory, get_sampler

COMBINATIONS = ["mean", "boltzmann", "best", "mse", "r2-softmax"]


def diabetes(n, unit=1.0):
    X, y = load_diabetes(return_X_y=True)
    return scale(X)[:n], unit * y[:n]


# --- the average of solutions ---------------------------------------------------------------------


@pytest.mark.parametrize("n_refinements", ["auto", 0])
@pytest.mark.parametrize("sampler", [None, "sa"])
@pytest.mark.parametrize("combination", COMBINATIONS)
def test_an_average_is_never_worse_than_its_best_solution(combination, sampler, n_refinements):
    """R2 was -642 where the best solution, all zeros, has -0.47, as SVR has."""
    X, y = diabetes(60, 1e-4)
    parameters = {"combination": combination, "sampler": sampler, "n_refinements": n_refinements}
    model = QSVR(C=100, random_state=0, num_reads=16, **parameters).fit(X, y)
    assert model.score(X, y) >= SVR(C=100).fit(X, y).score(X, y) - 0.01
    zeros = C_loss = 100 * np.maximum(np.abs(y - np.median(y)) - 0.1, 0).sum()
    assert zeros == 0.0 == C_loss  # the tube holds all targets
    assert model.solutions_.objective == 0.0


@pytest.mark.filterwarnings("ignore::qsvr.CoarseEncodingWarning")
def test_the_objective_decides_how_many_are_averaged():
    X, y = make_friedman1(60, noise=1.0, random_state=0)
    X, y = scale(X), scale(y)
    taken = {}
    for C in (1.0, 100.0):
        model = QSVR(C=C, n_refinements=0, random_state=0).fit(X, y)
        solutions = model.solutions_
        taken[C] = np.count_nonzero(solutions.weights)
        alone = QSVR(C=C, n_refinements=0, random_state=0, combination="best").fit(X, y)
        assert solutions.objective <= alone.solutions_.objective
        assert solutions.weights.sum() == pytest.approx(1.0)
    assert 1 <= taken[100.0] < taken[1.0]


# --- candidates beside the samples ----------------------------------------------------------------


@dataclass
class Strings:
    """Returns the highest of all levels: no worse sampler can be."""

    max_variables: int | None = 60_000
    parameters: frozenset[str] = field(default_factory=frozenset)

    def sample(self, qubo, *, num_reads, seed, **options):
        samples = get_sampler().sample(qubo, num_reads=num_reads, seed=seed)
        bits = np.ones_like(samples.bits)
        bits[:, : qubo.n_variables // 2] = 0
        return type(samples)(bits, qubo.energies(bits), {"sampler": "strings"})


@pytest.mark.parametrize("sampler", [None, "sa", Strings()])
@pytest.mark.parametrize("polish", [True, False])
def test_the_energy_is_never_above_that_of_all_zeros(sampler, polish):
    """It was 558, with predictions over 150 times the range of y."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)), 1e-3 * rng.normal(size=40)
    for n_refinements in (0, 10):
        model = QSVR(
            C=1000, gamma=0.1, sampler=sampler, polish=polish, n_refinements=n_refinements,
            num_reads=8, random_state=0,
        ).fit(X, y)  # fmt: skip
        assert model.energy_ <= 0.0
        assert np.ptp(model.predict(X)) <= np.ptp(y)


@pytest.mark.filterwarnings("ignore::qsvr.CoarseEncodingWarning")
@pytest.mark.filterwarnings("ignore:refinement ended by n_refinements=3")
def test_who_found_the_best_solution_is_reported():
    X, y = make_friedman1(30, noise=1.0, random_state=0)
    X, y = scale(X), scale(y)
    model = QSVR(sampler=Strings(), polish=False, num_reads=4, random_state=0).fit(X, y)
    info = model.sampler_info_
    assert info["best_from"] == "relaxation"
    assert model.energy_ == info["candidates"]["relaxation"] < info["candidates"]["zeros"] == 0.0
    assert info["raw_energies"].min() > 0.0  # the sampler's own share stays what it is
    assert "rounded relaxation" in str(model.sampler_report())
    own = QSVR(random_state=0, n_refinements=0).fit(X, y).sampler_info_
    assert own["best_from"] == "sampler"
    assert own["energies"].min() <= min(own["candidates"].values())
    history = QSVR(sampler=Strings(), C=10, n_refinements=3, random_state=0).fit(X, y)
    sources = [each.source for each in history.sampler_info_["refinement_history"]]
    assert set(sources) <= {"sampler", "relaxation", "incumbent", "zeros"}


# --- refinement by itself -------------------------------------------------------------------------

SETS = {
    "friedman1": make_friedman1(60, noise=1.0, random_state=3),
    "diabetes": diabetes(45),
    "sinc": (
        np.linspace(-10, 10, 40)[:, None],
        np.sinc(np.linspace(-3, 3, 40)) + 0.1 * np.random.default_rng(0).normal(size=40),
    ),
}


@pytest.mark.parametrize("epsilon", [0.1, 0.01])
@pytest.mark.parametrize("C", [1.0, 10.0, 100.0])
@pytest.mark.parametrize("name", SETS)
def test_the_default_fits_as_svr_does(name, C, epsilon):
    """At C = 100 one QUBO of 3 bits was 0.1 to 5 below in R2."""
    X, y = (scale(each) for each in SETS[name])
    svr = SVR(C=C, epsilon=epsilon).fit(X, y)
    model = QSVR(C=C, epsilon=epsilon, random_state=0).fit(X, y)
    assert model.score(X, y) == pytest.approx(svr.score(X, y), abs=0.005)
    difference = model.predict(X) - svr.predict(X)
    assert np.sqrt(np.mean(difference**2)) < 0.05


def test_no_round_is_spent_where_one_qubo_is_enough():
    X, y = make_friedman1(60, noise=1.0, random_state=0)
    model = QSVR(C=0.3, epsilon=0.1, random_state=0).fit(scale(X), scale(y))
    assert model.n_iter_ == 1
    once = QSVR(C=0.3, epsilon=0.1, n_refinements=0, random_state=0).fit(scale(X), scale(y))
    np.testing.assert_array_equal(once.predict(scale(X)), model.predict(scale(X)))


@pytest.mark.filterwarnings("ignore::qsvr.CoarseEncodingWarning")
def test_only_samplers_of_this_machine_are_called_again():
    from dwave.samplers import SimulatedAnnealingSampler

    X, y = make_friedman1(20, noise=1.0, random_state=0)
    X, y = scale(X), scale(y)
    path = "dwave.samplers.SimulatedAnnealingSampler"
    for sampler, is_local in (
        (None, True), ("sa", True), ("tabu", True), ("relax-round", True),
        (SimulatedAnnealingSampler(), True), (SamplerFactory(path), True), (Strings(), False),
    ):  # fmt: skip
        model = QSVR(C=30, sampler=sampler, num_reads=4, random_state=0).fit(X, y)
        assert (model.n_iter_ > 1) == is_local, sampler


# --- ends before tol, and time limits -------------------------------------------------------------


def test_a_kernel_of_all_scales_ends_early_with_the_cause():
    """Degree 10 on 1 to 5: no pair of coefficients leads on, in SVR neither."""
    X = np.arange(1.0, 6.0)[:, None]
    y = X[:, 0]
    for n_refinements in ("auto", 10, 60):
        with pytest.warns(
            ConvergenceWarning,
            match=r"one is not known.*diagonal goes from 0\.00098 to 9\.3e\+10",
        ):
            model = QSVR(kernel="poly", degree=10, n_refinements=n_refinements, random_state=0).fit(
                X, y
            )
        assert model.n_iter_ < 25
        assert model.score(X, y) >= -0.01
    with pytest.warns(CoarseEncodingWarning, match=r"is not known: .*scaled features"):
        QSVR(kernel="poly", degree=10, n_refinements=0, random_state=0).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = QSVR(kernel="poly", degree=10, coef0=1, C=10, random_state=0).fit(scale(X), y)
    assert model.score(scale(X), y) > 0.9


def test_too_few_rounds_are_reported_and_what_was_set_is_not_recommended():
    X, y = diabetes(60)
    X, y = scale(X), scale(y)
    with pytest.warns(
        ConvergenceWarning, match=r"ended by n_refinements=1, .* Raise n_refinements"
    ):
        QSVR(C=100, n_refinements=1, random_state=0).fit(X, y)
    with pytest.warns(CoarseEncodingWarning, match=r"n_refinements=10, a smaller C"):
        QSVR(C=1e4, n_bits=8, n_refinements=0, random_state=0).fit(X, y)


@pytest.fixture
def clock(monkeypatch):
    """Time that stands still but for samplers, for all that looks at a time limit."""
    now = [0.0]
    fake = SimpleNamespace(**vars(time) | {"monotonic": lambda: now[0]})
    for module in ("estimators.svr", "solve.refinement", "solve.decomposition", "solve.direct"):
        monkeypatch.setattr(f"qsvr.{module}.time", fake)
    return now


@dataclass
class Slow:
    """The structured annealer, which takes three tenths of a second."""

    now: list[float]

    is_local = True
    max_variables: int | None = 60_000
    parameters: frozenset[str] = field(default_factory=frozenset)

    def sample(self, qubo, *, num_reads, seed, **options):
        self.now[0] += 0.3
        return get_sampler().sample(qubo, num_reads=num_reads, seed=seed)


@pytest.mark.parametrize("n_refinements", ["auto", 1000])
def test_a_time_limit_ends_refinement_with_the_best_so_far(n_refinements, clock):
    X, y = diabetes(60)
    X, y = scale(X), scale(y)
    parameters = {"C": 100, "sampler": Slow(clock), "n_refinements": n_refinements, "tol": 1e-300}
    with pytest.warns(ConvergenceWarning, match=r"ended by time_limit.*Raise time_limit"):
        model = QSVR(**parameters, time_limit=0.45, random_state=0).fit(X, y)
    assert model.n_iter_ == 2
    assert model.score(X, y) > 0.0


def test_a_time_limit_ends_decomposition_with_the_best_so_far(clock):
    X, y = diabetes(120)
    X, y = scale(X), scale(y)
    parameters = {"C": 10, "sampler": Slow(clock), "max_variables": 120}
    with pytest.warns(ConvergenceWarning, match="time_limit"):
        model = QSVR(**parameters, time_limit=0.75, random_state=0).fit(X, y)
    assert model.n_iter_ == 3
    assert model.score(X, y) > 0.2


@pytest.mark.filterwarnings("ignore:decomposition stopped:sklearn.exceptions.ConvergenceWarning")
def test_working_sets_that_do_not_converge_are_no_worse_than_a_constant():
    """R2 was -118,000: the dual's energy falls a little while the training loss explodes."""
    X = np.arange(1.0, 6.0)[:, None]
    model = QSVR(
        kernel="poly", degree=10, max_variables=18, max_iter=40, num_reads=4, random_state=0
    ).fit(X, X[:, 0])
    assert model.energy_ < 0.0
    assert model.score(X, X[:, 0]) >= -0.01
