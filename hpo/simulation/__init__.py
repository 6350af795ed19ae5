"""Schedulers on recorded learning curves, in virtual time."""

from hpo.simulation.datasets import clean_rows, load_mlpf, load_sample, read_table
from hpo.simulation.simulator import (
    CurveTable,
    CyclicTableSearcher,
    SimulatedRunner,
    SimulationResult,
    TableCurveSearcher,
    TableSearcher,
    simulate,
)
from hpo.simulation.synthetic import synthetic_space, synthetic_table

__all__ = [
    "CurveTable",
    "CyclicTableSearcher",
    "SimulatedRunner",
    "SimulationResult",
    "TableCurveSearcher",
    "TableSearcher",
    "simulate",
    "clean_rows",
    "load_mlpf",
    "load_sample",
    "read_table",
    "synthetic_space",
    "synthetic_table",
]
