"""Files appear whole or not at all, and are on disk before anyone relies on them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from hpo.files import write_atomically


@pytest.mark.parametrize("content", [b"new", lambda file: file.write(b"new")])
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_file_is_written_whole_and_alone(tmp_path: Path, content, overwrite) -> None:
    path = tmp_path / "state"
    opened = len(list(Path("/proc/self/fd").iterdir()))
    write_atomically(path, content, overwrite=overwrite)
    assert path.read_bytes() == b"new"
    write_atomically(path, b"newer")
    assert len(list(Path("/proc/self/fd").iterdir())) == opened
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("state", b"newer")]


def test_an_old_file_survives_what_goes_wrong(tmp_path: Path) -> None:
    def broken(file) -> None:
        file.write(b"half of")
        raise RuntimeError("no more")

    path = tmp_path / "state"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="no more"):
        write_atomically(path, broken)
    with pytest.raises(FileExistsError):
        write_atomically(path, b"new", overwrite=False)
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("state", b"old")]


@pytest.mark.parametrize("overwrite", [True, False])
def test_content_is_on_disk_before_its_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch, overwrite
) -> None:
    path, synced = tmp_path / "state", []
    sync = os.fsync

    def record(descriptor: int) -> None:
        sync(descriptor)
        status = os.fstat(descriptor)
        what = "folder" if stat.S_ISDIR(status.st_mode) else status.st_size
        synced.append((what, path.exists()))

    monkeypatch.setattr(os, "fsync", record)
    write_atomically(path, b"seven b", overwrite=overwrite)
    assert synced == [(7, False), ("folder", True)]
