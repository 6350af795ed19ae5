"""Trainers: what trains one configuration for some resource units."""

from hpo.trainers.base import Metrics, Outcome, Segment, Trainer, run_segment
from hpo.trainers.function import FunctionTrainer
from hpo.trainers.loading import NamedTrainer, as_trainer, load_trainer

__all__ = [
    "FunctionTrainer",
    "Metrics",
    "NamedTrainer",
    "Outcome",
    "Segment",
    "Trainer",
    "as_trainer",
    "load_trainer",
    "run_segment",
]
