"""What every sampler must do, ours and adapted ones alike; and what polish must do to its samples.

To add a sampler, add it to `SAMPLERS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import dimod
import numpy as np
import pytest
from dwave.samplers import RandomSampler, SimulatedAnnealingSampler, TabuSampler

from qsvr import (
    SAMPLER_NAMES,
    FixedPointEncoding,
    Sampler,
    SamplerFactory,
    Samples,
    SVRDual,
    SVRQubo,
    get_sampler,
)
from qsvr.problem.local_search import polish
from qsvr.samplers import DimodSampler
from qsvr.samplers.base import check_options


class UniformSampler(dimod.Sampler):
    """A user's own sampler: uniformly random strings, as spins, some of them several times."""

    parameters: ClassVar = {"num_reads": [], "seed": [], "unused": []}
    properties: ClassVar = {}

    def sample(self, bqm, *, num_reads=1, seed=None, unused=None):
        rng = np.random.default_rng(seed)
        labels = list(bqm.variables)[::-1]
        spins = rng.choice([-1, 1], size=(-(-num_reads // 2), len(labels)))
        occurrences = np.full(len(spins), 2)
        occurrences[-1] = num_reads - 2 * (len(spins) - 1)
        return dimod.SampleSet.from_samples_bqm(
            (spins, labels), bqm.spin, num_occurrences=occurrences
        )


class OnTorch:
    """The structured annealer in PyTorch, with few sweeps."""

    is_local = True
    parameters = frozenset({"num_sweeps"})
    max_variables = None

    def sample(self, qubo, *, num_reads, seed, **options):
        check_options("structured in PyTorch", options, self.parameters)
        options = {"num_sweeps": 8, **options}
        return get_sampler("structured").sample(
            qubo, num_reads=num_reads, seed=seed, device="cpu", **options
        )


@dataclass(frozen=True)
class Subject:
    """A sampler under test."""

    spec: Any
    deterministic: bool = False  # another seed gives the same samples
    n_samples: int = 12  # of a problem that it can take, at 3 bits
    needs: str | None = None  # an optional package


SAMPLERS = {
    "structured": Subject("structured"),
    "structured, PyTorch": Subject(OnTorch(), needs="torch"),
    "sa": Subject("sa"),
    "neal": Subject("neal"),
    "tabu": Subject("tabu"),
    "relax-round": Subject("relax-round", n_samples=30),
    "path-integral": Subject("path-integral"),
    "openjij-sa": Subject("openjij-sa", needs="openjij"),
    "openjij-sqa": Subject("openjij-sqa", needs="openjij"),
    "simulated-bifurcation": Subject(
        "simulated-bifurcation", n_samples=30, needs="simulated_bifurcation"
    ),
    "installed package": Subject("coin-toss"),
    "installed package, dimod": Subject("coin-toss-dimod"),
    "exact": Subject("exact", deterministic=True, n_samples=2),
    "factory": Subject(SamplerFactory("dwave.samplers.SteepestDescentSampler")),
    "dimod object": Subject(RandomSampler()),
    "user's own": Subject(UniformSampler()),
    "live annealing": Subject(SimulatedAnnealingSampler()),
    "live tabu": Subject(TabuSampler()),
    "live enumeration": Subject(dimod.ExactSolver(), deterministic=True, n_samples=2),
    "composite": Subject(dimod.TrackingComposite(SimulatedAnnealingSampler())),
    "openjij by factory": Subject(SamplerFactory("openjij.SASampler"), needs="openjij"),
}
NUM_READS = 9


def test_every_named_sampler_is_under_contract():
    # These are in tests/qsvr/samplers/dwave/test_contract.py.
    services = {"qpu", "clique", "hybrid", "cqm", "nl"}
    assert {subject.spec for subject in SAMPLERS.values()} >= set(SAMPLER_NAMES) - services


@pytest.fixture(params=SAMPLERS.values(), ids=SAMPLERS)
def subject(request):
    return request.param


@pytest.fixture
def sampler(subject):
    if subject.needs is not None:
        pytest.importorskip(subject.needs)
    return get_sampler(subject.spec)


@pytest.fixture
def qubo(subject, make_dual):
    """A problem in which random samples hardly ever coincide, even when polished."""
    n = subject.n_samples
    C = np.linspace(0.5, 2.0, n)
    dual = make_dual(n, seed=4, C=C, epsilon=0.02, equality_penalty=2.0)
    return SVRQubo(dual, FixedPointEncoding.for_box(C, 3))


def _assert_consistent(samples, qubo, num_reads):
    """Shapes, types, feasibility and energies."""
    encoding = qubo.encoding
    assert isinstance(samples, Samples)
    assert 1 <= len(samples) <= num_reads
    assert samples.bits.shape == (len(samples), qubo.n_variables)
    assert samples.bits.dtype == np.uint8
    assert samples.bits.max() <= 1
    assert samples.energies.shape == (len(samples),)
    assert samples.energies.dtype == np.float64
    coefficients = encoding.decode(samples.bits)
    top = encoding.offset + encoding.width
    assert (coefficients >= encoding.offset).all()
    assert (coefficients <= top * (1 + 1e-12)).all()
    np.testing.assert_allclose(
        samples.energies, qubo.dual.energy(coefficients), rtol=1e-9, atol=1e-12
    )
    bound = qubo.dual.relax(encoding.offset, top).bound
    assert samples.energies.min() >= bound - 1e-12 * abs(bound)


def test_it_has_a_samplers_interface(sampler):
    assert isinstance(sampler, Sampler)
    assert isinstance(sampler.parameters, frozenset)
    assert not {"num_reads", "seed"} & sampler.parameters
    assert sampler.max_variables is None or sampler.max_variables >= 18


@pytest.mark.parametrize("num_reads", [1, NUM_READS])
def test_samples_are_feasible_and_energies_are_the_duals(sampler, qubo, num_reads):
    samples = sampler.sample(qubo, num_reads=num_reads, seed=0)
    _assert_consistent(samples, qubo, num_reads)
    assert samples.info["sampler"]
    assert samples.info["sampling_time"] > 0
    assert samples.info["polished"] in (True, False)


def test_any_form_of_encoding_and_penalty_is_sampled(sampler, any_small_qubo):
    """Problems with samplers: unequal C, windows, base 3, indefinite kernels, overlap penalty."""
    samples = sampler.sample(any_small_qubo, num_reads=4, seed=1)
    _assert_consistent(samples, any_small_qubo, 4)


def test_the_same_seed_gives_the_same_samples(sampler, qubo):
    first, second = (sampler.sample(qubo, num_reads=NUM_READS, seed=7) for _ in range(2))
    np.testing.assert_array_equal(first.bits, second.bits)
    np.testing.assert_array_equal(first.energies, second.energies)


def test_another_seed_gives_other_samples(subject, sampler, qubo):
    first, second = (sampler.sample(qubo, num_reads=NUM_READS, seed=seed) for seed in (7, 8))
    differ = first.bits.shape != second.bits.shape or (first.bits != second.bits).any()
    assert differ != subject.deterministic


def test_the_number_of_reads_is_that_asked_for(subject, sampler, qubo):
    """And they are reads of their own, not one of them many times."""
    samples = sampler.sample(qubo, num_reads=NUM_READS, seed=0)
    assert len(samples) == NUM_READS
    many = sampler.sample(qubo, num_reads=20, seed=0)
    assert len(many.distinct()) > 1


def test_a_dimod_samplers_own_answer_is_kept(sampler, qubo):
    samples = sampler.sample(qubo, num_reads=NUM_READS, seed=0)
    if not isinstance(sampler, DimodSampler):
        assert samples.sampleset is None
        return
    answer = samples.sampleset
    assert set(answer.variables) == set(range(qubo.n_variables))
    assert answer.record.num_occurrences.sum() == NUM_READS
    np.testing.assert_allclose(
        np.sort(np.repeat(answer.record.energy, answer.record.num_occurrences)),
        np.sort(samples.energies), rtol=1e-6, atol=1e-6 * np.abs(samples.energies).max(),
    )  # fmt: skip
    assert samples.distinct(2).sampleset is answer


def test_a_seed_of_the_estimators_range_is_taken(sampler, qubo):
    samples = sampler.sample(qubo, num_reads=1, seed=np.iinfo(np.int32).max - 1)
    _assert_consistent(samples, qubo, 1)


def test_an_unknown_option_raises_and_is_named(sampler, qubo):
    with pytest.raises(ValueError, match=r"sampler_options has \['no_such_option'\]"):
        sampler.sample(qubo, num_reads=1, seed=0, no_such_option=3)


def test_sampling_leaves_the_problem_alone(sampler, qubo):
    dual, encoding = qubo.dual, qubo.encoding
    before = [dual.kernel_matrix.copy(), dual.y.copy(), dual.C.copy(), encoding.width.copy()]
    sampler.sample(qubo, num_reads=2, seed=0)
    for old, new in zip(before, [dual.kernel_matrix, dual.y, dual.C, encoding.width], strict=True):
        np.testing.assert_array_equal(old, new)


def test_polish_never_raises_an_energy(sampler, qubo):
    samples = sampler.sample(qubo, num_reads=NUM_READS, seed=0)
    polished = polish(qubo, samples)
    _assert_consistent(polished, qubo, len(samples))
    assert len(polished) == len(samples)
    assert (polished.energies <= samples.energies).all()
    assert polished.info["polished"]
    # twice is as good as once
    np.testing.assert_allclose(polish(qubo, polished).energies, polished.energies, rtol=1e-12)


def test_polish_never_raises_the_energy_of_any_string(small_qubo, all_bits):
    """Not even by rounding."""
    bits = all_bits(small_qubo.n_variables)[::7]
    every = Samples(bits, small_qubo.energies(bits))
    polished = polish(small_qubo, every)
    assert (polished.energies <= every.energies).all()
    np.testing.assert_allclose(polished.energies, small_qubo.energies(polished.bits), rtol=1e-12)


def _moves(levels, top):
    """Yield what one coefficient's change, or two samples' opposite one-level change, leads to."""
    n = levels.shape[1]
    for side in range(2):
        for sample in range(n):
            for level in range(top + 1):
                yield [(side, sample, level)]
    for i in range(n):
        for j in range(n):
            if i == j:
                continue
            for side_i in range(2):
                for side_j in range(2):
                    # b of sample i rises by a + 1 or a-hat - 1, and b of sample j falls
                    up = levels[side_i, i] + (1 if side_i == 0 else -1)
                    down = levels[side_j, j] + (-1 if side_j == 0 else 1)
                    if 0 <= up <= top and 0 <= down <= top:
                        yield [(side_i, i, up), (side_j, j, down)]


def _best_neighbour(qubo, levels):
    """Return the lowest energy that one move reaches, by brute force."""
    points = []
    for changes in _moves(levels, qubo.encoding.grid.size - 1):
        point = levels.copy()
        for side, sample, level in changes:
            point[side, sample] = level
        points.append(point)
    return qubo.dual.energy(qubo.encoding.values(np.array(points))).min()


def _assert_local_minimum(qubo, name):
    samples = get_sampler(SAMPLERS[name].spec).sample(qubo, num_reads=20, seed=3)
    polished = polish(qubo, samples)
    levels = qubo.encoding.levels(polished.bits)
    for point, energy in zip(levels, polished.energies, strict=True):
        assert _best_neighbour(qubo, point) >= energy - 1e-11 * (1 + abs(energy))


@pytest.mark.parametrize("name", ["structured", "sa", "relax-round", "user's own"])
def test_polish_ends_where_no_move_improves(name, any_small_qubo):
    """On uneven levels too, where a-hat down and a up change b by different amounts."""
    _assert_local_minimum(any_small_qubo, name)


def test_polish_leaves_no_overlap_that_costs_energy(even_qubo):
    """Lowering a and a-hat of a sample together keeps b, and epsilon makes it cheaper."""
    random = get_sampler(UniformSampler()).sample(even_qubo, num_reads=200, seed=0)
    encoding = even_qubo.encoding
    # boxes of one side have no second coefficient
    assert encoding.levels(random.bits).min(axis=1).max() > 0 or (encoding.side != 0).all()
    polished = polish(even_qubo, random)
    levels = encoding.levels(polished.bits)
    without = encoding.values(levels - levels.min(axis=1, keepdims=True))
    assert (even_qubo.dual.energy(without) >= polished.energies - 1e-12).all()


class ShuffledSampler(UniformSampler):
    """It knows the answer, and gives it in an order of its own: twice, and its opposite once."""

    def __init__(self, answer):
        self.answer = answer

    def sample(self, bqm, **parameters):
        labels = np.random.default_rng(0).permutation(list(bqm.variables)).tolist()
        rows = np.array([self.answer, 1 - self.answer])[:, labels]
        return dimod.SampleSet.from_samples(
            (rows, labels),
            energy=[0.0, 0.0],
            vartype=dimod.BINARY,
            num_occurrences=[2, 1],
            sort_labels=False,
        )


def test_answers_are_put_in_our_order_and_repeated(make_dual):
    dual = make_dual(5)
    qubo = SVRQubo(dual, FixedPointEncoding.for_box(dual.C, 2))
    answer = np.random.default_rng(1).integers(0, 2, qubo.n_variables)
    samples = get_sampler(ShuffledSampler(answer)).sample(qubo, num_reads=3, seed=0)
    np.testing.assert_array_equal(samples.bits, [answer, answer, 1 - answer])
    np.testing.assert_allclose(samples.energies, qubo.energies(samples.bits))


@pytest.mark.parametrize("n_jobs", [2, 3, 16])
def test_threads_do_not_change_the_samples(make_dual, n_jobs):
    """150 reads are three batches of 64."""
    for C in (np.ones(20), np.linspace(0.5, 2.0, 20)):
        dual = make_dual(20, C=C)
        qubo = SVRQubo(dual, FixedPointEncoding.for_box(C, 3))
        annealer = get_sampler("structured")
        one = annealer.sample(qubo, num_reads=150, seed=5, n_jobs=1)
        many = annealer.sample(qubo, num_reads=150, seed=5, n_jobs=n_jobs)
        np.testing.assert_array_equal(one.bits, many.bits)
        np.testing.assert_array_equal(
            polish(qubo, one).bits, polish(qubo, many, n_jobs=n_jobs).bits
        )


def test_fewer_reads_of_the_structured_annealer_are_the_first_of_more(make_dual):
    dual = make_dual(20)
    qubo = SVRQubo(dual, FixedPointEncoding.for_box(dual.C, 3))
    few, many = (
        get_sampler("structured").sample(qubo, num_reads=n, seed=5).bits for n in (70, 150)
    )
    np.testing.assert_array_equal(few, many[:70])


def test_exact_returns_the_lowest_strings(small_qubo, all_bits):
    energies = np.sort(small_qubo.energies(all_bits(small_qubo.n_variables)))
    samples = get_sampler("exact").sample(small_qubo, num_reads=10, seed=0)
    np.testing.assert_allclose(np.sort(samples.energies), energies[:10], rtol=1e-10, atol=1e-13)


def test_relax_round_is_exact_where_the_relaxation_is_on_the_grid():
    """With K = I the relaxation is clip(y - epsilon, 0, C): here, levels of the encoding."""
    dual = SVRDual(np.eye(3), np.array([1.1, -0.1 - 2 / 7, 0.05]), 0.1, np.ones(3))
    qubo = SVRQubo(dual, FixedPointEncoding.for_box(dual.C, 3))
    samples = get_sampler("relax-round").sample(qubo, num_reads=1, seed=0)
    expected = [[[1.0, 0.0, 0.0], [0.0, 2 / 7, 0.0]]]
    np.testing.assert_allclose(qubo.encoding.decode(samples.bits), expected, atol=1e-12)


def test_annealing_beats_random_strings_before_polish(make_dual):
    """Raw energies are what a sampler is judged by."""
    dual = make_dual(30, equality_penalty=2.0)
    qubo = SVRQubo(dual, FixedPointEncoding.for_box(dual.C, 3))
    bound = dual.relax().bound
    random = get_sampler(UniformSampler()).sample(qubo, num_reads=64, seed=0).energies
    annealed = get_sampler("structured").sample(qubo, num_reads=64, seed=0).energies
    assert np.median(annealed) - bound < 0.05 * (random.min() - bound)
