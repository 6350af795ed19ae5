"""Report of a run as one HTML file, without a server or further files.

>>> from hpo.report import read_run, write_report  # doctest: +SKIP
>>> write_report(read_run(Path("run.jsonl")), Path("run.html"))  # doctest: +SKIP
"""

from hpo.report.page import render, write_report
from hpo.report.runs import Run, read_run

__all__ = ["Run", "read_run", "render", "write_report"]
