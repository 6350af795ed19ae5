"""Predictors of a trial's later losses from its learning curve."""

from hpo.predictors.base import BasePredictor, CurvePredictor, Prediction, PredictionContext
from hpo.predictors.baselines import LastValuePredictor, PowerLawPredictor
from hpo.predictors.forecaster import Forecast, Forecaster, ForecastingPredictor
from hpo.predictors.jobs import as_forecaster, run_predict_job
from hpo.predictors.joint import JointPredictor
from hpo.predictors.mixed import MixedPredictor
from hpo.predictors.pooled import PooledPredictor
from hpo.predictors.registry import PREDICTORS, make_predictor
from hpo.predictors.regression import CurveFeatures, CurveRegressor, QSVRPredictor
from hpo.predictors.regressors import REGRESSORS, make_regressor

__all__ = [
    "BasePredictor",
    "CurveFeatures",
    "CurvePredictor",
    "CurveRegressor",
    "Forecast",
    "Forecaster",
    "ForecastingPredictor",
    "JointPredictor",
    "LastValuePredictor",
    "MixedPredictor",
    "PooledPredictor",
    "PowerLawPredictor",
    "PREDICTORS",
    "REGRESSORS",
    "Prediction",
    "PredictionContext",
    "QSVRPredictor",
    "as_forecaster",
    "make_predictor",
    "make_regressor",
    "run_predict_job",
]
