"""Schedulers: which trial is trained next, for how long, and which one is given up."""

from hpo.schedulers.asha import ASHA, ASHAStopping
from hpo.schedulers.early import EarlyHyperband
from hpo.schedulers.early_stopping import EarlyStopping
from hpo.schedulers.fast import FastHyperband
from hpo.schedulers.freeze_thaw import SwiftASHA, SynchronousSwift
from hpo.schedulers.hyperband import Hyperband
from hpo.schedulers.random_search import RandomSearch
from hpo.schedulers.registry import FORECASTING, SCHEDULERS, make_scheduler, scheduler_options
from hpo.schedulers.successive_halving import SuccessiveHalving
from hpo.schedulers.swift import SwiftHyperband

__all__ = [
    "RandomSearch",
    "EarlyStopping",
    "SuccessiveHalving",
    "Hyperband",
    "SwiftHyperband",
    "SynchronousSwift",
    "SwiftASHA",
    "EarlyHyperband",
    "FastHyperband",
    "ASHA",
    "ASHAStopping",
    "FORECASTING",
    "SCHEDULERS",
    "make_scheduler",
    "scheduler_options",
]
