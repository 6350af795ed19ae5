"""Regressors by name, for `PooledPredictor`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

PUBLISHED_SETTINGS: dict[str, Any] = {
    "gamma": 0.1, "C": 1.756, "epsilon": 0.02, "n_bits": 3, "n_refinements": 0,
}  # fmt: skip
"""gamma, epsilon, bits and one QUBO, as in the papers; C is the upper bound that they imply."""


def extra_trees(n_estimators: int = 24, **settings: Any) -> Any:
    """Return extremely randomised trees, each on a bootstrap sample."""
    from sklearn.ensemble import ExtraTreesRegressor

    defaults = {"min_samples_leaf": 3, "max_features": 0.5, "bootstrap": True}
    return ExtraTreesRegressor(n_estimators, **{**defaults, **settings})


def qsvr_ensemble(
    n_estimators: int = 10, max_samples: int | float | str = "auto", **settings: Any
) -> Any:
    """Return averaged QSVR models, each on as many rows as an annealer of 120 variables holds."""
    from sklearn.preprocessing import MinMaxScaler

    from qsvr import QSVREnsemble

    ensemble = QSVREnsemble(
        qsvr_model(**settings), n_estimators=n_estimators, max_samples=max_samples
    )
    # To [0, 1], as in the papers: C, the bound of the coefficients, refers to that scale.
    return _scaled(ensemble, MinMaxScaler)


def standardised(model: Any) -> Any:
    """Return a regressor within a pipeline that scales features and target."""
    from sklearn.preprocessing import StandardScaler

    return _scaled(model, StandardScaler)


def _scaled(model: Any, scaler: Callable[[], Any]) -> Any:
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.pipeline import make_pipeline

    inner = make_pipeline(scaler(), model)
    return TransformedTargetRegressor(inner, transformer=scaler())


def nusvr(**settings: Any) -> Any:
    """Return scikit-learn's nu support vector regression."""
    from sklearn.svm import NuSVR

    return NuSVR(**settings)


def svr(**settings: Any) -> Any:
    """Return scikit-learn's epsilon support vector regression."""
    from sklearn.svm import SVR

    return SVR(**settings)


def qsvr_model(**settings: Any) -> Any:
    """Return a `qsvr.QSVR` with the published settings unless others are given."""
    from qsvr import QSVR

    try:
        return QSVR(**{**PUBLISHED_SETTINGS, **settings})
    except TypeError as error:
        raise ValueError(f"qsvr.QSVR does not take these settings: {error}") from None


def _ridge(**settings: Any) -> Any:
    from sklearn.linear_model import Ridge

    return standardised(Ridge(**settings))


def _last_value() -> Any:
    from sklearn.dummy import DummyRegressor

    return DummyRegressor(strategy="constant", constant=0.0)


REGRESSORS: Mapping[str, Callable[..., Any]] = {
    "extra-trees": extra_trees,
    "nusvr": lambda **settings: standardised(nusvr(**settings)),
    "svr": lambda **settings: standardised(svr(**settings)),
    "ridge": _ridge,
    "qsvr": qsvr_ensemble,
    "last-value": _last_value,
}


def make_regressor(name: str, **settings: Any) -> Any:
    """Return a regressor for `PooledPredictor` by name.

    Parameters
    ----------
    name : str
        A key of `REGRESSORS`; ``"last-value"`` is the baseline that expects no change.
    **settings
        Of the regressor.

    Raises
    ------
    ValueError
        If the name or a setting is unknown.
    """
    if name not in REGRESSORS:
        raise ValueError(f"regressor must be one of {', '.join(REGRESSORS)}; got {name!r}")
    try:
        return REGRESSORS[name](**settings)
    except TypeError as error:
        raise ValueError(f"the regressor {name!r} does not take these settings: {error}") from None
