"""Predictors by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from hpo.brackets import check_options
from hpo.predictors.base import BasePredictor, CurvePredictor
from hpo.predictors.baselines import LastValuePredictor, PowerLawPredictor
from hpo.predictors.joint import JointPredictor
from hpo.predictors.mixed import MixedPredictor
from hpo.predictors.pooled import PooledPredictor
from hpo.predictors.regression import CurveFeatures, CurveRegressor, QSVRPredictor
from hpo.predictors.regressors import nusvr, svr
from hpo.searchers.installed import Catalogue

_FEATURES = tuple(CurveFeatures.__dataclass_fields__)


def _regression(
    model: Callable[..., Any],
    features: CurveFeatures | None = None,
    *,
    scale: bool = True,
    folds: int = 5,
    **settings: Any,
) -> CurveRegressor:
    return CurveRegressor(model(**settings), features, scale=scale, folds=folds)


PREDICTORS: Mapping[str, Callable[..., Any]] = {
    "nusvr": partial(_regression, nusvr),
    "svr": partial(_regression, svr),
    "qsvr": QSVRPredictor,
    "last-value": LastValuePredictor,
    "power-law": PowerLawPredictor,
    "mixed": MixedPredictor,
    "joint": JointPredictor,
    "pooled": PooledPredictor,
}


CATALOGUE = Catalogue(
    "predictor",
    "hpo.predictors",
    PREDICTORS,
    {
        "nusvr": "Regression by a support vector machine (NuSVR)",
        "svr": "Regression by a support vector machine (SVR)",
    },
)
"""Those of installed packages too."""


def make_predictor(predictor: Any = "nusvr", /, **options: Any) -> CurvePredictor:
    """Build a curve predictor.

    Parameters
    ----------
    predictor : str or object, default="nusvr"
        A key of `PREDICTORS`, or a name that an installed package offers; any scikit-learn
        regressor; or a curve predictor, which is returned as it is.
    **options
        Parameters of the predictor. Regressors also take the fields of `CurveFeatures` and the
        settings of the regressor.

    Raises
    ------
    ValueError
        If the name or an option is unknown; the message lists the valid ones.

    See Also
    --------
    hpo.make_scheduler : The scheduler that uses it.
    hpo.predictors.CurveFeatures : The features of regressors.

    Examples
    --------
    >>> from hpo import make_predictor
    >>> make_predictor("nusvr", nu=0.3, first_differences=True).regressor
    NuSVR(nu=0.3)
    >>> from sklearn.linear_model import Ridge
    >>> type(make_predictor(Ridge())).__name__
    'CurveRegressor'
    """
    if isinstance(predictor, str):
        return _build(predictor, CATALOGUE.get(predictor), options)
    if hasattr(predictor, "get_params") and not isinstance(predictor, BasePredictor):
        return _build("a regressor", partial(CurveRegressor, predictor), options)
    if options:
        raise ValueError(
            f"a {type(predictor).__name__} takes no options here, got "
            f"{', '.join(sorted(options))}; pass them to its constructor"
        )
    if not (hasattr(predictor, "fit") and hasattr(predictor, "predict")):
        raise ValueError(
            f"predictor must be a name, a regressor or a curve predictor, got {predictor!r}"
        )
    return predictor  # type: ignore[no-any-return]


def _build(name: str, build: Callable[..., Any], options: dict[str, Any]) -> CurvePredictor:
    """Call `build`, with the options that are fields of `CurveFeatures` as its features."""
    valid = list(inspect.signature(build).parameters)
    if "features" in valid:
        valid[valid.index("features") : valid.index("features") + 1] = _FEATURES
    if "settings" in valid:
        valid.remove("settings")
        valid += build().regressor.get_params()
    check_options(name, build, options, valid)
    check_options(
        name, CurveFeatures, {k: options[k] for k in _FEATURES if k in options}, _FEATURES
    )
    chosen = {name: options.pop(name) for name in _FEATURES if name in options}
    if chosen:
        options["features"] = CurveFeatures(**chosen)
    return build(**options)  # type: ignore[no-any-return]
