"""Schedulers: which trial is trained next, for how long, and which one is stopped."""

from hpo.schedulers.asha import ASHA
from hpo.schedulers.early_stopping import EarlyStopping
from hpo.schedulers.freeze_thaw import SwiftASHA
from hpo.schedulers.hyperband import (
    FastHyperband,
    Hyperband,
    RandomSearch,
    SuccessiveHalving,
    SwiftHyperband,
)
from hpo.schedulers.registry import FORECASTING, SCHEDULERS, make_scheduler, scheduler_options

__all__ = [
    "RandomSearch",
    "EarlyStopping",
    "SuccessiveHalving",
    "Hyperband",
    "SwiftHyperband",
    "FastHyperband",
    "SwiftASHA",
    "ASHA",
    "FORECASTING",
    "SCHEDULERS",
    "make_scheduler",
    "scheduler_options",
]
