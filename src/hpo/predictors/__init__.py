"""Predictors of a trial's later loss from its learning curve so far."""

from hpo.predictors.base import BasePredictor, CurvePredictor, Prediction
from hpo.predictors.baselines import (
    LastValuePredictor,
    MeanPredictor,
    PowerLawPredictor,
    RandomPredictor,
)
from hpo.predictors.features import CurveFeatures
from hpo.predictors.jobs import run_predict_job
from hpo.predictors.quantum import QSVRPredictor
from hpo.predictors.registry import PREDICTORS, make_predictor
from hpo.predictors.regression import CurveRegressor

__all__ = [
    "BasePredictor",
    "CurveFeatures",
    "CurvePredictor",
    "CurveRegressor",
    "LastValuePredictor",
    "MeanPredictor",
    "PowerLawPredictor",
    "PREDICTORS",
    "Prediction",
    "QSVRPredictor",
    "RandomPredictor",
    "make_predictor",
    "run_predict_job",
]
