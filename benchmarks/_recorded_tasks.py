"""Small models whose learning curves ``benchmarks/recorded.py`` records.

Each task draws configurations from a search space and trains each to its end, with a loss on
held-out data after every unit. A training takes about a second. The models are of kinds that the
development tables lack: boosting, whose best trials learn slowly; losses that rise again; and
learning rates with which the loss falls only at the end.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.space import SearchSpace

N_UNITS = 50
_WORST = 1e6  # in place of losses beyond it and of NaN, as of a training that diverged

Arrays = tuple[NDArray[np.float64], ...]  # X, X_test, y, y_test
Curve = Iterator[float]


@dataclass(frozen=True)
class Recording:
    """What is trained, and the space of its configurations.

    Attributes
    ----------
    space : Mapping
        As `SearchSpace.from_dict` takes it.
    curve : callable
        ``curve(config, seed)`` gives a loss after every unit, one by one.
    """

    space: dict[str, Any]
    curve: Callable[[dict[str, Any], int], Curve]

    def configs(self, n: int) -> list[dict[str, Any]]:
        """Draw configurations."""
        space = SearchSpace.from_dict(self.space)
        return [dict(space.sample(np.random.default_rng([17, i]))) for i in range(n)]

    def losses(self, config: dict[str, Any], seed: int) -> list[float]:
        """Train one configuration to its end."""
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # of trainings that diverge or have not converged
            found = np.full(N_UNITS, _WORST)
            try:
                for unit, loss in enumerate(islice(self.curve(config, seed), N_UNITS)):
                    found[unit] = loss
            except ValueError as error:
                if not any(word in str(error) for word in ("NaN", "infinity", "non-finite")):
                    raise  # else it diverged, and scikit-learn goes on no more
        kept = np.nan_to_num(found, nan=_WORST, posinf=_WORST, neginf=_WORST)
        return [float(each) for each in np.minimum(kept, _WORST)]


@cache
def _data(name: str) -> Arrays:
    from sklearn import datasets
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import scale

    if name == "friedman1":
        X, y = datasets.make_friedman1(1200, noise=1.0, random_state=0)
    else:
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    X = scale(X)
    if name in ("diabetes", "friedman1"):
        y = scale(y)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.5, random_state=0)
    return X, X_test, y, y_test


def _boosted_regression(data: str) -> Callable[[dict[str, Any], int], Curve]:
    def curve(config: dict[str, Any], seed: int) -> Curve:
        from sklearn.ensemble import GradientBoostingRegressor

        X, X_test, y, y_test = _data(data)
        trees = 4 * N_UNITS
        model = GradientBoostingRegressor(n_estimators=trees, random_state=seed, **config).fit(X, y)
        for number, found in enumerate(model.staged_predict(X_test), 1):
            if number % 4 == 0:
                yield float(np.mean((found - y_test) ** 2))

    return curve


def _boosted_classes(config: dict[str, Any], seed: int) -> Curve:
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.metrics import log_loss

    X, X_test, y, y_test = _data("breast_cancer")
    model = GradientBoostingClassifier(n_estimators=2 * N_UNITS, random_state=seed, **config)
    for number, found in enumerate(model.fit(X, y).staged_predict_proba(X_test), 1):
        if number % 2 == 0:
            yield float(log_loss(y_test, found))


def _layers(config: dict[str, Any]) -> dict[str, Any]:
    """Return what scikit-learn's networks take, from width and depth."""
    given = dict(config)
    hidden = (given.pop("width"),) * given.pop("depth", 1)
    return {"hidden_layer_sizes": hidden, **given}


def _classifying(model: Any) -> Curve:
    """Train any classifier of digits, a pass over the data for a unit."""
    from sklearn.metrics import log_loss

    X, X_test, y, y_test = _data("digits")
    while True:
        model.partial_fit(X, y, classes=range(10))
        yield float(log_loss(y_test, model.predict_proba(X_test), labels=range(10)))


def _network(config: dict[str, Any], seed: int) -> Curve:
    from sklearn.neural_network import MLPClassifier

    return _classifying(MLPClassifier(random_state=seed, **_layers(config)))


def _annealed(config: dict[str, Any], seed: int) -> Curve:
    """Train a network on digits by SGD whose rate falls along a cosine to the last unit: errors."""
    from sklearn.neural_network import MLPClassifier

    X, X_test, y, y_test = _data("digits")
    model = MLPClassifier(random_state=seed, solver="sgd", **_layers(config))
    rate = config["learning_rate_init"]
    for unit in range(N_UNITS):
        now = rate * 0.5 * (1 + np.cos(np.pi * unit / N_UNITS)) + 1e-5
        model.learning_rate_init = now
        if unit:
            model._optimizer.learning_rate = now  # noqa: SLF001 - no schedule of this kind is public
        model.partial_fit(X, y, classes=range(10))
        yield 1 - float(model.score(X_test, y_test))


def _linear(config: dict[str, Any], seed: int) -> Curve:
    from sklearn.linear_model import SGDClassifier

    return _classifying(SGDClassifier(loss="log_loss", random_state=seed, **config))


def _regression_network(config: dict[str, Any], seed: int) -> Curve:
    from sklearn.neural_network import MLPRegressor

    X, X_test, y, y_test = _data("friedman1")
    model = MLPRegressor(random_state=seed, **_layers(config))
    while True:
        model.partial_fit(X, y)
        yield float(np.mean((model.predict(X_test) - y_test) ** 2))


def _log(low: float, high: float) -> dict[str, Any]:
    return {"type": "float", "low": low, "high": high, "log": True}


def _int(low: int, high: int, *, log: bool = False) -> dict[str, Any]:
    return {"type": "int", "low": low, "high": high, "log": log}


_TREES = {
    "learning_rate": _log(0.005, 1.0),
    "max_depth": _int(1, 8),
    "subsample": {"type": "float", "low": 0.2, "high": 1.0},
    "min_samples_leaf": _int(1, 50, log=True),
    "max_features": {"type": "float", "low": 0.1, "high": 1.0},
}
_LAYERS = {
    "width": _int(8, 64, log=True),
    "depth": _int(1, 3),
    "alpha": _log(1e-6, 1.0),
    "learning_rate_init": _log(1e-4, 1e-1),
    "batch_size": _int(16, 256, log=True),
    "activation": ["relu", "tanh"],
    "solver": ["adam", "sgd"],
}
RECORDINGS = {
    "boosting_diabetes": Recording(_TREES, _boosted_regression("diabetes")),
    "boosting_friedman": Recording(_TREES, _boosted_regression("friedman1")),
    "boosting_cancer": Recording(_TREES, _boosted_classes),
    "network_digits": Recording(_LAYERS, _network),
    "network_friedman": Recording(_LAYERS, _regression_network),
    "annealed_digits": Recording(
        {
            "width": _int(8, 64, log=True),
            "alpha": _log(1e-6, 1.0),
            "learning_rate_init": _log(1e-3, 3.0),
            "momentum": {"type": "float", "low": 0.0, "high": 0.99},
            "batch_size": _int(16, 256, log=True),
        },
        _annealed,
    ),
    "linear_digits": Recording(
        {
            "alpha": _log(1e-6, 1.0),
            "eta0": _log(1e-4, 1.0),
            "learning_rate": ["constant", "invscaling"],
            "power_t": {"type": "float", "low": 0.1, "high": 0.9},
            "l1_ratio": {"type": "float", "low": 0.0, "high": 1.0},
            "penalty": ["elasticnet"],
            "average": [False, True],
        },
        _linear,
    ),
}
