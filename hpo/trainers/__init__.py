"""Trainers, which train one configuration from one resource unit to another."""

from hpo.trainers.base import FunctionTrainer, Metrics, Outcome, Segment, Trainer, run_segment
from hpo.trainers.context import TrialContext, current_trial
from hpo.trainers.loading import NamedTrainer, as_trainer, load_trainer
from hpo.trainers.script import ScriptTrainer
from hpo.trainers.torch import Generators, TorchRun, TorchrunTrainer, TorchTrainer

__all__ = [
    "FunctionTrainer",
    "Generators",
    "Metrics",
    "NamedTrainer",
    "Outcome",
    "ScriptTrainer",
    "Segment",
    "TorchRun",
    "TorchTrainer",
    "TorchrunTrainer",
    "Trainer",
    "TrialContext",
    "as_trainer",
    "current_trial",
    "load_trainer",
    "run_segment",
]
