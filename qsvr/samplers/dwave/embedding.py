"""Clique embeddings of a processor, which are computed once, kept as JSON, and reused.

The dual's QUBO couples all variables, so its embedding is that of a clique and depends on its size
only. Files are in the user's cache folder (``QSVR_CACHE_DIR`` overrides it), one per working graph,
named by a hash of solver and graph. They are read as data and verified, never evaluated.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any

from qsvr.exceptions import CapacityError, SamplerError

__all__ = ["CliqueEmbedder", "Embedding", "WorkingGraph", "cache_folder", "fixed_embedding"]

Chains = tuple[tuple[int, ...], ...]
_FORMAT = 1
# For the general heuristic; the constructed embeddings take about a tenth of a second.
_SEARCH_SECONDS = 300
_SMALLEST_SEARCH = 16


@dataclass(frozen=True)
class Embedding:
    """Chains of qubits, one per variable.

    Attributes
    ----------
    chains : tuple of tuple of int
    source : str
        "computed", "disk", "memory" or "fixed".

    Examples
    --------
    >>> from qsvr.samplers.dwave.embedding import Embedding
    >>> Embedding(((0, 4), (1, 5, 9)), source="clique").n_qubits
    5
    """

    chains: Chains
    source: str

    @property
    def n_qubits(self) -> int:
        """Qubits in all chains."""
        return sum(map(len, self.chains))


@dataclass(frozen=True, eq=False)
class WorkingGraph:
    """Qubits and couplers that a solver offers.

    Attributes
    ----------
    solver : str
        Name of the solver.
    topology : str
        "pegasus", "zephyr", "chimera" or another.
    shape : tuple of int
    nodes : tuple of int
    edges : tuple of (int, int)

    Examples
    --------
    >>> from dwave.system.testing import MockDWaveSampler
    >>> from qsvr.samplers.dwave.embedding import WorkingGraph
    >>> client = MockDWaveSampler(topology_type="pegasus", topology_shape=[2])
    >>> graph = WorkingGraph.of("mock", client.properties, client.nodelist, client.edgelist)
    >>> graph.topology, len(graph.nodes)
    ('pegasus', 40)
    """

    solver: str
    topology: str
    shape: tuple[int, ...]
    nodes: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]

    @classmethod
    def of(
        cls, solver: str, properties: Mapping[str, Any], nodes: Iterable[int], edges: Iterable[Any]
    ) -> WorkingGraph:
        """Return the graph of a solver, with edges and nodes in a fixed order.

        Parameters
        ----------
        solver : str
        properties : mapping
            Properties of the solver, with its topology.
        nodes, edges : iterable
            Qubits and couplers that work.
        """
        topology = properties.get("topology", {})
        ordered = sorted({(min(u, v), max(u, v)) for u, v in edges})
        shape = tuple(int(each) for each in topology.get("shape", ()))
        return cls(solver, str(topology.get("type", "")), shape, tuple(sorted(nodes)),
                   tuple(ordered))  # fmt: skip

    @cached_property
    def key(self) -> str:
        """Hash of solver, topology, qubits and couplers."""
        text = json.dumps([self.solver, self.topology, self.shape, self.nodes, self.edges])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @cached_property
    def neighbours(self) -> dict[int, set[int]]:
        """Coupled qubits of each qubit."""
        result: dict[int, set[int]] = {node: set() for node in self.nodes}
        for u, v in self.edges:
            result[u].add(v)
            result[v].add(u)
        return result

    @property
    def is_lattice(self) -> bool:
        """Whether clique embeddings of this topology can be constructed."""
        return self.topology in {"pegasus", "zephyr", "chimera"}

    @cached_property
    def lattice(self) -> Any:
        """Part of the graph in which no coupler is missing, as required by the construction.

        With missing couplers the construction would search for minutes. Qubits with missing
        couplers are left out instead, those with most first, which costs a few qubits.
        """
        import dwave.graphs

        build = getattr(dwave.graphs, f"{self.topology}_graph")
        edges = set(self.edges)
        ideal = build(*self.shape, node_list=self.nodes)
        missing = {(min(e), max(e)) for e in ideal.edges} - edges
        dropped = _cover(missing)
        kept = [node for node in self.nodes if node not in dropped]
        return build(*self.shape, node_list=kept)


def _cover(pairs: set[tuple[int, int]]) -> set[int]:
    """Return qubits that touch every pair, greedily those in most pairs."""
    left, cover = set(pairs), set()
    while left:
        counts = Counter(node for pair in left for node in pair)
        worst = max(counts, key=lambda node: (counts[node], -node))
        cover.add(worst)
        left = {pair for pair in left if worst not in pair}
    return cover


class CliqueEmbedder:
    """Thread-safe cache of the clique embeddings of one working graph.

    Parameters
    ----------
    graph : WorkingGraph
    folder : Path, default=None
        Folder of the embeddings. None means `cache_folder`.

    Examples
    --------
    >>> import tempfile
    >>> from dwave.system.testing import MockDWaveSampler
    >>> from qsvr.samplers.dwave.embedding import CliqueEmbedder, WorkingGraph
    >>> client = MockDWaveSampler(topology_type="pegasus", topology_shape=[2])
    >>> graph = WorkingGraph.of("mock", client.properties, client.nodelist, client.edgelist)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     embedding = CliqueEmbedder(graph, Path(folder)).embed(6)
    >>> len(embedding.chains)
    6
    """

    def __init__(self, graph: WorkingGraph, folder: Path | None = None) -> None:
        self.graph = graph
        self._path = (folder or cache_folder() / "embeddings") / f"{graph.key}.json"
        self._lock = threading.RLock()
        self._known: dict[str, Chains] = {}
        self._spent = 0.0
        self._effort = "memory"
        self._largest: int | None = None

    def embed(self, n: int, method: str = "auto") -> Embedding:
        """Return chains for ``n`` variables that are all coupled.

        Parameters
        ----------
        n : int
        method : {"auto", "clique", "minorminer"}, default="auto"
            The constructed clique embedding, or the general heuristic (slower, longer chains);
            "auto" uses the first if the topology is known.

        Raises
        ------
        CapacityError
            If the working graph has no such clique.
        """
        start = perf_counter()
        constructed = self.graph.is_lattice if method == "auto" else method == "clique"
        key = str(n) if constructed else f"minorminer-{n}"
        with self._lock:
            chains, source = self._known.get(key), "memory"
            if chains is None:
                chains, source = self._from_disk(key, n), "disk"
            if chains is None:
                search = self._search if constructed else self._search_generally
                chains, source = search(n), "computed"
                if chains is None:
                    known = f", whose largest has {self.largest()}" if self.graph.is_lattice else ""
                    raise CapacityError(
                        f"{n} variables need a clique of {n} in the solver {self.graph.solver!r}"
                        f"{known}. Use fewer bits or fewer samples, max_variables (decomposition), "
                        "or an ensemble on subsamples."
                    )
                self._write({"cliques": {**self._read().get("cliques", {}), key: chains}})
            self._known[key] = chains
            self._account(source, perf_counter() - start)
        return Embedding(chains, source)

    def _account(self, source: str, seconds: float) -> None:
        self._spent += seconds
        self._effort = max(self._effort, source, key=("memory", "disk", "computed").index)

    def take_report(self) -> dict[str, Any]:
        """Return the time spent and the slowest source used since the last call."""
        with self._lock:
            report = {"embedding_time": self._spent, "embedding_source": self._effort}
            self._spent, self._effort = 0.0, "memory"
            return report

    def largest(self) -> int:
        """Return the number of variables of the largest clique that can be embedded."""
        with self._lock:
            if self._largest is None:
                start, source = perf_counter(), "disk"
                self._largest = self._read().get("largest")
                if not isinstance(self._largest, int):
                    self._largest, source = self._search_largest(), "computed"
                self._account(source, perf_counter() - start)
            return self._largest

    def _search_generally(self, n: int) -> Chains | None:
        from minorminer import find_embedding

        clique = [(i, j) for i in range(n) for j in range(i)] or [(0, 0)]
        found = find_embedding(
            clique, self.graph.edges, random_seed=0, timeout=_SEARCH_SECONDS, threads=1
        )
        return tuple(tuple(sorted(found[i])) for i in range(n)) if found else None

    def _search(self, n: int) -> Chains | None:
        if not self.graph.is_lattice:
            raise SamplerError(
                "embedding='clique' needs a Pegasus, Zephyr or Chimera graph; that of "
                f"{self.graph.solver!r} is {self.graph.topology!r}. Use embedding='minorminer'."
            )
        from minorminer.busclique import find_clique_embedding

        # The library's own cache lies in the virtual environment and holds pickles. On Zephyr
        # graphs it never returns for some sizes from 4 to 8: a larger clique's chains do.
        size = max(n, _SMALLEST_SEARCH)
        found = find_clique_embedding(size, self.graph.lattice, use_cache=False, seed=0)
        if not found:
            return self._search_generally(n) if n < _SMALLEST_SEARCH else None
        return tuple(sorted((tuple(chain) for chain in found.values()), key=len)[:n])

    def _search_largest(self) -> int:
        low, high = 0, 64
        while self._search(high):
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._search(middle) else (low, middle)
        self._write({"largest": low})
        return low

    def _from_disk(self, key: str, n: int) -> Chains | None:
        chains = _as_chains(self._read().get("cliques", {}).get(key))
        fits = chains is not None and len(chains) == n and is_clique_embedding(chains, self.graph)
        return chains if fits else None

    def _read(self) -> dict[str, Any]:
        """Return the content of the file; empty if it is missing or of another graph."""
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        fits = (
            isinstance(content, dict)
            and content.get("format") == _FORMAT
            and content.get("graph") == self.graph.key
            and isinstance(content.get("cliques", {}), dict)
        )
        return content if fits else {}

    def _write(self, changes: Mapping[str, Any]) -> None:
        """Replace the file atomically. A read-only folder only costs time later."""
        head = {"format": _FORMAT, "graph": self.graph.key, "solver": self.graph.solver}
        text = json.dumps({**self._read(), **head, **changes})
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self._path.parent, suffix=".tmp")
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).replace(self._path)
        except OSError:
            return


def _as_chains(value: object) -> Chains | None:
    if isinstance(value, list) and all(
        isinstance(chain, list) and chain and all(type(qubit) is int for qubit in chain)
        for chain in value
    ):
        return tuple(tuple(chain) for chain in value)
    return None


def is_clique_embedding(chains: Sequence[Sequence[int]], graph: WorkingGraph) -> bool:
    """Whether chains are disjoint, connected, and each coupled to each other."""
    used = [qubit for chain in chains for qubit in chain]
    neighbours = graph.neighbours
    if len(set(used)) != len(used) or any(qubit not in neighbours for qubit in used):
        return False
    owner = {qubit: i for i, chain in enumerate(chains) for qubit in chain}
    for i, chain in enumerate(chains):
        reached = {owner.get(v) for qubit in chain for v in neighbours[qubit]} - {None, i}
        if len(reached) != len(chains) - 1 or not _is_connected(chain, neighbours):
            return False
    return True


def _is_connected(chain: Sequence[int], neighbours: Mapping[int, set[int]]) -> bool:
    left, front = set(chain[1:]), [chain[0]]
    while front:
        near = neighbours[front.pop()] & left
        left -= near
        front.extend(near)
    return not left


def fixed_embedding(value: object, n: int, graph: WorkingGraph) -> Embedding:
    """Return the caller's own chains, checked against the working graph.

    Parameters
    ----------
    value : mapping or sequence
        Chains of qubits for the variables 0 to n - 1.
    n : int
    graph : WorkingGraph

    Raises
    ------
    SamplerError
        If the chains do not embed a clique of ``n`` variables.
    """
    rows: Any = [value.get(i, ()) for i in range(n)] if isinstance(value, Mapping) else value
    usable = _as_chains([[int(qubit) for qubit in chain] for chain in rows])
    if usable is None or len(usable) < n or not is_clique_embedding(usable[:n], graph):
        raise SamplerError(
            f"the embedding in sampler_options does not fit: it must give disjoint, connected, "
            f"mutually coupled chains of qubits of {graph.solver!r} for the variables 0 to "
            f"{n - 1}. Use embedding='auto' to compute one."
        )
    return Embedding(usable[:n], "fixed")


def cache_folder() -> Path:
    """Return the user's cache folder for this package (not created here)."""
    chosen = os.environ.get("QSVR_CACHE_DIR")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "qsvr"
