"""Where there is no POSIX, as on Windows: both packages are imported, and searches run.

The packages run in processes from which `without_posix` has taken what Windows lacks;
``make types`` checks the rest, as mypy reads the code for Windows and for macOS.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.errors import JournalError
from hpo.files import write_atomically
from hpo.run.journal import Journal, read_journal

ROOT = Path(__file__).parents[2]
SUPPORT = ROOT / "tests" / "support"

TRAINER = """
import time

def train(config, start, stop, checkpoint):
    return [(config["lr"] - 0.3) ** 2 + 1 / (unit + 1) for unit in range(start, stop)]
"""
SPACE = '[lr]\ntype = "float"\nlow = 0.0\nhigh = 1.0\n'

IMPORTS = """
import without_posix, importlib, pkgutil, sys, warnings
warnings.simplefilter("error")
import qsvr, hpo
from qsvr import QSVR
from hpo import Tuner
without = set()
for package in (qsvr, hpo):
    for name in [m.name for m in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]:
        try:
            name.endswith("__main__") or importlib.import_module(name)
        except ImportError as error:
            if getattr(error, "name", "").partition(".")[0] not in without_posix.EXTRAS:
                without.add(name)
print(*without)
"""

INLINE = """
import without_posix
from pathlib import Path
from hpo import RunSpec, Tuner
from hpo.report import read_run, write_report
from hpo.space import SearchSpace

space = SearchSpace.from_toml(Path("space.toml")).to_dict()
spec = RunSpec("trainer.py:train", space, max_resource=9, executor="inline")
results = Tuner.from_spec(spec, journal=Path("run.jsonl")).run()
run = read_run(Path("run.jsonl"))
write_report(run, Path("run.html"))
again = Tuner.resume(Path("run.jsonl"))
assert results.best == run.results.best == again.best
print(results.best.last_loss < 0.2)
import numpy as np
from qsvr import QSVR
X = np.arange(8.0)[:, None]
print(QSVR(num_reads=2).fit(X, X[:, 0]).predict(X).shape)
"""

PROCESSES = """
import sitecustomize
from pathlib import Path
from hpo import RunSpec, Tuner
from hpo.run.executors.forkserver import ForkServer
from hpo.space import SearchSpace

if __name__ == "__main__":
    assert not ForkServer.available()
    space = SearchSpace.from_toml(Path("space.toml")).to_dict()
    spec = RunSpec("trainer.py:train", space, max_resource=9, n_workers=2, timeout=60.0)
    results = Tuner.from_spec(spec, journal=Path("run.jsonl")).run()
    print(results.best.last_loss < 0.2, sum(t.status == "failed" for t in results.trials))
"""

IN_EACH_PROCESS = """
import multiprocessing.reduction, signal, sys
multiprocessing.reduction.HAVE_SEND_HANDLE = False  # hence no "forkserver"
for name in ("fcntl", "grp", "pwd", "resource", "termios", "multiprocessing.popen_forkserver"):
    sys.modules[name] = None
from multiprocessing import resource_tracker
resource_tracker._HAVE_SIGMASK = False  # as the standard library asks for it
del signal.pthread_sigmask, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2
"""


@pytest.fixture
def run(tmp_path: Path):
    (tmp_path / "trainer.py").write_text(TRAINER)
    (tmp_path / "space.toml").write_text(SPACE)
    (tmp_path / "sitecustomize.py").write_text(IN_EACH_PROCESS)

    def run(code: str, *path: Path) -> list[str]:
        (tmp_path / "program.py").write_text(code)
        done = subprocess.run(
            [sys.executable, "program.py"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*path, ROOT)))},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


def test_every_module_is_imported(run) -> None:
    assert run(IMPORTS, SUPPORT) == ["hpo.run.executors.forked"]  # of the fork server


@pytest.mark.slow
def test_an_inline_search_runs_and_is_reported_and_resumed(run) -> None:
    assert run(INLINE, SUPPORT) == ["True", "(8,)"]


@pytest.mark.slow
def test_a_search_runs_on_worker_processes(run, tmp_path: Path) -> None:
    assert run(PROCESSES, tmp_path) == ["True 0"]


SYSTEM = ""  # what there is: flock here, a lock of the file beside on Windows
NO_FLOCK = """
import filelock
def lock_descriptor(*_, **__):
    raise OSError(38, "Function not implemented")  # as file systems without it say
filelock.lock_descriptor = lock_descriptor
"""
HOLDER = """
import sys, time
from pathlib import Path
from hpo.run.journal import Journal
journal, _ = Journal.open(Path(sys.argv[1]))
journal.append("note", {"what": "held"})
print("locked", flush=True)
time.sleep(600)
"""


@pytest.fixture(params=[SYSTEM, NO_FLOCK], ids=["system", "no flock"])
def locks(request, monkeypatch) -> str:
    """Code for other processes; this process has the same locks."""
    if request.param:
        import filelock

        def without(*_: object, **__: object) -> bool:
            raise OSError(38, "Function not implemented")

        monkeypatch.setattr(filelock, "lock_descriptor", without)
    return request.param


@contextlib.contextmanager
def holder(code: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", code + HOLDER, str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "locked\n"
            yield process
        finally:
            process.kill()


def test_a_journal_has_one_writer_whose_lock_ends_with_it(locks: str, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    Journal.create(path, {}).close()
    with holder(locks, path) as process:
        with pytest.raises(JournalError, match=r"run.jsonl is in use by another process; wait"):
            Journal.open(path)
        assert len(read_journal(path).entries) == 1  # reading needs no lock
        process.kill()
        process.wait()
        journal, content = Journal.open(path)  # nothing that it left behind is in the way
        with journal:
            assert len(content.entries) == 1
            with pytest.raises(JournalError, match="in use"):
                Journal.open(path)
        journal.close()
        Journal.open(path)[0].close()


def test_a_moved_journal_is_still_locked(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    Journal.create(path, {}).close()
    with holder(SYSTEM, path):
        moved = path.rename(tmp_path / "other.jsonl")
        with pytest.raises(JournalError, match="in use"):
            Journal.open(moved)


@pytest.mark.parametrize("locks", [NO_FLOCK], indirect=True)
def test_a_lock_of_another_machine_names_the_file_to_delete(locks, tmp_path: Path) -> None:
    """Nobody here can say whether its owner still runs."""
    path = tmp_path / "run.jsonl"
    Journal.create(path, {}).close()
    with holder(locks, path) as process:
        lock = path.with_name("run.jsonl.lock")
        text = lock.read_text()
        assert socket.gethostname() in text
        process.kill()
    lock.write_text(text.replace(socket.gethostname(), "elsewhere"))
    with pytest.raises(JournalError, match=rf"if there is none, delete {lock}"):
        Journal.open(path)
    lock.unlink()
    Journal.open(path)[0].close()


def test_a_disk_without_flock_is_no_second_process(tmp_path: Path, monkeypatch) -> None:
    import filelock

    def failing(*_: object, **__: object) -> bool:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(filelock, "lock_descriptor", failing)
    path = tmp_path / "run.jsonl"
    with pytest.raises(JournalError, match=r"cannot lock journal .*run.jsonl: Input/output error"):
        Journal.create(path, {})


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP])
def test_a_file_system_without_links_still_overwrites_nothing(
    tmp_path: Path, monkeypatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "state"
    write_atomically(path, b"new", overwrite=False)
    with pytest.raises(FileExistsError):
        write_atomically(path, b"newer", overwrite=False)
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("state", b"new")]


@pytest.mark.parametrize(("number", "raised"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_folder_that_cannot_be_synced(tmp_path: Path, monkeypatch, number, raised) -> None:
    """Some network file systems cannot; a disk that fails is another matter."""
    sync = os.fsync

    def fail(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output") if raised else contextlib.nullcontext():
        write_atomically(tmp_path / "state", b"new")
    assert (tmp_path / "state").read_bytes() == b"new"
