"""Successive halving in brackets, with a rule that saves training within rounds."""

from hpo.schedulers.halving.rules import (
    FullTraining,
    ProbabilityRule,
    RoundRule,
    RoundView,
    SwiftRule,
)
from hpo.schedulers.halving.scheduler import BracketScheduler

__all__ = [
    "BracketScheduler",
    "RoundRule",
    "RoundView",
    "FullTraining",
    "SwiftRule",
    "ProbabilityRule",
]
