"""dimod samplers: which options they have, what reaches them, and what their kind limits."""

from __future__ import annotations

import inspect
import resource
import warnings
from typing import ClassVar

import dimod
import numpy as np
import pytest
from dwave.samplers import (
    RandomSampler,
    SimulatedAnnealingSampler,
    TabuSampler,
    TreeDecompositionSolver,
)

from qsvr import (
    QSVR,
    CapacityError,
    FixedPointEncoding,
    SamplerFactory,
    SamplerWarning,
    SVRQubo,
    get_sampler,
)
from qsvr.samplers import open_sampler

X = np.linspace(0.0, 1.0, 5)[:, None]
Y = np.sin(5 * X[:, 0])


@pytest.fixture
def qubo(make_dual):
    dual = make_dual(5, seed=1, equality_penalty=2.0)
    return SVRQubo(dual, FixedPointEncoding.for_box(dual.C, 3))


class Plain(dimod.Sampler):
    """It documents nothing and remembers what it got."""

    parameters: ClassVar = {}
    properties: ClassVar = {}

    def __init__(self):
        self.got = []

    def sample(self, bqm, **options):
        self.got.append(options)
        return RandomSampler().sample(bqm, num_reads=options.get("num_reads", 1), seed=0)


class Undocumented(Plain):
    """Its options are in its signature only."""

    def sample(self, bqm, num_reads=1, *, strength=1.0, random_seed=None, **more):
        return super().sample(bqm, num_reads=num_reads, strength=strength, seed=random_seed)


class Documented(Plain):
    """Its options are in ``parameters`` only."""

    parameters: ClassVar = {"num_reads": [], "rng": [], "strength": []}


class Overstated(Plain):
    """It documents more than it takes."""

    parameters: ClassVar = {"num_reads": [], "seed": [], "return_embedding": []}

    def sample(self, bqm, num_reads=1, seed=None):
        return super().sample(bqm, num_reads=num_reads, seed=seed)


class Seeded(Plain):
    parameters: ClassVar = {"num_reads": []}

    def sample(self, bqm, *, random_state, **options):
        return super().sample(bqm, random_state=random_state, **options)


@pytest.mark.parametrize(
    ("sampler", "seed_name"),
    [
        (Undocumented(), "seed"),
        (Documented(), "rng"),
        (Seeded(), "random_state"),
        (Overstated(), "seed"),
    ],
)
def test_reads_and_seed_reach_the_sampler_by_the_name_that_it_has(sampler, seed_name, qubo):
    samples = get_sampler(sampler).sample(qubo, num_reads=7, seed=2**31 + 5)
    assert len(samples) == 7
    assert sampler.got[-1]["num_reads"] == 7
    assert sampler.got[-1][seed_name] == 5


@pytest.mark.parametrize("sampler", [Undocumented(), Documented()])
def test_options_are_found_in_parameters_and_in_the_signature(sampler, qubo):
    adapted = get_sampler(sampler)
    assert adapted.parameters == {"strength"}
    adapted.sample(qubo, num_reads=2, seed=0, strength=3.0)
    assert sampler.got[-1]["strength"] == 3.0
    with pytest.raises(ValueError, match=r"has \['stength'\]"):
        adapted.sample(qubo, num_reads=2, seed=0, stength=3.0)


def test_what_is_documented_and_not_taken_is_no_option():
    assert get_sampler(Overstated()).parameters == set()


def test_openjijs_options_are_those_of_its_signature(qubo):
    openjij = pytest.importorskip("openjij")
    for sampler in (openjij.SASampler(), openjij.SQASampler()):
        adapted = get_sampler(sampler)
        signature = set(inspect.signature(sampler.sample).parameters)
        assert adapted.parameters == signature - {"bqm", "num_reads", "seed"}
        assert "num_sweeps" in adapted.parameters
        samples = adapted.sample(qubo, num_reads=12, seed=3, num_sweeps=2)
        assert len(samples) == 12
        assert len(samples.distinct()) > 3  # openjij starts every read of a call from the seed
        assert len(samples.sampleset) == 12


def test_one_warning_says_what_cannot_reach_the_sampler(qubo):
    sampler = get_sampler(Plain())
    message = "'Plain' returned 1 of 7 reads, as it has no option for their number, and has no seed"
    with pytest.warns(SamplerWarning, match=message) as caught:
        sampler.sample(qubo, num_reads=7, seed=0)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sampler.sample(qubo, num_reads=7, seed=0)


def test_one_warning_in_a_fit_of_many_problems():
    with pytest.warns(SamplerWarning) as caught:
        model = QSVR(sampler=Plain(), n_refinements=3, random_state=0).fit(X, Y)
    assert model.n_iter_ > 1
    assert len([each for each in caught if each.category is SamplerWarning]) == 1


def test_enumeration_needs_neither_reads_nor_a_seed(make_dual):
    dual = make_dual(2, seed=1)
    qubo = SVRQubo(dual, FixedPointEncoding.for_box(dual.C, 1))
    for spec in ("exact", dimod.ExactSolver(), dimod.TrackingComposite(dimod.ExactSolver())):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            samples = get_sampler(spec).sample(qubo, num_reads=50, seed=0)
        assert len(samples) == 16  # there are no more strings


LIVE = {
    "sa": SimulatedAnnealingSampler,
    "neal": SimulatedAnnealingSampler,
    "tabu": TabuSampler,
}


@pytest.mark.parametrize("name", LIVE)
def test_a_live_sampler_has_the_limit_and_the_defaults_of_the_named_one(name, qubo):
    live, named = get_sampler(LIVE[name]()), get_sampler(name)
    path = f"dwave.samplers.{LIVE[name].__name__}"
    by_path = get_sampler(SamplerFactory(path))
    assert live.max_variables == by_path.max_variables == named.max_variables == 6_000
    expected = named.sample(qubo, num_reads=20, seed=3).bits
    for sampler in (live, by_path):
        np.testing.assert_array_equal(sampler.sample(qubo, num_reads=20, seed=3).bits, expected)


def test_defaults_give_way_to_what_excludes_them(qubo):
    annealing = get_sampler("sa")
    schedule = {"beta_schedule": [0.1, 1.0, 10.0], "beta_schedule_type": "custom"}
    samples = annealing.sample(qubo, num_reads=3, seed=0, num_sweeps_per_beta=5, **schedule)
    assert len(samples) == 3
    tabu = get_sampler("tabu")
    assert len(tabu.sample(qubo, num_reads=2, seed=0, timeout=20)) == 2
    # a time limit is one in time, not in restarts; how many those are depends on the machine
    assert tabu.kind.defaults(qubo, {}) == {"timeout": None, "num_restarts": 1}
    assert "num_restarts" not in tabu.kind.defaults(qubo, {"timeout": 20})


@pytest.mark.parametrize(
    "spec",
    [
        dimod.ExactSolver(),
        SamplerFactory("dimod.ExactSolver"),
        dimod.ExactCQMSolver(),
        dimod.TrackingComposite(dimod.ExactSolver()),
        dimod.TruncateComposite(dimod.ExactSolver(), 10),
    ],
    ids=lambda spec: getattr(spec, "path", type(spec).__name__),
)
def test_enumeration_has_its_limit_however_it_is_given(spec):
    """30 variables would fill 30 GiB."""
    assert get_sampler(spec).max_variables == 18
    with pytest.raises(CapacityError, match="takes at most 18"):
        QSVR(sampler=spec, max_variables=None).fit(X, Y)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    options = {"max_access_time": 100} if hasattr(spec, "sample_cqm") else None
    model = QSVR(sampler=spec, sampler_options=options, num_reads=10, tol=10.0).fit(X, Y)
    assert model.sampler_info_["n_variables"] <= 18
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1e6  # KB


def test_too_large_a_problem_is_refused_before_the_model_is_built(qubo):
    with pytest.raises(CapacityError, match=r"'exact' takes at most 18 binary variables.*has 30"):
        get_sampler("exact").sample(qubo, num_reads=1, seed=0)


def test_a_tree_decomposition_has_the_limit_of_its_library():
    sampler = TreeDecompositionSolver()
    assert get_sampler(sampler).max_variables == sampler.properties["max_treewidth"] + 1


@pytest.mark.parametrize("cls", [dimod.ExactSolver, SimulatedAnnealingSampler])
def test_a_class_is_no_sampler(cls):
    name = cls.__name__
    with pytest.raises(TypeError, match=rf"got the class {name}\. Pass an instance, {name}\(\)"):
        QSVR(sampler=cls).fit(X, Y)


def test_a_factory_must_name_something_that_makes_a_sampler():
    with pytest.raises(
        ValueError, match=r"path='dimod\.__version__' must name a class or function"
    ):
        get_sampler(SamplerFactory("dimod.__version__"))


@pytest.mark.parametrize("sampler", [None, "sa", "qpu", SimulatedAnnealingSampler()])
@pytest.mark.parametrize("options", [5, "num_sweeps", [("num_sweeps", 5)], {3: 5}, True])
def test_options_must_be_a_mapping(sampler, options):
    with pytest.raises(ValueError, match="sampler_options must be None or a mapping"):
        open_sampler(sampler, options)
    with pytest.raises(ValueError, match="sampler_options must be None or a mapping"):
        QSVR(sampler=sampler, sampler_options=options).fit(X, Y)


def test_what_is_no_mapping_is_not_printed():
    with pytest.raises(ValueError, match="got list") as caught:
        open_sampler("qpu", [("token", "DEV-0123")])
    assert "DEV" not in str(caught.value)
