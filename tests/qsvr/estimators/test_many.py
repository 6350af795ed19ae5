"""Models that are solved together are those that are fitted one by one, to the bit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.datasets import make_friedman1
from sklearn.preprocessing import scale
from sklearn.svm import SVC

from qsvr import QSVR, FixedPointEncoding, QSVREnsemble, SVRDual, SVRQubo, fit_many, get_sampler
from qsvr.problem.stack import QuboStack, relax_all, stack_key
from qsvr.samplers import StackSampler, StructuredAnnealer


@pytest.fixture(scope="module")
def data():
    X, y = make_friedman1(120, noise=1.0, random_state=0)
    return scale(X), y


def assert_equal_models(one, other, X):
    for name in ("dual_coef_", "intercept_", "support_", "energy_", "relaxation_bound_"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for name in ("raw_energies", "energies", "random_energies"):
        np.testing.assert_array_equal(one.sampler_info_[name], other.sampler_info_[name])
    assert one.sampler_info_["candidates"] == other.sampler_info_["candidates"]
    assert one.sampler_info_["best_from"] == other.sampler_info_["best_from"]
    np.testing.assert_array_equal(one.solutions_.weights, other.solutions_.weights)
    assert one.n_iter_ == other.n_iter_
    assert one.n_features_in_ == other.n_features_in_
    for a, b in zip(
        one.predict(X, return_std=True), other.predict(X, return_std=True), strict=True
    ):
        np.testing.assert_array_equal(a, b)


SETTINGS = {
    "default": {},
    "refined by need": {"C": 20.0, "epsilon": 0.01},
    "refined": {"n_refinements": 3},
    "not refined": {"n_refinements": 0, "polish": False},
    "8 bits": {"n_bits": 8},
    "1 bit": {"n_bits": 1, "C": 3.0},
    "base 3": {"base": 3.0, "C": "implied"},
    "overlap penalty": {"overlap_penalty": 0.4, "C": 5.0},
    "in units of y": {"normalize_y": True, "C": 3.0},
    "polynomial": {"kernel": "poly", "intercept": "kkt"},
    "indefinite": {"kernel": "sigmoid", "psd": "clip"},
    "held out": {"combination_fraction": 0.25, "combination": "mse"},
    "more reads than lanes": {"num_reads": 100, "sampler_options": {"num_sweeps": 70}},
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("sampling", ["random", "stratified"])
def test_an_ensemble_is_its_members_fitted_one_by_one(data, setting, sampling):
    X, y = data
    weight = np.linspace(0.0, 2.0, len(y)) if sampling == "random" else None
    ensemble = QSVREnsemble(
        QSVR(**setting), n_estimators=5, max_samples=17, sampling=sampling, random_state=4
    ).fit(X, y, weight)
    for member, rows in zip(ensemble.estimators_, ensemble.estimators_samples_, strict=True):
        alone = QSVR(**{**member.get_params(), "random_state": member.random_state})
        alone.fit(X[rows], y[rows], None if weight is None else weight[rows])
        assert_equal_models(member, alone, X)


def test_a_kernel_matrix_is_taken(data):
    X, y = data
    K = X @ X.T
    ensemble = QSVREnsemble(QSVR(kernel="precomputed"), n_estimators=3, random_state=0).fit(K, y)
    for member, rows in zip(ensemble.estimators_, ensemble.estimators_samples_, strict=True):
        alone = QSVR(**member.get_params()).fit(K[np.ix_(rows, rows)], y[rows])
        assert_equal_models(member, alone, K[:, rows])


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_models_of_all_kinds_are_fitted_together_or_alone(data):
    X, y = data
    settings = [
        {"C": 1.0}, {"C": 10.0}, {"C": 10.0, "gamma": 0.3}, {"n_bits": 2}, {"C": 10.0, "n_bits": 2},
        {"sampler": "relax-round"}, {"max_variables": 60}, {"time_limit": 60.0},
        {"sampler_options": {"num_sweeps": 20}},
    ]  # fmt: skip
    sizes = [20, 20, 30, 20, 20, 20, 30, 20, 20]
    models = [QSVR(**setting, random_state=3) for setting in settings]
    fitted = fit_many(models, [X[:n] for n in sizes], [y[:n] for n in sizes], n_jobs=2)
    assert all(one is other for one, other in zip(fitted, models, strict=True))
    for model, setting, n in zip(fitted, settings, sizes, strict=True):
        assert_equal_models(model, QSVR(**setting, random_state=3).fit(X[:n], y[:n]), X)


@pytest.mark.parametrize("n_jobs", [2, 5])
def test_threads_do_not_change_an_ensemble(data, n_jobs):
    X, y = data
    one, many = (
        QSVREnsemble(QSVR(C=5.0), n_estimators=6, n_jobs=n, random_state=0).fit(X, y)
        for n in (1, n_jobs)
    )
    np.testing.assert_array_equal(one.predict(X), many.predict(X))


class Counting:
    """The structured annealer, which counts its calls: a user's sampler that takes stacks."""

    is_local = True
    parameters = frozenset({"num_sweeps"})
    max_variables = None

    def __init__(self):
        self.sizes = []

    def sample(self, qubo, **options):
        return self.sample_stack(QuboStack.of([qubo]), seeds=[options.pop("seed")], **options)[0]

    def sample_stack(self, stack, **options):
        self.sizes.append(len(stack))
        return StructuredAnnealer().sample_stack(stack, **options)


def test_all_members_of_a_round_are_sampled_in_one_call(data):
    X, y = data
    sampler = Counting()
    assert isinstance(sampler, StackSampler)
    template = QSVR(sampler=sampler, n_refinements=2, tol=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        QSVREnsemble(template, n_estimators=12, max_samples=20, random_state=0).fit(X, y)
    assert sampler.sizes[0] == 12
    assert len(sampler.sizes) == 3  # rounds, of which the last ones are of members still open


def test_what_does_not_fit_together_is_said(data):
    X, y = data
    model = QSVR(random_state=0)
    with pytest.raises(ValueError, match="ys of fit_many must hold one entry for each of 1 models"):
        fit_many([model], [X], [])
    with pytest.raises(ValueError, match="distinct objects"):
        fit_many([model, model], [X, X], [y, y])
    with pytest.raises(ValueError, match="n_bits of QSVR"):
        fit_many([QSVR(n_bits=0)], [X], [y])
    assert fit_many([], [], []) == []


def stacked(qubos):
    groups = {}
    for qubo in qubos:
        groups.setdefault(stack_key(qubo), []).append(qubo)
    return [QuboStack.of(members) for members in groups.values()]


def problems():
    """Duals of all kinds, of which some are of equal size; with windows and one-sided boxes."""
    rng = np.random.default_rng(0)
    for n, n_bits in ((5, 2), (21, 3)):
        for seed in range(6):
            X = rng.normal(size=(n, 2))
            K = np.exp(-0.5 * ((X[:, None] - X) ** 2).sum(axis=-1))
            C = rng.uniform(0.5, 2.0, n) if seed % 2 else np.ones(n)
            epsilon, penalty, overlap = rng.uniform(0.01, 0.2), rng.uniform(0, 2), 0.3 * (seed == 3)
            dual = SVRDual(K, rng.normal(size=n), epsilon, C, penalty, overlap)
            yield SVRQubo(dual, FixedPointEncoding.for_box(C, n_bits))
            width = np.tile(rng.uniform(0.2, 0.5, n), (2, 1))
            windows = FixedPointEncoding(
                rng.uniform(0, 0.3, (2, n)), width, np.array([1.0, 2.0, 4.0]) / 7.0
            )
            yield SVRQubo(dual, windows)
            yield SVRQubo(dual, FixedPointEncoding.from_base(C, n_bits, base=3.0))
            labels = np.where(rng.random(n) < 0.5, 1.0, -1.0)
            labelled = SVRDual.of_labels(K, labels, C=C, equality_penalty=penalty)
            yield SVRQubo(labelled, FixedPointEncoding.for_box(labelled.box, n_bits))


def test_a_stack_computes_what_each_member_does():
    rng = np.random.default_rng(1)
    stacks = stacked(problems())
    assert max(map(len, stacks)) >= 6
    for stack in stacks:
        n_variables = stack.qubos[0].n_variables
        bits = rng.integers(0, 2, (len(stack), 9, n_variables), dtype=np.uint8)
        levels = stack.levels(bits)
        np.testing.assert_array_equal(stack.bits(levels), bits)
        values, energies = stack.values(levels), stack.energies(stack.decode(bits))
        polished, lowered = stack.polished(bits, energies)
        points = rng.uniform(0.0, 2.0, (len(stack), 3, *stack.offset.shape[1:]))
        nearest = stack.nearest_levels(points)
        for m, qubo in enumerate(stack.qubos):
            alone = QuboStack.of([qubo])
            np.testing.assert_array_equal(levels[m], qubo.encoding.levels(bits[m]))
            np.testing.assert_array_equal(values[m], qubo.encoding.values(levels[m]))
            np.testing.assert_array_equal(energies[m], qubo.energies(bits[m]))
            np.testing.assert_array_equal(nearest[m], qubo.encoding.nearest_levels(points[m]))
            one, energy = alone.polished(bits[m : m + 1], energies[m : m + 1])
            np.testing.assert_array_equal(polished[m], one[0])
            np.testing.assert_array_equal(lowered[m], energy[0])


@pytest.mark.parametrize("num_reads", [5, 64, 70])
def test_the_structured_annealer_samples_a_stack_as_one_by_one(num_reads):
    sampler = get_sampler("structured")
    for stack in stacked(problems()):
        seeds = list(range(len(stack)))
        together = sampler.sample_stack(stack, num_reads=num_reads, seeds=seeds, num_sweeps=20)
        for qubo, seed, samples in zip(stack.qubos, seeds, together, strict=True):
            alone = sampler.sample(qubo, num_reads=num_reads, seed=seed, num_sweeps=20)
            np.testing.assert_array_equal(samples.bits, alone.bits)
            np.testing.assert_array_equal(samples.energies, alone.energies)
            assert samples.info["beta_range"] == alone.info["beta_range"]


def test_relaxations_side_by_side_are_those_of_one_by_one():
    for stack in stacked(problems()):
        duals = [qubo.dual.recentred(0.1) for qubo in stack.qubos]
        together = relax_all(duals)
        for dual, relaxed in zip(duals, together, strict=True):
            alone = dual.relax()
            np.testing.assert_array_equal(relaxed.coefficients, alone.coefficients)
            assert (relaxed.energy, relaxed.bound) == (alone.energy, alone.bound)
            assert dual.relaxation is relaxed
        moved = [dual.recentred(0.2) for dual in duals]  # which start where the others ended
        for dual, relaxed in zip(moved, relax_all(moved), strict=True):
            alone = dual.relax(start=vars(dual)["_start"])
            np.testing.assert_array_equal(relaxed.coefficients, alone.coefficients)
            assert relaxed.bound == alone.bound


def test_other_models_are_refused_by_name():
    with pytest.raises(TypeError, match="models of fit_many must be QSVR or QSVC; got SVC"):
        fit_many([SVC()], [[[0.0], [1.0]]], [[0, 1]])
