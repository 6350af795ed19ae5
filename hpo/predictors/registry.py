"""Predictors by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hpo.predictors.base import BasePredictor, CurvePredictor
from hpo.predictors.baselines import (
    LastValuePredictor,
    MeanPredictor,
    PowerLawPredictor,
    RandomPredictor,
)
from hpo.predictors.joint import JointPredictor
from hpo.predictors.mixed import MixedPredictor
from hpo.predictors.pooled import PooledPredictor
from hpo.predictors.regression import CurveFeatures, CurveRegressor, QSVRPredictor
from hpo.predictors.regressors import nusvr, svr
from hpo.predictors.skilled import SkilledPredictor

_FEATURES = tuple(CurveFeatures.__dataclass_fields__)


def _regression(model: Callable[..., Any]) -> Callable[..., BasePredictor]:
    def build(
        features: CurveFeatures | None = None,
        *,
        scale: bool = True,
        folds: int = 5,
        seed: int = 0,
        **settings: Any,
    ) -> BasePredictor:
        regressor = model(**settings)
        return CurveRegressor(regressor, features, scale=scale, folds=folds, seed=seed)

    return build


def _skilled(
    inner: str = "nusvr", *, least_skill: float = 0.0, folds: int = 5, seed: int = 0
) -> SkilledPredictor:
    predictor = make_predictor(inner, folds=folds, seed=seed)
    return SkilledPredictor(predictor, least_skill=least_skill)


PREDICTORS: Mapping[str, Callable[..., Any]] = {
    "nusvr": _regression(nusvr),
    "svr": _regression(svr),
    "qsvr": QSVRPredictor,
    "last-value": LastValuePredictor,
    "power-law": PowerLawPredictor,
    "mean": MeanPredictor,
    "random": RandomPredictor,
    "mixed": MixedPredictor,
    "joint": JointPredictor,
    "pooled": PooledPredictor,
    "skilled": _skilled,
}
_REGRESSORS: Mapping[str, Callable[..., Any]] = {"nusvr": nusvr, "svr": svr}


def make_predictor(predictor: Any = "nusvr", **options: Any) -> CurvePredictor:
    """Build a curve predictor.

    Parameters
    ----------
    predictor : str or object
        A key of `PREDICTORS`, or any scikit-learn regressor, or a curve predictor, which is
        returned as it is.
    **options
        Of every predictor: seed; folds, but for ``"joint"`` and ``"mixed"``.
        Of those that learn: values, first_differences,
        second_differences, space (see `CurveFeatures`) and the settings of the regressor.

    Raises
    ------
    ValueError
        If the name or an option is unknown; the message lists the valid ones.
    """
    if not isinstance(predictor, str):
        return _wrap(predictor, options)
    if predictor not in PREDICTORS:
        raise ValueError(f"predictor must be one of {', '.join(PREDICTORS)}; got {predictor!r}")
    if predictor != "qsvr":  # whose settings qsvr.QSVR checks
        _check_options(predictor, options)
    return _with_features(PREDICTORS[predictor], options)


def _wrap(model: Any, options: dict[str, Any]) -> CurvePredictor:
    if isinstance(model, BasePredictor) or not hasattr(model, "get_params"):
        if options:
            raise ValueError(
                f"a ready-made predictor takes no options, got {', '.join(sorted(options))}"
            )
        if not (hasattr(model, "fit") and hasattr(model, "predict")):
            raise ValueError(
                f"predictor must be a name, a regressor or a curve predictor, got {model!r}"
            )
        return model  # type: ignore[no-any-return]
    _check_options("a regressor", options)
    return _with_features(lambda **rest: CurveRegressor(model, **rest), options)


def _with_features(build: Callable[..., Any], options: dict[str, Any]) -> CurvePredictor:
    chosen = {name: options[name] for name in _FEATURES if name in options}
    rest = {name: value for name, value in options.items() if name not in chosen}
    settings = {"features": CurveFeatures(**chosen), **rest} if chosen else rest
    return build(**settings)  # type: ignore[no-any-return]


def _check_options(name: str, options: dict[str, Any]) -> None:
    valid = ["folds", "seed"]
    if name == "pooled":
        valid += ["regressor", "max_rows", "gap"]
    if name == "joint":
        valid = ["max_points", "iterations", "seed"]
    if name == "mixed":
        valid = ["regressors", "seed"]
    if name == "skilled":
        valid += ["inner", "least_skill"]
    if name in _REGRESSORS or name == "a regressor":
        valid += ["scale", *_FEATURES]
    if name in _REGRESSORS:
        valid += list(_REGRESSORS[name]().get_params())
    if unknown := sorted(set(options) - set(valid)):
        raise ValueError(f"{name} takes the options {', '.join(valid)}; got {', '.join(unknown)}")
