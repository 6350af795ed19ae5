"""Chain strength and chain breaks on a bare annealer, as `EmbeddingComposite` takes them."""

from __future__ import annotations

import dimod
import numpy as np
import pytest
from dwave.embedding import chain_breaks, unembed_sampleset
from dwave.embedding.chain_strength import scaled, uniform_torque_compensation
from dwave.samplers import RandomSampler
from dwave.system.testing import MockDWaveSampler

from qsvr import QSVR, FixedPointEncoding, IncompleteAnswerError, SamplerError, SVRQubo, get_sampler

NAMES = ["majority_vote", "discard", "weighted_random", "minimize_energy"]


class Broken(MockDWaveSampler):
    """An annealer of random qubits, whose chains break; it remembers its last problem."""

    def __init__(self, share=0.0, **arguments):
        super().__init__(
            topology_type="pegasus", topology_shape=[4], parameter_warnings=False,
            substitute_sampler=RandomSampler(), substitute_kwargs={"seed": 3}, **arguments,
        )  # fmt: skip
        self.share = share  # of the reads whose chains are whole
        self.problem = self.answer = None

    def sample(self, bqm, **parameters):
        self.problem = bqm
        answer = super().sample(bqm, **parameters)
        whole = int(self.share * len(answer))
        answer.record.sample[:whole] = 1
        self.answer = answer.copy()
        return answer


@pytest.fixture(autouse=True)
def _cache(cache_dir, monkeypatch):
    monkeypatch.setenv("QSVR_CACHE_DIR", str(cache_dir))


@pytest.fixture
def qubo(make_dual):
    dual = make_dual(5, seed=1, equality_penalty=2.0)
    return SVRQubo(dual, FixedPointEncoding.for_box(dual.C, 2))


def _sample(client, qubo, num_reads=30, **options):
    return get_sampler(client).sample(qubo, num_reads=num_reads, seed=5, **options)


@pytest.mark.parametrize("name", ["majority_vote", "minimize_energy", "discard"])
@pytest.mark.parametrize("as_callable", [False, True])
def test_methods_by_name_and_as_callables_read_chains_as_ocean_does(name, as_callable, qubo):
    client = Broken(share=0.3)
    bqm = qubo.to_bqm()
    if not as_callable:
        method = name
    elif name == "minimize_energy":
        # the embedding is known in advance
        chains = dict(enumerate(get_sampler(client).embedder.embed(20).chains))
        method = chain_breaks.MinimizeEnergy(bqm.change_vartype("SPIN", inplace=False), chains)
    else:
        method = getattr(chain_breaks, name)
    samples = _sample(client, qubo, chain_break_method=method)
    context = samples.sampleset.info["embedding_context"]
    ocean = {"minimize_energy": chain_breaks.MinimizeEnergy(bqm.spin, context["embedding"])}
    expected = unembed_sampleset(
        client.answer, context["embedding"], bqm.spin,
        chain_break_method=ocean.get(name) or getattr(chain_breaks, name),
    ).change_vartype("BINARY", inplace=False)  # fmt: skip
    np.testing.assert_array_equal(samples.bits, expected.record.sample)
    assert len(samples) == (9 if name == "discard" else 30)
    assert context["chain_break_method"] in {name, "MinimizeEnergy"}


def test_weighted_random_repeats_and_leaves_the_global_generator_alone(qubo):
    client = Broken()
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = (_sample(client, qubo, chain_break_method="weighted_random") for _ in range(2))
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    np.testing.assert_array_equal(first.bits, second.bits)
    # each is a value that a qubit of the chain has
    chains = first.sampleset.info["embedding_context"]["embedding"]
    labels = {qubit: i for i, qubit in enumerate(client.answer.variables)}
    spins = client.answer.record.sample
    for v, chain in chains.items():
        values = (spins[:, [labels[qubit] for qubit in chain]] > 0).astype(int)
        read = first.bits[:, v]
        assert ((values == read[:, None]).any(axis=1)).all()
    majority = _sample(client, qubo)
    assert (majority.bits != first.bits).any()


def test_several_methods_give_the_lowest_of_all(qubo):
    client = Broken()
    methods = ["majority_vote", chain_breaks.weighted_random]
    samples = _sample(client, qubo, chain_break_method=methods)
    assert len(samples) == 30
    assert len(samples.sampleset) == 60
    assert "chain_break_method" in samples.sampleset.record.dtype.names
    worst = np.sort(samples.sampleset.record.energy)
    assert samples.energies.max() <= worst[29] + 1e-9
    context = samples.sampleset.info["embedding_context"]
    assert context["chain_break_method"] == ["majority_vote", "weighted_random"]


def test_reads_that_are_discarded_are_no_missing_answer(qubo):
    samples = _sample(Broken(share=0.5), qubo, chain_break_method="discard")
    assert len(samples) == 15
    assert samples.info["chain_break_fraction"] > 0.1  # of what was read
    with pytest.raises(SamplerError, match="discarded all reads") as caught:
        _sample(Broken(), qubo, chain_break_method="discard")
    assert not isinstance(caught.value, IncompleteAnswerError)
    assert len(caught.value.samples) == 30  # by majority vote


def test_paid_reads_outlive_a_method_that_fails(qubo):
    def wrong(samples, chains):
        raise RuntimeError("no idea")

    with pytest.raises(SamplerError, match=r"chain_break_method .* failed: RuntimeError") as caught:
        _sample(Broken(), qubo, chain_break_method=wrong)
    assert len(caught.value.samples) == 30


@pytest.mark.parametrize("value", ["majority", 3, ["discard", "x"], {"a": 1}])
def test_methods_that_are_none(value, qubo):
    client = Broken()
    with pytest.raises(ValueError, match="chain_break_method of sampler_options must be one of"):
        _sample(client, qubo, chain_break_method=value)
    assert client.problem is None


def _strengths(client, samples):
    """Return the coupling within the chain of each variable, over spins."""
    chains = samples.sampleset.info["embedding_context"]["embedding"]
    owner = {qubit: v for v, chain in chains.items() for qubit in chain}
    found = {}
    for (u, v), bias in client.problem.change_vartype("SPIN", inplace=False).quadratic.items():
        if owner[u] == owner[v]:
            found[owner[u]] = -bias
    return found


def test_chain_strength_as_a_number_a_mapping_and_a_callable(qubo):
    client = Broken()
    own = {v: 2.0 + v for v in range(qubo.n_variables)}
    cases = [
        (3.5, dict.fromkeys(own, 3.5)),
        (own, own),
        (lambda bqm, embedding: own, own),
        (lambda bqm, embedding: 10.0 * len(embedding), dict.fromkeys(own, 200.0)),
    ]
    for given, expected in cases:
        samples = _sample(client, qubo, chain_strength=given)
        strengths = _strengths(client, samples)
        assert strengths
        assert strengths == pytest.approx({v: expected[v] for v in strengths})
        applied = samples.info["chain_strength"]
        assert applied == samples.sampleset.info["embedding_context"]["chain_strength"]
        assert applied in (expected, expected[0])


@pytest.mark.parametrize("strength", [uniform_torque_compensation, scaled])
def test_oceans_functions_give_what_they_give_a_composite(strength, qubo):
    client = Broken()
    samples = _sample(client, qubo, chain_strength=strength)
    expected = strength(qubo.to_bqm().change_vartype("SPIN", inplace=False))
    assert samples.info["chain_strength"] == pytest.approx(expected)
    if strength is uniform_torque_compensation:
        assert _sample(client, qubo).info["chain_strength"] == pytest.approx(expected)


@pytest.mark.parametrize("value", ["strong", 0, -1.0, {0: "x"}, [1.0], lambda bqm, embedding: -1])
def test_chain_strengths_that_are_none(value, qubo):
    client = Broken()
    with pytest.raises(ValueError, match="chain_strength of sampler_options must be a finite"):
        _sample(client, qubo, chain_strength=value)
    assert client.problem is None


def test_they_are_options_of_a_fit():
    X = np.linspace(0, 1, 4)[:, None]
    options = {"chain_break_method": "weighted_random", "chain_strength": scaled}
    model = QSVR(sampler=Broken(), num_reads=8, sampler_options=options, random_state=0).fit(
        X, X[:, 0]
    )
    assert model.sampler_info_["n_reads"] == 8
    assert isinstance(model.sampleset_, dimod.SampleSet)
