"""With 8 bits a coefficient, QSVR is scikit-learn's SVR; the default penalty included."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import (
    load_diabetes,
    make_friedman1,
    make_friedman2,
    make_friedman3,
    make_regression,
)
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from qsvr import QSVR

# Targets are brought to a standard deviation of about 5, so that C and epsilon suit all.
DATA = {
    "diabetes": (load_diabetes(return_X_y=True), "rbf", 10.0),
    "friedman1": (make_friedman1(400, noise=1.0, random_state=0), "rbf", 10.0),
    "friedman2": (make_friedman2(400, noise=20.0, random_state=0), "rbf", 10.0),
    "friedman3": (make_friedman3(400, noise=0.1, random_state=0), "rbf", 10.0),
    "linear": (make_regression(400, 5, noise=10.0, random_state=0), "linear", 1.0),
}


def _split(X, y, seed):
    X, X_test, y, y_test = train_test_split(X, 5.0 * y / y.std(), train_size=80, random_state=seed)
    scaler = StandardScaler().fit(X)
    return scaler.transform(X), y, scaler.transform(X_test), y_test


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", DATA)
def test_r2_agrees_with_libsvm(name, seed):
    (X, y), kernel, C = DATA[name]
    X, y, X_test, y_test = _split(X, y, seed)
    svr = SVR(kernel=kernel, C=C, epsilon=0.1).fit(X, y)
    model = QSVR(kernel=kernel, C=C, epsilon=0.1, n_bits=8, num_reads=64, random_state=0)
    model.fit(X, y)
    expected = svr.score(X_test, y_test)
    assert expected > 0.2
    assert model.score(X_test, y_test) == pytest.approx(expected, abs=0.005)
    # and sample by sample: no more apart than 5% of the targets' spread, on average
    apart = np.abs(model.predict(X_test) - svr.predict(X_test)).mean()
    assert apart < 0.05 * y_test.std()


def test_weighted_r2_agrees_with_libsvm():
    """Unequal boxes, which the annealer handles by other loops."""
    X, y, X_test, y_test = _split(*DATA["friedman1"][0], 0)
    weight = np.random.default_rng(0).choice([0.01, 0.3, 1.0], y.size)
    svr = SVR(C=10.0, epsilon=0.1).fit(X, y, sample_weight=weight)
    model = QSVR(C=10.0, epsilon=0.1, n_bits=8, random_state=0).fit(X, y, sample_weight=weight)
    expected = svr.score(X_test, y_test)
    assert model.score(X_test, y_test) == pytest.approx(expected, abs=0.005)
    assert expected < SVR(C=10.0, epsilon=0.1).fit(X, y).score(X_test, y_test) - 0.02
