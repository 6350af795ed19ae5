"""Freeze-thaw scheduling: trials pause after every job and resume by forecasts."""

from hpo.schedulers.freeze_thaw.scheduler import SwiftASHA

__all__ = ["SwiftASHA"]
