"""The command line: ``hpo run``, ``resume``, ``work``, ``status``, ``report``, ``export``, ...

A usage error prints one line to standard error and exits with status 2, a failed run exits with
status 1. A run that is stopped cleanly prints the command that resumes it, and exits with
status 128 plus the signal (130 for Ctrl-C), or 75 at its deadline. A closed pipe of the output
(``hpo report RUN | head``) gives 141. All text is printed by `hpo.text`.
"""

from hpo.cli.commands import cli, main
from hpo.cli.options import parse_options

__all__ = ["cli", "main", "parse_options"]
