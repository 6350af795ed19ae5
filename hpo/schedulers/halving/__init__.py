"""Successive halving in brackets, with a rule that decides within rounds."""

from hpo.schedulers.halving.rules import EarlyRule, ProbabilityRule, RoundRule, RoundView, SwiftRule
from hpo.schedulers.halving.scheduler import BracketOptions, BracketScheduler

__all__ = [
    "BracketScheduler",
    "BracketOptions",
    "EarlyRule",
    "ProbabilityRule",
    "RoundRule",
    "RoundView",
    "SwiftRule",
]
