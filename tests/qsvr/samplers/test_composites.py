"""Composites: who embeds, whose options are meant, and how much one takes.

A composite that embeds gets the logical problem. One that passes problems on to a structured
sampler has qubits for variables, and is embedded on like that sampler alone.
"""

from __future__ import annotations

import dimod
import numpy as np
import pytest
from dwave.preprocessing.composites import ScaleComposite, SpinReversalTransformComposite
from dwave.samplers import SimulatedAnnealingSampler, SteepestDescentComposite
from dwave.system import (
    AutoEmbeddingComposite,
    CutOffComposite,
    EmbeddingComposite,
    FixedEmbeddingComposite,
    LazyFixedEmbeddingComposite,
    ParallelEmbeddingComposite,
)
from dwave.system.testing import MockDWaveSampler
from minorminer.busclique import find_clique_embedding

from qsvr import QSVR, CapacityError, SamplerWarning, get_sampler
from qsvr.samplers import DimodSampler
from qsvr.samplers.dwave import QPUSampler

X = np.linspace(0.0, 1.0, 4)[:, None]
Y = np.sin(5 * X[:, 0])
N_VARIABLES = 24  # 4 samples at 3 bits


class Recorder(MockDWaveSampler):
    """An annealer of 1,000 qubits that remembers what it was given."""

    def __init__(self, **arguments):
        super().__init__(
            topology_type="pegasus", topology_shape=[4], parameter_warnings=False,
            substitute_sampler=SimulatedAnnealingSampler(), substitute_kwargs={"seed": 3},
            **arguments,
        )  # fmt: skip
        self.problems = []

    def sample(self, bqm, **parameters):
        self.problems.append((bqm.copy(), parameters))
        return super().sample(bqm, **parameters)


class Logged(dimod.ComposedSampler):
    """A user's own composite, of which it cannot be known whether it embeds."""

    children = None

    def __init__(self, child):
        self.children = [child]
        self.sizes = []

    @property
    def parameters(self):
        return self.child.parameters

    @property
    def properties(self):
        return {"child_properties": self.child.properties}

    def sample(self, bqm, **parameters):
        self.sizes.append(bqm.num_variables)
        return self.child.sample(bqm, **parameters)


@pytest.fixture
def qpu():
    return Recorder()


@pytest.fixture(scope="module")
def chains():
    return find_clique_embedding(30, Recorder().to_networkx_graph(), use_cache=False, seed=0)


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("QSVR_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "composites"))


def _fixed(qpu, chains):
    return FixedEmbeddingComposite(qpu, chains)


EMBEDDING = {
    "embedding": lambda qpu, chains: EmbeddingComposite(qpu),
    "auto": lambda qpu, chains: AutoEmbeddingComposite(qpu),
    "lazy": lambda qpu, chains: LazyFixedEmbeddingComposite(qpu),
    "fixed": _fixed,
    "tracked": lambda qpu, chains: dimod.TrackingComposite(_fixed(qpu, chains)),
    "spin reversal": lambda qpu, chains: SpinReversalTransformComposite(EmbeddingComposite(qpu)),
    "truncated": lambda qpu, chains: dimod.TruncateComposite(_fixed(qpu, chains), 8),
    "own": lambda qpu, chains: Logged(_fixed(qpu, chains)),
}
PASSING = {
    "bare": lambda qpu: qpu,
    "spin reversal": SpinReversalTransformComposite,
    "tracking": dimod.TrackingComposite,
    "scale": ScaleComposite,
    "spin reversal of tracking": lambda qpu: SpinReversalTransformComposite(
        dimod.TrackingComposite(qpu)
    ),
}


def _model(sampler, **parameters):
    return QSVR(sampler=sampler, num_reads=8, random_state=0, **parameters)


def _chain_couplings(bqm, chains):
    """Return the strongest coupling within any chain, over spins."""
    spin = bqm.change_vartype("SPIN", inplace=False)
    owner = {qubit: v for v, chain in dict(chains).items() for qubit in chain}
    within = [bias for (u, v), bias in spin.quadratic.items() if owner[u] == owner[v]]
    return min(within)


@pytest.mark.parametrize("name", EMBEDDING)
def test_a_composite_that_embeds_gets_the_logical_problem_and_its_own_options(name, qpu, chains):
    composite = EMBEDDING[name](qpu, chains)
    assert isinstance(get_sampler(composite), DimodSampler)
    model = _model(composite, sampler_options={"chain_strength": 7.0}).fit(X, Y)
    (embedded, parameters) = qpu.problems[-1]
    context = model.sampleset_.info["embedding_context"]
    assert set(context["embedding"]) >= set(range(N_VARIABLES))
    used = {v: context["embedding"][v] for v in range(N_VARIABLES)}
    assert set(embedded.variables) == {qubit for chain in used.values() for qubit in chain}
    # the composite applied it, once
    assert _chain_couplings(embedded, used) == pytest.approx(-7.0)
    assert model.sampler_info_["chain_strength"] == 7.0
    assert parameters["num_reads"] == 8
    assert model.sampler_info_["n_reads"] == 8
    assert "embedding_source" not in model.sampler_info_  # ours was not used


def test_a_composite_that_applies_no_chain_strength_reports_none(qpu, chains):
    composite = ParallelEmbeddingComposite(qpu, embeddings=[chains])
    model = _model(composite).fit(X, Y)
    assert "chain_strength" not in model.sampler_info_
    assert model.sampler_info_["n_reads"] == 8


@pytest.mark.parametrize("name", PASSING)
def test_a_composite_that_passes_problems_on_is_embedded_on(name, qpu):
    composite = PASSING[name](qpu)
    sampler = get_sampler(composite)
    assert isinstance(sampler, QPUSampler)
    assert sampler.max_variables == QPUSampler(client=qpu).max_variables > N_VARIABLES
    model = _model(composite, sampler_options={"chain_strength": 7.0}).fit(X, Y)
    context = model.sampleset_.info["embedding_context"]
    embedded, parameters = qpu.problems[-1]
    assert set(embedded.variables) == {q for c in context["embedding"].values() for q in c}
    assert parameters["num_reads"] == model.sampler_info_["n_reads"] == 8
    assert model.sampler_info_["chain_strength"] == 7.0


@pytest.mark.filterwarnings("ignore:refinement ended by n_refinements=2")
def test_a_users_own_composite_is_embedded_on_where_the_logical_problem_does_not_fit(qpu):
    composite = Logged(qpu)
    model = _model(composite, n_refinements=2).fit(X, Y)
    n_qubits = model.sampler_info_["n_qubits"]
    assert composite.sizes[:2] == [N_VARIABLES, n_qubits]
    assert set(composite.sizes) == {N_VARIABLES, n_qubits}
    assert model.sampler_info_["embedding_source"] == "memory"  # one embedder for all rounds


def test_the_number_of_spin_reversals_reaches_the_composite(qpu):
    """It is in the signature of its ``sample`` only."""
    composite = SpinReversalTransformComposite(qpu, seed=0)
    options = {"num_spin_reversal_transforms": 3}
    every_read = {"answer_mode": "raw"}  # by default, equal reads are one row
    model = _model(composite, sampler_options=options | every_read).fit(X, Y)
    assert len(qpu.problems) == 3
    assert model.sampler_info_["n_reads"] == 8  # the lowest of 24
    assert len(model.sampleset_) == 24
    assert model.sampler_info_["raw_energies"].max() <= np.sort(
        model.sampleset_.record.energy
    )[7] + 1e-9  # fmt: skip
    # each is paid for
    plans = [
        get_sampler(composite).plan(N_VARIABLES, n_problems=1, num_reads=8, options=o).seconds
        for o in ({}, options, {"srts": np.zeros((2, 9), bool)})
    ]
    assert plans[1:] == pytest.approx([3 * plans[0], 2 * plans[0]])


def test_a_lazy_composite_has_a_limit_once_it_has_embedded(qpu):
    lazy = LazyFixedEmbeddingComposite(qpu)
    before = get_sampler(lazy).max_variables
    assert before > N_VARIABLES
    _model(lazy).fit(X, Y)
    assert get_sampler(lazy).max_variables == N_VARIABLES
    _model(lazy).fit(X, Y)
    with pytest.raises(CapacityError, match=r"LazyFixedEmbeddingComposite.*at most 24"):
        _model(lazy, max_variables=None).fit(np.linspace(0, 1, 6)[:, None], np.arange(6))


def test_a_fixed_embedding_of_too_few_variables(qpu, chains):
    small = FixedEmbeddingComposite(qpu, {v: chains[v] for v in range(18)})
    assert get_sampler(small).max_variables == 18
    with pytest.raises(CapacityError, match=r"'FixedEmbeddingComposite' takes at most 18"):
        _model(small, max_variables=None).fit(X, Y)
    assert not qpu.problems
    _model(small).fit(X, Y)  # in working sets
    assert max(len(bqm) for bqm, _ in qpu.problems) <= sum(len(chains[v]) for v in range(18))


def test_a_fixed_embedding_of_other_variables(qpu, chains):
    lettered = FixedEmbeddingComposite(qpu, {f"x{v}": chains[v] for v in range(24)})
    with pytest.raises(ValueError, match=r"FixedEmbeddingComposite for the variables 'x\d+'"):
        _model(lettered).fit(X, Y)
    assert not qpu.problems


def test_a_fixed_embedding_that_is_no_clique(qpu):
    (u, v), *_ = qpu.edgelist
    far = next(q for q in qpu.nodelist if q not in qpu.adjacency[u] | qpu.adjacency[v] | {u, v})
    sparse = FixedEmbeddingComposite(qpu, {0: (u,), 1: (v,), 2: (far,)})
    with pytest.raises(ValueError, match="does not couple the variables 0 and 2"):
        _model(sparse).fit(X, Y)


def test_a_structure_that_is_a_clique_of_our_variables_is_logical():
    edges = [(i, j) for i in range(N_VARIABLES) for j in range(i)]
    nodes = list(range(N_VARIABLES))
    sampler = dimod.StructureComposite(SimulatedAnnealingSampler(), nodes, edges)
    assert isinstance(get_sampler(sampler), DimodSampler)
    assert get_sampler(sampler).max_variables == N_VARIABLES


def test_a_stand_in_for_an_annealer_gets_the_seed(qpu):
    """The same seed gives the same samples, also through an embedding."""
    sampler = dimod.StructureComposite(SimulatedAnnealingSampler(), qpu.nodelist, qpu.edgelist)
    first, second = (_model(sampler).fit(X, Y).sampler_info_["raw_energies"] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_enumeration_of_an_embedded_problem_is_refused(qpu):
    """2**n_qubits strings fill any memory."""
    sampler = dimod.StructureComposite(dimod.ExactSolver(), qpu.nodelist, qpu.edgelist)
    with pytest.raises(CapacityError, match=r"ExactSolver|StructureComposite"):
        _model(sampler).fit(X, Y)


def test_what_a_composite_leaves_out_is_said(qpu, chains):
    few = dimod.TruncateComposite(_fixed(qpu, chains), 5)
    every_read = {"answer_mode": "raw"}  # by default, equal reads are one row of the five
    with pytest.warns(SamplerWarning, match="'TruncateComposite' returned 5 of 8 reads"):
        model = _model(few, sampler_options=every_read).fit(X, Y)
    assert model.sampler_info_["n_reads"] == 5


def test_composites_that_change_the_problem(qpu, chains):
    for composite in (
        CutOffComposite(_fixed(qpu, chains), 1e-9),
        SteepestDescentComposite(_fixed(qpu, chains)),
    ):
        model = _model(composite, sampler_options={"chain_strength": 7.0}).fit(X, Y)
        assert model.energy_ >= model.relaxation_bound_
        assert "embedding_source" not in model.sampler_info_
