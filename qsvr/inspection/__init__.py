"""What a fit reports about its samples."""

from qsvr.inspection.plotting import SampleEnergyDisplay
from qsvr.inspection.report import EnergySummary, SamplerReport

__all__ = ["EnergySummary", "SampleEnergyDisplay", "SamplerReport"]
