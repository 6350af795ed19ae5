"""Reports and plots of the samples of a fit."""

from qsvr.inspection.plotting import SampleEnergyDisplay
from qsvr.inspection.report import EnergySummary, SamplerReport, fit_summary

__all__ = ["EnergySummary", "SampleEnergyDisplay", "SamplerReport", "fit_summary"]
