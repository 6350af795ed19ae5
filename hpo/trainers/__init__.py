"""Trainers: what trains one configuration for some resource units."""

from hpo.trainers.base import FunctionTrainer, Metrics, Outcome, Segment, Trainer, run_segment
from hpo.trainers.loading import NamedTrainer, as_trainer, load_trainer
from hpo.trainers.torch.launch import TorchrunTrainer
from hpo.trainers.torch.random_state import Generators
from hpo.trainers.torch.trainer import TorchRun, TorchTrainer

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
