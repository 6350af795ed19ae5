"""Schedulers: which trial is trained next, for how long, and which one is given up."""

from hpo.schedulers.asha import ASHA, ASHAStopping
from hpo.schedulers.early import EarlyHyperband
from hpo.schedulers.fast import FastHyperband
from hpo.schedulers.halving import SuccessiveHalving
from hpo.schedulers.hyperband import Hyperband
from hpo.schedulers.random_search import RandomSearch
from hpo.schedulers.registry import FORECASTING, SCHEDULERS, make_scheduler, scheduler_options
from hpo.schedulers.swift import SwiftHyperband
from hpo.schedulers.swift_asha import SwiftASHA
from hpo.schedulers.swift_thaw import SwiftThaw

__all__ = [
    "RandomSearch",
    "SuccessiveHalving",
    "Hyperband",
    "SwiftHyperband",
    "SwiftThaw",
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
