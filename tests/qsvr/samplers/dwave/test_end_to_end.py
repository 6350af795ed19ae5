"""Every path through the real client: QPU, clique, fixed embedding, hybrid, CQM, and in numbers."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from dwave.preprocessing.composites import SpinReversalTransformComposite
from joblib.externals.loky import get_reusable_executor
from sklearn.base import clone
from sklearn.ensemble import BaggingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from qsvr import QSVR, SamplerFactory, get_sampler
from qsvr.exceptions import CapacityError, CostLimitError, FallbackWarning
from qsvr.samplers.dwave import HybridSampler

N = 9  # samples: 54 variables at 3 bits


def _model(sampler, **parameters):
    parameters = {"C": 5, "num_reads": 20, "random_state": 0, **parameters}
    return QSVR(sampler=sampler, **parameters)


@pytest.mark.parametrize("sampler", ["qpu", "clique", "hybrid", "cqm", "nl"])
def test_fits_and_predicts(service, data, sampler):
    X, y = data
    model = _model(sampler).fit(X[:N], y[:N])
    assert np.mean((model.predict(X[:N]) - y[:N]) ** 2) < np.var(y[:N])
    info = model.sampler_info_
    assert info["n_problems"] == 1
    assert 0 < info["access_time"] < 30
    assert model.energy_ >= model.relaxation_bound_


@pytest.mark.parametrize("sampler", ["qpu", "clique", "hybrid", "cqm"])
def test_the_answer_is_kept_as_ocean_gives_it(api, data, sampler):
    X, y = data
    model = _model(sampler).fit(X[:N], y[:N])
    answer = model.sampleset_
    (problem,) = api.problems
    assert answer.info["problem_id"] == problem
    assert answer.info.get("timing") or answer.info["charge_time"]
    assert set(answer.variables) == set(range(2 * N if sampler == "cqm" else 6 * N))
    assert ("embedding_context" in answer.info) == (sampler in {"qpu", "clique"})
    kept = pickle.loads(pickle.dumps(model)).sampleset_
    assert kept == answer
    assert kept.info.keys() == answer.info.keys()


def test_a_fallbacks_answer_is_kept(api, data):
    X, y = data
    api.inject("submit", "401", times=None)
    with pytest.warns(FallbackWarning):
        model = _model("qpu", sampler_options={"fallback": "sa"}).fit(X[:N], y[:N])
    assert "embedding_context" not in model.sampleset_.info
    assert len(model.sampleset_) == 20


def test_fixed_embedding_is_used_as_given(api, data):
    X, y = data
    sampler = get_sampler("qpu")
    chains = dict(enumerate(sampler.embedder.embed(60).chains))
    model = _model("qpu", sampler_options={"embedding": chains}).fit(X[:N], y[:N])
    assert model.sampler_info_["embedding_source"] == "fixed"
    assert model.sampler_info_["n_qubits"] == sum(len(chains[i]) for i in range(6 * N))


def test_options_reach_the_solver(api, data):
    X, y = data
    options = {"annealing_time": 50, "num_reads": 7, "chain_strength": 3.0, "solver": {"qpu": True}}
    model = _model("qpu", sampler_options=options).fit(X[:N], y[:N])
    job = next(iter(api.problems.values())).job
    assert job["params"] == {"annealing_time": 50, "num_reads": 7}
    assert model.sampler_info_["chain_strength"] == 3.0
    assert model.sampler_info_["n_reads"] == 7


def test_unknown_option_is_refused_before_anything_is_sent(api, data):
    X, y = data
    with pytest.raises(ValueError, match="anealing_time"):
        _model("qpu", sampler_options={"anealing_time": 50}).fit(X[:N], y[:N])
    assert not api.problems


def test_more_variables_than_the_largest_clique(api, data):
    X, y = data
    with pytest.raises(CapacityError, match=r"at most \d+"):
        _model("qpu", max_variables=None).fit(X, y)
    assert not api.problems


def test_refinement_and_decomposition_go_through_the_service(api, data):
    X, y = data
    refined = _model("qpu", n_refinements=2).fit(X[:N], y[:N])
    assert len(api.problems) == refined.n_iter_ > 1
    assert refined.sampler_info_["embedding_source"] == "memory"
    sets = _model("hybrid", max_variables=30, max_iter=4, sampler_options={"max_access_time": 60})
    with pytest.warns(ConvergenceWarning):
        sets.fit(X, y)
    assert sets.n_iter_ == 4


def test_decomposition_without_a_limit_is_refused(api, data):
    """How many problems it takes is not known before, so a limit must be."""
    X, y = data
    with pytest.raises(ValueError, match="must have max_access_time"):
        _model("qpu").fit(X, y)
    assert not api.problems


def test_ensemble_of_ten_computes_one_embedding(api, data, tmp_path, monkeypatch):
    X, y = data
    monkeypatch.setenv("QSVR_CACHE_DIR", str(tmp_path))
    members = BaggingRegressor(_model("qpu"), n_estimators=10, max_samples=N, bootstrap=False,
                               random_state=0).fit(X, y)  # fmt: skip
    sources = [member.sampler_info_["embedding_source"] for member in members.estimators_]
    assert sources == ["computed"] + 9 * ["memory"]
    assert len(list((tmp_path / "embeddings").glob("*.json"))) == 1
    assert len(api.problems) == 10


def test_grid_search_in_two_processes(api, data):
    X, y = data
    # Workers left by earlier tests have an environment that does not name this server.
    get_reusable_executor().shutdown(wait=True)
    search = GridSearchCV(_model("qpu"), {"C": [1, 5]}, cv=3, n_jobs=2, error_score="raise")
    search.fit(X[:10], y[:10])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert len(api.problems) == 7


def test_twenty_problems_in_flight(api, data):
    X, y = data
    get_sampler("qpu").embedder.embed(6 * N)
    api.hold_until = 20
    with ThreadPoolExecutor(20) as pool:
        models = list(pool.map(lambda _: _model("qpu").fit(X[:N], y[:N]), range(20)))
    assert api.most_in_flight == 20
    assert {model.sampler_info_["n_problems"] for model in models} == {1}


def test_travels_as_a_value(api, data):
    X, y = data
    model = pickle.loads(pickle.dumps(clone(_model("qpu")).fit(X[:N], y[:N])))
    assert model.predict(X).shape == (len(X),)
    assert len(pickle.dumps(_model("qpu"))) < 1000


def test_factory_opens_once_and_closes(api):
    factory = SamplerFactory("qsvr.samplers.dwave.qpu.QPUSampler")
    assert factory.open() is factory.open() is get_sampler("qpu")
    client = factory.open().client
    factory.close()
    with pytest.raises(Exception, match="closed"):
        client.client.get_solvers()
    assert factory.open() is not client


def test_live_client_is_accepted_and_cannot_travel(api, data):
    from dwave.system import DWaveSampler

    X, y = data
    with DWaveSampler() as live:
        model = _model(live).fit(X[:N], y[:N])
        assert model.sampler_info_["n_problems"] == 1
        for travel in (clone, pickle.dumps):
            with pytest.raises(TypeError, match="SamplerFactory"):
                travel(model)


def test_live_hybrid_client_is_guarded_like_the_named_one(api, data):
    from dwave.system import LeapHybridSampler

    X, y = data
    with LeapHybridSampler() as live:
        assert isinstance(get_sampler(live), HybridSampler)
        with pytest.raises(CostLimitError):
            _model(live, sampler_options={"max_access_time": 0.01}).fit(X[:N], y[:N])
        assert not api.problems
        model = _model(live, sampler_options={"max_access_time": 30}).fit(X[:N], y[:N])
    assert model.sampler_info_["n_problems"] == 1


def test_live_composites_around_the_real_client(api, data):
    """One passes problems on and is embedded on; the other embeds and gets the logical problem."""
    from dwave.system import DWaveSampler, EmbeddingComposite

    X, y = data
    with DWaveSampler() as live:
        reversed_spins = _model(SpinReversalTransformComposite(live)).fit(X[:4], y[:4])
        assert reversed_spins.sampler_info_["n_problems"] == 1
        assert reversed_spins.sampler_info_["n_qubits"] >= 24
        embedded = _model(EmbeddingComposite(live)).fit(X[:4], y[:4])
    for model in (reversed_spins, embedded):
        assert model.sampleset_.info["problem_id"] in api.problems
        assert len(model.sampleset_.info["embedding_context"]["embedding"]) == 24


def test_configuration_in_the_working_directory_is_not_read(api, data, tmp_path, monkeypatch):
    X, y = data
    monkeypatch.chdir(tmp_path)
    Path("dwave.conf").write_text("[defaults]\nsolver = no-such-solver\n")
    _model("qpu").fit(X[:N], y[:N])
    assert len(api.problems) == 1
