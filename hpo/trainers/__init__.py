"""Trainers, which train one configuration from one resource unit to another."""

from hpo.trainers.base import FunctionTrainer, Metrics, Outcome, Segment, Trainer, run_segment
from hpo.trainers.loading import NamedTrainer, as_trainer, load_trainer
from hpo.trainers.torch import Generators, TorchRun, TorchrunTrainer, TorchTrainer

__all__ = [
    "FunctionTrainer",
    "Generators",
    "Metrics",
    "NamedTrainer",
    "Outcome",
    "Segment",
    "TorchRun",
    "TorchTrainer",
    "TorchrunTrainer",
    "Trainer",
    "as_trainer",
    "load_trainer",
    "run_segment",
]
