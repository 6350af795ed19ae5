"""Append-only, crash-safe log of a run: what was decided and what came back.

A journal is a text file of one entry a line, ``<checksum> <JSON>``.  The checksum (CRC-32, eight
hexadecimal digits) continues the checksum of the line before, so that a line that was changed,
lost or moved shows.  The first line is the header: format version, run id and the specification
from which the scheduler can be built again.  Every line is on disk (``fsync``) before it takes
effect, hence a crash can only tear the *last* line; a torn last line is cut off when the run goes
on, and damage anywhere else is refused.

Whatever a scheduler decides follows from the header and the entries, so ``hpo.replay`` builds it
again.

>>> import tempfile, pathlib
>>> path = pathlib.Path(tempfile.mkdtemp()) / "run.jsonl"
>>> with Journal.create(path, spec={"seed": 0}) as journal:
...     journal.append("note", {"text": "hello"})
>>> [entry.kind for entry in read_journal(path).entries]
['note']
"""

from hpo.journal.content import Entry, JournalContent, read_journal
from hpo.journal.lines import FORMAT, Header, header_line
from hpo.journal.log import Journal, compact

__all__ = [
    "FORMAT",
    "Entry",
    "Header",
    "Journal",
    "JournalContent",
    "compact",
    "header_line",
    "read_journal",
]
