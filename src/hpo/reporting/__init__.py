"""One HTML file that shows a run: no network, no server, no further file.

>>> from hpo.reporting import read_run, write_report  # doctest: +SKIP
>>> write_report(read_run(Path("run.jsonl")), Path("run.html"))  # doctest: +SKIP
"""

from hpo.reporting.page import render, write_report
from hpo.reporting.runs import Run, read_run

__all__ = ["Run", "read_run", "render", "write_report"]
