"""The structured annealer and simulated bifurcation on a CUDA device; skipped without one.

``pytest -m gpu`` runs these and the other tests that need a device.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.datasets import make_friedman1
from sklearn.preprocessing import scale

from qsvr import (
    QSVC,
    QSVR,
    FixedPointEncoding,
    QSVREnsemble,
    SamplerError,
    SVRDual,
    SVRQubo,
    fit_many,
    get_sampler,
)
from qsvr.problem.stack import QuboStack

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
ON_DEVICE = {"device": "cuda"}


def stack(n_members, n=20):
    """QUBOs of 120 variables, unless n is another."""
    qubos = []
    for seed in range(n_members):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(n, 5))
        kernel = np.exp(-0.2 * ((X[:, None] - X) ** 2).sum(axis=-1))
        dual = SVRDual(kernel, rng.normal(size=n), 0.1, np.ones(n), 2.0)
        qubos.append(SVRQubo(dual, FixedPointEncoding.for_box(dual.C, 3)))
    return QuboStack.of(qubos)


def sampled(problems, **options):
    options = {"num_reads": 64, "seeds": range(len(problems)), **options}
    return get_sampler("structured").sample_stack(problems, **options)


def data(n=60):
    X, y = make_friedman1(n, noise=1.0, random_state=0)
    return scale(X), scale(y)


def test_the_lowest_energy_is_that_of_enumeration(any_small_qubo, all_bits):
    energies = any_small_qubo.energies(all_bits(any_small_qubo.n_variables))
    found = get_sampler("structured").sample(any_small_qubo, num_reads=64, seed=0, device="cuda")
    assert found.energies.min() == pytest.approx(energies.min(), abs=1e-9)
    assert found.energies == pytest.approx(any_small_qubo.energies(found.bits))


def test_energies_are_as_low_as_those_of_the_compiled_annealer():
    problems = stack(20)
    for a, b in zip(sampled(problems), sampled(problems, device="cuda"), strict=True):
        middle = abs(np.median(a.energies))
        assert np.median(b.energies) == pytest.approx(np.median(a.energies), abs=0.002 * middle)
        assert b.energies.min() == pytest.approx(a.energies.min(), abs=0.001 * middle)


def test_a_seed_gives_the_same_samples_again_alone_and_in_a_stack():
    problems = stack(3, 12)
    first, second = (sampled(problems, **ON_DEVICE, num_reads=100) for _ in range(2))
    for m, (a, b) in enumerate(zip(first, second, strict=True)):
        alone = get_sampler("structured").sample(
            problems.qubos[m], num_reads=100, seed=m, device="cuda"
        )
        for other in (b, alone):
            assert (other.bits == a.bits).all()
            assert (other.energies == a.energies).all()


def test_global_states_are_untouched():
    torch.cuda.manual_seed(5)
    states = [torch.get_rng_state(), torch.cuda.get_rng_state()]
    numpy = np.random.get_state()[1].copy()  # noqa: NPY002
    sampled(stack(2), **ON_DEVICE)
    assert torch.equal(states[0], torch.get_rng_state())
    assert torch.equal(states[1], torch.cuda.get_rng_state())
    assert (np.random.get_state()[1] == numpy).all()  # noqa: NPY002
    assert not torch.cuda.is_current_stream_capturing()


def test_reduced_precision_of_matrix_products_changes_nothing():
    problems = stack(3)
    full = sampled(problems, **ON_DEVICE)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        reduced = sampled(problems, **ON_DEVICE)
    finally:
        torch.set_float32_matmul_precision(before)
    assert all((a.bits == b.bits).all() for a, b in zip(full, reduced, strict=True))


def test_threads_share_the_device():
    problems = [stack(3, n) for n in (10, 16, 20, 24)]
    alone = [sampled(each, **ON_DEVICE) for each in problems]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda each: sampled(each, **ON_DEVICE), problems))
    for a, b in zip(alone, together, strict=True):
        assert all((x.bits == y.bits).all() for x, y in zip(a, b, strict=True))


def test_memory_is_given_back():
    sampled(stack(2), **ON_DEVICE)
    before = torch.cuda.memory_allocated()
    for _ in range(3):
        sampled(stack(20), **ON_DEVICE)
    assert torch.cuda.memory_allocated() == before


@pytest.mark.parametrize("options", [{}, {"max_variables": 60}, {"n_refinements": 3}])
def test_a_model_is_as_good(options):
    X, y = data(20)
    compiled = QSVR(random_state=0, **options).fit(X, y)
    on_device = QSVR(random_state=0, sampler_options=ON_DEVICE, **options).fit(X, y)
    assert on_device.energy_ == pytest.approx(compiled.energy_, rel=1e-3)
    assert np.corrcoef(compiled.predict(X), on_device.predict(X))[0, 1] > 0.999


def test_an_ensemble_and_many_models_are_as_good():
    X, y = data(60)
    compiled, on_device = (
        QSVREnsemble(
            QSVR(sampler_options=given), n_estimators=10, max_samples=20, random_state=0
        ).fit(X, y)
        for given in (None, ON_DEVICE)
    )
    for a, b in zip(compiled.estimators_, on_device.estimators_, strict=True):
        assert b.energy_ == pytest.approx(a.energy_, rel=2e-3)
    assert np.corrcoef(compiled.predict(X), on_device.predict(X))[0, 1] > 0.999
    Xs, ys = X.reshape(3, 20, -1), y.reshape(3, 20)
    many = fit_many([QSVR(random_state=0, sampler_options=ON_DEVICE) for _ in Xs], Xs, ys)
    for part, targets, model in zip(Xs, ys, many, strict=True):
        alone = QSVR(random_state=0, sampler_options=ON_DEVICE).fit(part, targets)
        assert (model.dual_coef_ == alone.dual_coef_).all()


def test_a_classifier_is_as_good():
    X, y = data(30)
    labels = np.where(y > 0.0, "above", "below")
    compiled = QSVC(random_state=0).fit(X, labels)
    on_device = QSVC(random_state=0, sampler_options=ON_DEVICE).fit(X, labels)
    assert (compiled.predict(X) == on_device.predict(X)).mean() > 0.98


def test_a_device_of_another_number_is_said():
    with pytest.raises(SamplerError, match=r"device='cuda:99'.* failed"):
        QSVR(sampler_options={"device": "cuda:99"}, random_state=0).fit([[0.0], [1.0]], [0.0, 1.0])


def test_simulated_bifurcation_draws_on_the_device():
    pytest.importorskip("simulated_bifurcation", reason="needs the extra bifurcation")
    X, y = data(20)
    torch.cuda.manual_seed(5)
    before = torch.cuda.get_rng_state()
    models = [
        QSVR(
            sampler="simulated-bifurcation", random_state=0, n_refinements=0,
            sampler_options={"max_steps": 200, **given},
        ).fit(X, y)
        for given in ({}, ON_DEVICE, ON_DEVICE)
    ]  # fmt: skip
    on_cpu, first, second = models
    assert (first.dual_coef_ == second.dual_coef_).all()
    assert first.energy_ == pytest.approx(on_cpu.energy_, rel=0.02)
    assert torch.equal(before, torch.cuda.get_rng_state())
