"""The papers' task: the final loss of MLPF trainings from their first quarter, 20 to learn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dwave.samplers import RandomSampler
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import QuantileTransformer
from sklearn.svm import SVR

from qsvr import QSVR, FixedPointEncoding

TABLE = Path(__file__).parents[3].parent / "shared" / "data" / "mlpf_curves.csv"
PAPERS = {"base": 0.5, "exponent_shift": 0.005, "C": "implied", "epsilon": 0.02, "gamma": 0.1}


@pytest.fixture(scope="module")
def splits():
    """Return ten splits (X, y, X_test, y_test, last known value) by the papers' protocol."""
    if not TABLE.exists():
        pytest.skip(f"the MLPF curves are not at {TABLE}; they are no part of this repository")
    table = np.genfromtxt(TABLE, delimiter=",", names=True)
    losses = np.array([table[f"loss_{epoch}"] for epoch in range(100)]).T
    losses = np.delete(losses, losses[:, 99].argmax(), axis=0)  # the run that diverged
    scale = QuantileTransformer(n_quantiles=50, random_state=0)
    X = scale.fit_transform(losses[:, 0:25:2])
    y = scale.fit_transform(losses[:, [98]])[:, 0]
    result = []
    for seed in range(10):
        parts = train_test_split(X, y, test_size=0.5, random_state=seed)
        X_train, X_test, y_train, y_test = parts
        result.append((X_train[:20], y_train[:20], X_test, y_test))
    return result


def _mean_r2(splits, make):
    scores = []
    for seed, (X, y, X_test, y_test) in enumerate(splits):
        scores.append(r2_score(y_test, make(seed).fit(X, y).predict(X_test)))
    return float(np.mean(scores))


def test_r2_is_above_the_papers(splits):
    """Measured 0.925; the papers' QPU runs give 0.89 and simulated annealing 0.917."""
    ours = _mean_r2(splits, lambda seed: QSVR(**PAPERS, random_state=seed))
    box = FixedPointEncoding.implied_box(3, PAPERS["base"], PAPERS["exponent_shift"])
    svr = _mean_r2(splits, lambda _: SVR(C=box, epsilon=0.02, gamma=0.1))
    last = float(np.mean([r2_score(y_test, X_test[:, -1]) for _, _, X_test, y_test in splits]))
    print(f"R2: QSVR {ours:.3f}, SVR with the same C {svr:.3f}, last known value {last:.3f}")
    assert ours >= 0.92
    assert ours >= svr - 0.01


def test_random_strings_are_not_enough(splits):
    """Without polish their energies stay above that of the rounded relaxation, which wins."""
    options = {"sampler": RandomSampler(), "polish": False, "num_reads": 1000, "n_solutions": 20}
    for seed, (X, y, _, _) in enumerate(splits):
        info = QSVR(**PAPERS, **options, random_state=seed).fit(X, y).sampler_info_
        assert info["best_from"] == "relaxation"
        assert info["candidates"]["relaxation"] < info["raw_energies"].min() < 0.0
