"""Embeddings on the real topologies: capacity, reuse, the file they are kept in, bad files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import dwave.graphs
import numpy as np
import pytest
from dwave.embedding import verify_embedding
from dwave.samplers import SimulatedAnnealingSampler
from dwave.system.testing import MockDWaveSampler
from minorminer.busclique import find_clique_embedding
from sklearn.datasets import make_friedman1

from qsvr import QSVR
from qsvr.exceptions import CapacityError, SamplerError
from qsvr.samplers.dwave import QPUSampler
from qsvr.samplers.dwave.embedding import (
    CliqueEmbedder,
    WorkingGraph,
    cache_folder,
    is_clique_embedding,
)

TOPOLOGIES = {"pegasus": [16], "zephyr-12": [12, 4], "zephyr-15": [15, 4]}
SMALL = "zephyr-3"  # where the size does not matter
# Largest cliques as measured once on ideal graphs.
CAPACITY = {"pegasus": 180, "zephyr-12": 184, "zephyr-15": 232}


def _graph(name, missing_nodes=0.0, n_missing_edges=0, seed=0):
    family, shape = name.split("-")[0], {**TOPOLOGIES, SMALL: [3, 4]}[name]
    ideal = getattr(dwave.graphs, f"{family}_graph")(*shape)
    rng = np.random.default_rng(seed)
    nodes = [node for node in ideal.nodes if rng.random() >= missing_nodes]
    edges = sorted(tuple(sorted(edge)) for edge in ideal.subgraph(nodes).edges)
    gone = set(rng.choice(len(edges), n_missing_edges, replace=False).tolist())
    edges = [edge for i, edge in enumerate(edges) if i not in gone]
    properties = {"topology": {"type": family, "shape": shape}}
    return WorkingGraph.of("mock", properties, nodes, edges)


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_capacity_is_the_largest_clique_found(name, tmp_path):
    embedder = CliqueEmbedder(_graph(name), tmp_path)
    largest = embedder.largest()
    assert largest == CAPACITY[name]
    assert len(embedder.embed(largest).chains) == largest
    assert not find_clique_embedding(largest + 1, embedder.graph.lattice, use_cache=False, seed=0)
    with pytest.raises(CapacityError, match=f"largest has {largest}"):
        embedder.embed(largest + 1)


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_missing_qubits_and_couplers(name, tmp_path):
    graph = _graph(name, missing_nodes=0.01, n_missing_edges=30)
    embedder = CliqueEmbedder(graph, tmp_path)
    largest = embedder.largest()
    chains = dict(enumerate(embedder.embed(largest).chains))
    assert 120 <= largest < CAPACITY[name]
    clique = [(i, j) for i in range(largest) for j in range(i)]
    assert verify_embedding(chains, clique, graph.edges)


class _QuickMock(MockDWaveSampler):
    """The mock's graph, with few sweeps so that 1500 qubits take a second."""

    def sample(self, bqm, num_reads=1, **parameters):
        return SimulatedAnnealingSampler().sample(
            bqm, num_reads=num_reads, num_sweeps=20, seed=0, beta_range=(0.01, 1.0)
        )


@pytest.mark.parametrize("name", ["pegasus", "zephyr-12"])
def test_120_variables_end_to_end_and_again(name, tmp_path, monkeypatch):
    monkeypatch.setenv("QSVR_CACHE_DIR", str(tmp_path))
    X, y = make_friedman1(20, random_state=0)
    client = _QuickMock(topology_type=name.split("-")[0], topology_shape=TOPOLOGIES[name])
    sampler = QPUSampler(client=client)
    infos = []
    for _ in range(2):
        model = QSVR(C=5, n_bits=3, sampler=sampler, num_reads=5, random_state=0).fit(X, y)
        infos.append(model.sampler_info_)
        assert np.mean((model.predict(X) - y) ** 2) < np.var(y)
    again = QPUSampler(client=client)  # as in another process: from the file
    infos.append(QSVR(C=5, sampler=again, num_reads=5).fit(X, y).sampler_info_)
    assert [info["embedding_source"] for info in infos] == ["computed", "memory", "disk"]
    assert infos[0]["n_variables"] == 120
    assert infos[0]["n_qubits"] > 120 * 8
    assert infos[1]["embedding_time"] < 0.05 * infos[0]["embedding_time"]


@pytest.mark.parametrize(
    "content",
    ["", "not json", "[]", '{"format": 1}', '{"format": 1, "cliques": 3, "graph": "GRAPH"}',
     '{"format": 1, "graph": "GRAPH", "cliques": {"8": [[1], [2], [3], [4], [5], [6], [7], [8]]}}',
     '{"format": 1, "graph": "GRAPH", "cliques": {"8": "__import__(\'os\').abort()"}}'],
)  # fmt: skip
def test_bad_files_are_computed_anew(content, tmp_path):
    graph = _graph(SMALL)
    path = tmp_path / f"{graph.key}.json"
    path.write_text(content.replace("GRAPH", graph.key))
    embedding = CliqueEmbedder(graph, tmp_path).embed(8)
    assert embedding.source == "computed"
    assert is_clique_embedding(embedding.chains, graph)
    assert json.loads(path.read_text())["cliques"]["8"] == [list(c) for c in embedding.chains]


def test_key_tells_graphs_apart():
    assert _graph(SMALL).key == _graph(SMALL).key
    assert _graph(SMALL).key != _graph(SMALL, n_missing_edges=1).key


def test_unwritable_folder_only_costs_time(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    assert CliqueEmbedder(_graph(SMALL), file / "below").embed(8).source == "computed"


def test_fixed_embedding_must_fit(tmp_path, monkeypatch):
    monkeypatch.setenv("QSVR_CACHE_DIR", str(tmp_path))
    X, y = make_friedman1(4, random_state=0)
    client = _QuickMock(topology_type="zephyr", topology_shape=[3, 4])
    sampler = QPUSampler(client=client)
    model = QSVR(n_bits=1, sampler=sampler, sampler_options={"embedding": {0: [0], 1: [1]}})
    with pytest.raises(SamplerError, match="disjoint, connected"):
        model.fit(X, y)


def test_general_heuristic_on_an_unknown_topology(tmp_path):
    edges = [(i, j) for i in range(12) for j in range(i)]
    graph = WorkingGraph.of("mock", {"topology": {"type": "other"}}, range(12), edges)
    embedding = CliqueEmbedder(graph, tmp_path).embed(6)
    assert is_clique_embedding(embedding.chains, graph)
    with pytest.raises(SamplerError, match="minorminer"):
        CliqueEmbedder(graph, tmp_path).embed(6, "clique")


@pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="they have folders of their own")
def test_the_cache_lies_where_the_system_keeps_caches(monkeypatch, tmp_path):
    monkeypatch.delenv("QSVR_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == Path.home() / ".cache" / "qsvr"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "qsvr"
    monkeypatch.setenv("QSVR_CACHE_DIR", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
