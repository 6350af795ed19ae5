"""Predictors of a trial's later loss from its learning curve so far."""

from hpo.predictors.base import BasePredictor, CurvePredictor, Prediction
from hpo.predictors.baselines import (
    LastValuePredictor,
    MeanPredictor,
    PowerLawPredictor,
    RandomPredictor,
)
from hpo.predictors.features import CurveFeatures
from hpo.predictors.jobs import as_forecaster, run_predict_job
from hpo.predictors.kinds import REGRESSORS, make_regressor
from hpo.predictors.pooled import Forecast, Forecaster, PooledPredictor
from hpo.predictors.quantum import QSVRPredictor
from hpo.predictors.registry import PREDICTORS, make_predictor
from hpo.predictors.regression import CurveRegressor
from hpo.predictors.skilled import SkilledPredictor

__all__ = [
    "BasePredictor",
    "CurveFeatures",
    "CurvePredictor",
    "CurveRegressor",
    "Forecast",
    "Forecaster",
    "LastValuePredictor",
    "MeanPredictor",
    "PowerLawPredictor",
    "PooledPredictor",
    "PREDICTORS",
    "REGRESSORS",
    "Prediction",
    "QSVRPredictor",
    "RandomPredictor",
    "SkilledPredictor",
    "as_forecaster",
    "make_predictor",
    "make_regressor",
    "run_predict_job",
]
