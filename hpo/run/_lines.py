"""The lines of a journal as bytes, ``<checksum> <JSON>``, and the first of them, the header."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from hpo.errors import JournalError

FORMAT = 1
"""Version of the file format; another version is refused, never guessed at."""


@dataclass(frozen=True)
class Header:
    """First line of a journal.

    Attributes
    ----------
    run_id : str
        Unique name of the run; its checkpoints carry it too.
    spec : Mapping
        Plain values from which the run can be built again (see `hpo.run.spec.RunSpec`); empty for a
        run that was built from Python objects.
    created : float
        Seconds since the epoch.
    """

    run_id: str
    spec: Mapping[str, Any]
    created: float

    def to_json(self) -> dict[str, Any]:
        """Return the header as plain values."""
        return {
            "format": FORMAT,
            "run_id": self.run_id,
            "created": self.created,
            "spec": dict(self.spec),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], path: Path) -> Self:
        """Rebuild the header of the journal at `path` from the `data` that `to_json` wrote.

        Raises
        ------
        JournalError
            If it is of another format version, or no header at all.
        """
        if not isinstance(data, Mapping) or "format" not in data:
            msg = f"{path} is not a journal of hpo: its first line is no header"
            raise JournalError(msg)
        if data["format"] != FORMAT:
            msg = (
                f"journal {path} has format version {data['format']!r}, this hpo reads version "
                f"{FORMAT}; resume it with the hpo version that wrote it"
            )
            raise JournalError(msg)
        try:
            return cls(str(data["run_id"]), dict(data["spec"]), float(data["created"]))
        except (KeyError, TypeError, ValueError):
            msg = f"the header of journal {path} lacks a field; the file was edited or is damaged"
            raise JournalError(msg) from None


def encode(data: Mapping[str, Any], checksum: int) -> tuple[bytes, int]:
    """Return a line of plain values, and its checksum, which continues the `checksum` before."""
    payload = json.dumps(data, separators=(",", ":")).encode()
    checksum = zlib.crc32(payload, checksum)
    return b"%08x " % checksum + payload + b"\n", checksum


def header_line(header: Header) -> bytes:
    """Return the first line of a journal, for its `header`, as it stands in the file."""
    return encode(header.to_json(), 0)[0]


def whole_lines(raw: bytes, path: Path) -> tuple[list[Any], int, int]:
    """Return the valid lines, where they end, and the last checksum; check the header first."""
    lines: list[Any] = []
    end, checksum = 0, 0
    while (newline := raw.find(b"\n", end)) >= 0:
        payload = raw[end + 9 : newline]
        following = zlib.crc32(payload, checksum)
        if raw[end : end + 9] != b"%08x " % following:
            if lines and newline + 1 < len(raw):
                msg = (
                    f"journal {path} is damaged in line {len(lines) + 1} (checksum), with more "
                    "lines after it; restore the file from a copy, nothing was changed"
                )
                raise JournalError(msg)
            break
        lines.append(json.loads(payload))
        if len(lines) == 1:
            Header.from_json(lines[0], path)  # another version may have other rules for the rest
        end, checksum = newline + 1, following
    return lines, end, checksum
