"""Small problems and enumeration for oracle tests and contracts; how tests share processes."""

from __future__ import annotations

import compileall
import os
import random
import signal
import zlib
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import numpy as np
import pytest

import hpo
import qsvr
from qsvr import FixedPointEncoding, SVRDual, SVRQubo


def pytest_configure(config: pytest.Config) -> None:
    """Prepare what the tests' processes need, and let examples be the same in every run.

    Ctrl-C reaches the processes; they find compiled packages; and an example may be slow.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # of a job in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if "PYTEST_XDIST_WORKER" not in os.environ:
        # Where PYTHONDONTWRITEBYTECODE is set, each of their processes would compile them.
        for package in (qsvr, hpo):
            compileall.compile_dir(str(Path(package.__file__).parent), quiet=2)
    # An example that waits for a processor, or imports what another test would have imported
    # before, is not slow. `make thorough` draws new ones.
    hypothesis.settings.register_profile(
        "steady",
        deadline=None,
        derandomize="THOROUGH" not in os.environ,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("steady")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Share the tests out by groups, unless another --dist is asked for."""
    if config.getvalue("dist") != "load":
        return None
    from sharing import GroupScheduling

    return GroupScheduling(config, log)


@pytest.fixture(autouse=True)
def _seeded(request: pytest.FixtureRequest) -> None:
    """Let what draws without a seed, such as Ocean's samplers, draw the same in every run."""
    seed = zlib.crc32(request.node.nodeid.encode())
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the state that those samplers draw from


@dataclass(frozen=True)
class Case:
    """A random problem of at most 16 variables."""

    n_samples: int
    n_bits: int
    encoding: str = "box"
    kernel: str = "rbf"
    epsilon: float = 0.05
    equality_penalty: float = 0.5
    overlap_penalty: float = 0.0
    unequal_C: bool = False
    seed: int = 0
    sides: str = "both"  # coefficients that have a box: both, "one" of each sample, "mixed"

    def qubo(self) -> SVRQubo:
        rng = np.random.default_rng([self.seed, self.n_samples, self.n_bits])
        n = self.n_samples
        X = rng.normal(size=(n, 2))
        C = rng.uniform(0.3, 2.0, n) if self.unequal_C else np.ones(n)
        if self.sides != "both":
            C = C * [np.arange(n) % 3 != 0, np.arange(n) % 3 == 0]
            if self.sides == "mixed":
                C[:, 0] = 0.7
        encoding = self._encoding(C, rng)
        dual = SVRDual(
            _kernel_matrix(self.kernel, X),
            rng.normal(size=n),
            self.epsilon,
            encoding.offset[0] + encoding.width[0]
            if self.sides == "both"
            else encoding.offset + encoding.width,
            self.equality_penalty,
            self.overlap_penalty,
        )
        return SVRQubo(dual, encoding)

    def _encoding(self, C, rng) -> FixedPointEncoding:
        if self.encoding == "papers":
            return FixedPointEncoding.from_base(C, self.n_bits, base=0.5, exponent_shift=0.005)
        if self.encoding == "base 3":
            return FixedPointEncoding.from_base(0.2 * C, self.n_bits, base=3.0)
        box = FixedPointEncoding.for_box(C, self.n_bits)
        if self.encoding == "box":
            return box
        rows = 2 if self.encoding == "two windows" else 1
        shape = (2, self.n_samples)
        offset = np.broadcast_to(rng.uniform(0.0, 0.4, (rows, self.n_samples)), shape).copy()
        width = np.broadcast_to(rng.uniform(0.2, 0.7, (rows, self.n_samples)), shape).copy()
        return FixedPointEncoding(offset, width, box.unit_weights)


def _kernel_matrix(kernel, X):
    if kernel == "sigmoid":  # indefinite
        return np.tanh(0.8 * X @ X.T - 1.0)
    squared = ((X[:, None] - X) ** 2).sum(axis=-1)
    return np.exp(-0.5 * squared)


CASES = {
    "2 samples of 4 bits": Case(2, 4),
    "4 samples of 2 bits": Case(4, 2),
    "8 samples of 1 bit": Case(8, 1),
    "2 samples of 3 bits, epsilon 0": Case(2, 3, epsilon=0.0),
    "no penalty": Case(4, 2, equality_penalty=0.0, seed=1),
    "overlap penalty": Case(4, 2, epsilon=0.01, overlap_penalty=0.7, seed=2),
    "unequal C": Case(4, 2, unequal_C=True, seed=3),
    "papers' weights": Case(2, 3, "papers", epsilon=0.02, equality_penalty=0.01, seed=4),
    "papers' weights, unequal C": Case(4, 2, "papers", unequal_C=True, seed=5),
    "base 3": Case(4, 2, "base 3", seed=6),
    "base 3, unequal C": Case(2, 4, "base 3", unequal_C=True, seed=7),
    "window per sample": Case(4, 2, "windows", seed=8),
    "window per sample, overlap penalty": Case(2, 4, "windows", overlap_penalty=0.3, seed=9),
    "indefinite kernel": Case(8, 1, kernel="sigmoid", seed=10),
    "indefinite kernel, overlap penalty": Case(4, 2, kernel="sigmoid", overlap_penalty=1.0, seed=3),
    "one side, epsilon 0": Case(8, 2, epsilon=0.0, sides="one"),
    "one side, 4 bits, unequal C": Case(4, 4, unequal_C=True, seed=1, sides="one"),
    "one side, papers' weights": Case(4, 3, "papers", epsilon=0.0, seed=2, sides="one"),
    "one side, base 3": Case(4, 4, "base 3", epsilon=0.02, seed=3, sides="one"),
    "one side of some samples": Case(6, 2, overlap_penalty=0.3, seed=4, sides="mixed"),
    "one side of some samples, base 3": Case(4, 3, "base 3", seed=5, sides="mixed"),
}
EVEN_CASES = {name: case for name, case in CASES.items() if case.encoding != "base 3"}
# No encoding of QSVR has windows that differ between a and a-hat; as on uneven levels, the two
# together then reach values of b that neither reaches alone.
ALL_CASES = {
    **CASES,
    "window per coefficient": Case(4, 2, "two windows", overlap_penalty=0.2, seed=11),
    "window per coefficient, unequal C": Case(2, 3, "two windows", unequal_C=True, seed=12),
    "window per coefficient, 1 bit": Case(8, 1, "two windows", seed=13),
    **{
        f"base 3, 4 bits ({seed})": Case(2, 4, "base 3", unequal_C=True, seed=seed)
        for seed in range(4)
    },
}


@pytest.fixture(params=CASES.values(), ids=CASES)
def small_qubo(request) -> SVRQubo:
    """A problem of at most 16 variables as an estimator may pose it."""
    return request.param.qubo()


@pytest.fixture(params=EVEN_CASES.values(), ids=EVEN_CASES)
def even_qubo(request) -> SVRQubo:
    """One of them whose levels are equally spaced."""
    return request.param.qubo()


@pytest.fixture(params=ALL_CASES.values(), ids=ALL_CASES)
def any_small_qubo(request) -> SVRQubo:
    """A problem of at most 16 variables, every form of encoding included."""
    return request.param.qubo()


@pytest.fixture(scope="session")
def all_bits():
    """Return a function: number of variables -> all bit strings, shape (2**n, n)."""

    def enumerate_bits(n_variables):
        codes = np.arange(1 << n_variables)[:, None]
        return ((codes >> np.arange(n_variables)) & 1).astype(np.uint8)

    return enumerate_bits


@pytest.fixture(scope="session")
def make_dual():
    """Return a function: size, seed and options -> random convex dual with an rbf kernel."""

    def make(n_samples, seed=0, *, C=1.0, epsilon=0.05, equality_penalty=0.5, overlap_penalty=0.0):
        rng = np.random.default_rng(seed)
        K = _kernel_matrix("rbf", rng.normal(size=(n_samples, 2)))
        box = np.broadcast_to(np.asarray(C, dtype=float), (n_samples,)).copy()
        y = rng.normal(size=n_samples)
        return SVRDual(K, y, epsilon, box, equality_penalty, overlap_penalty)

    return make
