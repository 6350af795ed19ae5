"""Report of a run as one HTML file, without a server or further files, and its state of the moment.

>>> from hpo.report import read_run, write_report  # doctest: +SKIP
>>> write_report(read_run(Path("run.jsonl")), Path("run.html"))  # doctest: +SKIP
"""

from hpo.report.comparison import Comparison
from hpo.report.page import render, write_report
from hpo.report.runs import Run, read_run
from hpo.report.status import RunningSegment, RunStatus, read_status

__all__ = [
    "Comparison",
    "Run",
    "RunStatus",
    "RunningSegment",
    "read_run",
    "read_status",
    "render",
    "write_report",
]
