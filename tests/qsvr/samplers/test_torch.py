"""The structured annealer in PyTorch draws what the compiled one draws."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import make_friedman1
from sklearn.preprocessing import scale

from qsvr import QSVR, FixedPointEncoding, QSVREnsemble, SamplerError, SVRDual, SVRQubo, get_sampler
from qsvr.problem.stack import QuboStack

torch = pytest.importorskip("torch")


def stack(kind, n=9, n_members=3):
    qubos = []
    for seed in range(n_members):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(n, 2))
        K = np.exp(-0.5 * ((X[:, None] - X) ** 2).sum(axis=-1))
        C = rng.uniform(0.5, 2.0, n) if kind == "unequal C" else np.ones(n)
        dual = SVRDual(K, rng.normal(size=n), 0.05, C, 2.0, 0.3 * (kind == "overlap"))
        encoding = FixedPointEncoding.for_box(C, 5 if kind == "5 bits" else 3)
        if kind == "base 3":
            encoding = FixedPointEncoding.from_base(C, 3, base=3.0)
        elif kind == "windows":
            offset, width = rng.uniform(0.0, 0.3, (2, n)), np.tile(rng.uniform(0.2, 0.5, n), (2, 1))
            encoding = FixedPointEncoding(offset, width, encoding.unit_weights)
        elif kind == "labels":
            labels = np.where(dual.y > 0.0, 1.0, -1.0)
            dual = SVRDual.of_labels(K, labels, C=C, equality_penalty=2.0)
            encoding = FixedPointEncoding.for_box(dual.box, 3)
        qubos.append(SVRQubo(dual, encoding))
    return QuboStack.of(qubos)


ON_CUDA = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
KINDS = ["3 bits", "5 bits", "unequal C", "overlap", "base 3", "windows", "labels"]


@pytest.mark.parametrize(("num_reads", "kind"), [(9, "3 bits"), *((70, kind) for kind in KINDS)])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=ON_CUDA)])
def test_the_samples_are_those_of_the_compiled_annealer(device, kind, num_reads):
    """But where a rounding decides a move: from there on the read is another one, as good."""
    problems, sampler = stack(kind), get_sampler("structured")
    options = {"num_reads": num_reads, "seeds": range(3), "num_sweeps": 12 if num_reads > 9 else 20}
    compiled = sampler.sample_stack(problems, **options)
    tensors = sampler.sample_stack(problems, device=device, **options)
    same = [(a.bits == b.bits).all(axis=1).mean() for a, b in zip(compiled, tensors, strict=True)]
    assert np.mean(same) > 0.9
    for a, b in zip(compiled, tensors, strict=True):
        assert a.bits.shape == b.bits.shape
        middle = np.median(a.energies)
        assert np.median(b.energies) == pytest.approx(middle, abs=0.02 * abs(middle))
        assert b.energies.min() == pytest.approx(a.energies.min(), abs=0.005 * abs(middle))


def test_an_ensemble_on_a_device_is_as_good():
    X, y = make_friedman1(60, noise=1.0, random_state=0)
    X = scale(X)
    compiled, tensors = (
        QSVREnsemble(QSVR(sampler_options=options), n_estimators=3, max_samples=8, random_state=0)
        .fit(X, y)
        for options in (None, {"device": "cpu"})
    )  # fmt: skip
    for a, b in zip(compiled.estimators_, tensors.estimators_, strict=True):
        assert b.energy_ == pytest.approx(a.energy_, rel=1e-3)
    assert np.corrcoef(compiled.predict(X), tensors.predict(X))[0, 1] > 0.999


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device")
def test_a_device_that_is_not_there_is_said():
    with pytest.raises(SamplerError, match=r"device='cuda'.* failed.*Leave device"):
        QSVR(sampler_options={"device": "cuda"}, random_state=0).fit([[0.0], [1.0]], [0.0, 1.0])


@pytest.mark.parametrize("device", [3, "", True])
def test_a_device_must_be_a_name(device):
    with pytest.raises(
        ValueError, match="device of sampler_options must be the name of a PyTorch device"
    ):
        QSVR(sampler_options={"device": device}, random_state=0).fit([[0.0], [1.0]], [0.0, 1.0])


def test_without_pytorch_only_the_device_is_missing(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('not installed')\n")
    program = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from qsvr import QSVR, QSVREnsemble\n"
        "X, y = [[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0]\n"
        "QSVREnsemble(QSVR(), n_estimators=2, random_state=0).fit(X, y)\n"
        "try:\n    QSVR(sampler_options={'device': 'cpu'}).fit(X, y)\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(tmp_path), *sys.path],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert 'pip install ".[torch]"' in done.stdout
