"""`sampleset_`: the sampler's own answer, kept as a value that travels."""

from __future__ import annotations

import copy
import pickle

import dimod
import joblib
import numpy as np
import pytest
from dwave.samplers import SimulatedAnnealingSampler
from dwave.system import EmbeddingComposite
from dwave.system.testing import MockDWaveSampler
from sklearn.base import clone

from qsvr import QSVR, SamplerFactory
from qsvr.samplers.base import portable_sampleset

X = np.linspace(0.0, 1.0, 6)[:, None]
Y = np.sin(5 * X[:, 0])


def _model(sampler="sa", **parameters):
    return QSVR(sampler=sampler, num_reads=8, random_state=0, **parameters)


def mock():
    """Return a mock annealer; named by a factory."""
    return MockDWaveSampler(
        topology_type="pegasus", topology_shape=[4], parameter_warnings=False,
        substitute_sampler=SimulatedAnnealingSampler(), substitute_kwargs={"seed": 3},
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("QSVR_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "sampleset"))


def test_it_is_the_answer_to_the_qubo():
    model = _model().fit(X, Y)
    answer = model.sampleset_
    assert type(answer) is dimod.SampleSet
    assert answer.record.num_occurrences.sum() == 8
    assert set(answer.variables) == set(range(36))
    np.testing.assert_allclose(np.sort(answer.record.energy),
                               np.sort(model.sampler_info_["raw_energies"]), rtol=1e-6)  # fmt: skip
    assert "sampleset" not in model.sampler_info_


@pytest.mark.parametrize("sampler", [None, "structured", "relax-round"])
def test_there_is_none_where_no_dimod_sampler_drew(sampler):
    model = _model("sa").fit(X, Y)
    assert hasattr(model, "sampleset_")
    model.set_params(sampler=sampler).fit(X, Y)
    assert not hasattr(model, "sampleset_")
    with pytest.raises(AttributeError, match="sampleset_"):
        _ = model.sampleset_


def test_of_several_qubos_it_is_the_last_ones():
    refined = _model(n_refinements=3).fit(X, Y)
    assert refined.n_iter_ > 1
    raw = refined.sampler_info_["raw_energies"]
    np.testing.assert_allclose(np.sort(refined.sampleset_.record.energy), np.sort(raw), rtol=1e-6)
    sets = _model("tabu", max_variables=18, tol=0.1).fit(X, Y)
    assert sets.n_iter_ > 1
    assert len(sets.sampleset_.variables) == sets.sampler_info_["n_variables"] == 18


def test_enumeration_keeps_as_many_strings_as_reads():
    model = _model("exact").fit(X[:3], Y[:3])
    assert len(model.sampleset_) == 8


@pytest.mark.parametrize(
    "sampler",
    ["sa", SimulatedAnnealingSampler(), SamplerFactory("openjij.SASampler")],
    ids=["name", "live", "factory"],
)
def test_it_travels_with_the_model(sampler, tmp_path):
    if isinstance(sampler, SamplerFactory):
        pytest.importorskip("openjij")
    model = _model(sampler).fit(X, Y)
    joblib.dump(model, tmp_path / "model.joblib")
    copies = [pickle.loads(pickle.dumps(model)), copy.deepcopy(model),
              joblib.load(tmp_path / "model.joblib")]  # fmt: skip
    for each in copies:
        assert each.sampleset_ == model.sampleset_
        assert each.sampleset_.info.keys() == model.sampleset_.info.keys()
        assert type(each.sampleset_) is dimod.SampleSet
    assert not hasattr(clone(model), "sampleset_")


@pytest.mark.parametrize("wrap", [lambda qpu: qpu, EmbeddingComposite])
def test_of_an_annealer_it_has_what_the_inspector_reads(wrap):
    """A problem's id, its timing, and the embedding, whoever embedded."""
    qpu = mock()
    model = _model(wrap(qpu), sampler_options={"chain_strength": 3.0}).fit(X, Y)
    info = model.sampleset_.info
    assert info["problem_id"]
    assert info["timing"]["qpu_access_time"] > 0
    context = info["embedding_context"]
    assert context["chain_strength"] == 3.0
    assert context["chain_break_method"] == "majority_vote"
    assert {"embedding_parameters", "timing"} <= context.keys()
    embedding = context["embedding"]
    assert set(embedding) == set(model.sampleset_.variables) == set(range(36))
    assert {qubit for chain in embedding.values() for qubit in chain} <= set(qpu.nodelist)
    assert model.sampleset_.vartype is dimod.BINARY
    assert "chain_break_fraction" in model.sampleset_.record.dtype.names
    model.set_params(sampler=None)  # a live client does not travel; what it answered does
    kept = pickle.loads(pickle.dumps(model)).sampleset_
    assert kept.info["embedding_context"]["embedding"] == dict(embedding)


def test_what_cannot_be_pickled_is_left_out():
    class Mine(dimod.SampleSet):
        pass

    answer = Mine.from_samples(
        [[0, 1]], "BINARY", 1.0, info={"f": lambda: 0, "n": 3, "embedding_context": None}
    )
    kept = portable_sampleset(answer)
    assert type(kept) is dimod.SampleSet
    assert kept.info == {"n": 3, "embedding_context": None}
    assert np.shares_memory(kept.record.sample, answer.record.sample)
    assert pickle.loads(pickle.dumps(kept)) == kept


def test_a_model_is_not_much_larger_for_it():
    """Bits as bytes, and energies; no second copy."""
    model = (
        _model(
            "sa",
        )
        .set_params(num_reads=500)
        .fit(X, Y)
    )
    with_it = len(pickle.dumps(model))
    answer = model.sampleset_
    del model.sampleset_
    assert with_it - len(pickle.dumps(model)) < 1.2 * answer.record.nbytes + 2_000
