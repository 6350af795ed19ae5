"""Models of final losses over hyperparameters, and the scale of their forecasts."""

from hpo.surrogates.acquisition import improvement_zscore, margins
from hpo.surrogates.joint_gp import JointProcess, Points
from hpo.surrogates.scales import BentScale, LogScale, Scale, scale_of
from hpo.surrogates.surface import Mixed, Surface, SurfaceModel, Trees
from hpo.surrogates.surrogate import Observations, SurfaceSurrogate, Surrogate

__all__ = [
    "BentScale",
    "JointProcess",
    "LogScale",
    "Mixed",
    "Observations",
    "Points",
    "Scale",
    "Surface",
    "SurfaceModel",
    "SurfaceSurrogate",
    "Surrogate",
    "Trees",
    "improvement_zscore",
    "margins",
    "scale_of",
]
