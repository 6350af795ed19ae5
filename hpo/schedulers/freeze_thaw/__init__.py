"""Freeze-thaw scheduling: trials pause after every job and resume by forecasts."""

from hpo.schedulers.freeze_thaw.scheduler import (
    FAST_BUDGET_FRACTION,
    SwiftASHA,
    SynchronousSwift,
)

__all__ = [
    "FAST_BUDGET_FRACTION",
    "SwiftASHA",
    "SynchronousSwift",
]
