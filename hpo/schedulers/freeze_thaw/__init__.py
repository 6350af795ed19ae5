"""Freeze-thaw scheduling: trials pause after every job and resume by forecasts."""

from hpo.schedulers.freeze_thaw.swift_asha import SwiftASHA
from hpo.schedulers.freeze_thaw.swift_thaw import FAST_SHARE, SynchronousSwift

__all__ = [
    "SwiftASHA",
    "FAST_SHARE",
    "SynchronousSwift",
]
