"""Workers of others are checked: another version, none, another file system, no trainer, silence.

The clusters are real: a scheduler and workers in processes of their own.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import hpo
from hpo.errors import MachineError, TrainerError, UsageError
from hpo.run.journal import read_journal
from hpo.run.tuner import Tuner
from workshop import TRAINER

pytestmark = pytest.mark.slow

THOROUGH = bool(os.environ.get("THOROUGH"))  # `make thorough`
SOURCE = Path(hpo.__file__).parents[1]


class Cluster:
    """A Dask scheduler, and workers each with an environment of its own."""

    def __init__(self, root: Path, environment: dict[str, str]) -> None:
        self.file = root / "scheduler.json"
        self._environment = environment
        self._processes: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start("scheduler", {}, "--port", "0", "--host", "127.0.0.1")

    def _start(self, part: str, changes: dict[str, str], *args: str) -> subprocess.Popen[bytes]:
        where = ["--scheduler-file", str(self.file), "--dashboard-address", "127.0.0.1:0"]
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{part}", *where, *args],
            env=self._environment | changes,
            cwd=self.file.parent,  # not the source, which would be found there
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._processes.append(process)
        return process

    def worker(self, **changes: str) -> subprocess.Popen[bytes]:
        """Start a worker without a nanny, and wait until the scheduler knows it."""
        from distributed import Client

        while not self.file.exists():
            time.sleep(0.05)
        process = self._start("worker", changes, "--no-nanny", "--nthreads", "1")
        with Client(scheduler_file=str(self.file), set_as_default=False) as client:
            client.wait_for_workers(len(self._processes) - 1, timeout=100)
        return process

    def close(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path, environment) -> Iterator[Cluster]:
    made = Cluster(tmp_path, environment)
    yield made
    made.close()


@pytest.fixture
def other_hpo(tmp_path: Path) -> Callable[[str], str]:
    """Return a function: kind -> a path for PYTHONPATH that shows another hpo, or none."""

    def make(kind: str) -> str:
        place = tmp_path / kind / "hpo"
        if kind == "other version":
            shutil.copytree(SOURCE / "hpo", place)
            (place / "errors.py").write_text((place / "errors.py").read_text() + "\nOLD = True\n")
        else:
            place.mkdir(parents=True)
            (place / "__init__.py").write_text("raise ModuleNotFoundError('no hpo here')\n")
        return str(place.parent)

    return make


def tuner(workshop, cluster: Cluster, **changes) -> Tuner:
    options = {"scheduler_file": str(cluster.file), "patience": 20.0}
    spec = workshop.spec(executor="dask", n_workers=2, **changes)
    return Tuner.from_spec(spec, journal=workshop.journal, executor_options=options)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            "other version",
            r"dask worker tcp://127.* must have hpo of source \w{12} .* got \w{12} in",
        ),
        ("none", r"got none \(ModuleNotFoundError: no hpo here; .*\); install the same version"),
    ],
)
def test_a_worker_of_another_version_is_named(workshop, cluster, other_hpo, kind, message) -> None:
    cluster.worker()
    bad = cluster.worker(PYTHONPATH=other_hpo(kind))
    with pytest.raises(UsageError, match=message):
        tuner(workshop, cluster).run()
    assert bad.poll() is None, "the worker itself goes on"
    assert not workshop.journal.exists()
    assert not list(workshop.root.glob(".hpo*")), "nothing is left of the handshake"


# An epoch lasts two seconds while a worker is late, so that the search asks it before its end.
HESITATES = """for _ in range(200):
            if not (HERE / "late").exists():
                break
            time.sleep(0.01)"""


@pytest.mark.parametrize("kind", ["other version", "none"] if THOROUGH else ["none"])
def test_a_late_worker_of_another_version_gets_nothing_to_do(
    workshop, cluster, other_hpo, kind, caplog, outcome_of, request
) -> None:
    good = cluster.worker()
    workshop.write_trainer(TRAINER.format(epoch=0).replace("time.sleep(EPOCH)", HESITATES))
    late: list[subprocess.Popen[bytes]] = []
    place = other_hpo(kind)

    class Joining(Tuner.__dataclass_fields__["progress"].default_factory):  # type: ignore[misc]
        def show(self, summary, baseline) -> None:
            if not late and workshop.epochs() > 5:
                (workshop.root / "late").touch()
                late.append(cluster.worker(PYTHONPATH=place))

    class Refused(logging.Handler):
        def emit(self, record) -> None:
            if "nothing more is sent to it" in record.getMessage():
                (workshop.root / "late").unlink()

    listener = Refused()
    logging.getLogger("hpo").addHandler(listener)
    request.addfinalizer(lambda: logging.getLogger("hpo").removeHandler(listener))
    results = tuner(workshop, cluster)
    results = Tuner.from_spec(
        results.spec,
        journal=workshop.journal,
        progress=Joining(),
        executor_options=results.executor_options,
    ).run()
    assert late
    assert "must have hpo of source" in caplog.text
    assert "nothing more is sent to it" in caplog.text
    assert {pid for *_, pid in workshop.trace()} == {good.pid}
    calm = workshop.spec()
    assert outcome_of(results) == outcome_of(Tuner.from_spec(calm).run())


def test_a_trainer_that_workers_cannot_import_ends_the_run_at_once(workshop, cluster) -> None:
    """The leading process can: the library lies in a folder that only it has on its path."""
    library = workshop.root / "library"
    library.mkdir()
    (library / "library_of_the_leader.py").write_text("VALUE = 1\n")
    text = workshop.trainer.read_text()
    workshop.write_trainer("import library_of_the_leader\n" + text)
    cluster.worker()
    sys.path.insert(0, str(library))
    try:
        with pytest.raises(TrainerError, match=r"No module named 'library_of_the_leader'.*; put"):
            tuner(workshop, cluster).run()
    finally:
        sys.path.remove(str(library))
    assert not workshop.journal.exists()


def test_a_worker_that_does_not_see_the_folder_is_named(workshop, cluster) -> None:
    """A worker in a file system of its own: a mount that it alone has hides the folder."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare")
    cluster.worker()
    hidden = workshop.root / "shared"
    hidden.mkdir()
    command = (
        f"mount -t tmpfs none {hidden} && exec {sys.executable} -m distributed.cli.dask_worker"
    )
    where = f"--scheduler-file {cluster.file} --dashboard-address 127.0.0.1:0 --no-nanny"
    made = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", f"{command} {where} --nthreads 1 --name elsewhere"],
        env=cluster._environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        from distributed import Client

        with Client(scheduler_file=str(cluster.file), set_as_default=False) as client:
            try:
                client.wait_for_workers(2, timeout=30)
            except TimeoutError:
                pytest.skip("mounts are not allowed here")
        options = {"scheduler_file": str(cluster.file), "patience": 20.0}
        spec = workshop.spec(executor="dask", n_workers=2, executor_options=options)
        with pytest.raises(UsageError, match="must read and write the folder of the checkpoints"):
            Tuner.from_spec(spec, journal=hidden / "run.jsonl").run()
        assert not list(hidden.iterdir())
    finally:
        made.kill()
        made.wait()


def test_silence_ends_after_patience(workshop, cluster, tmp_path: Path) -> None:
    """A scheduler's file that never comes, a scheduler that is gone, no worker, a frozen one."""

    def refused(message: str, patience: float = 0.5, **options: object) -> None:
        spec = workshop.spec(executor="dask", n_workers=2)
        options |= {"patience": patience}
        with pytest.raises(UsageError, match=message):
            Tuner.from_spec(spec, journal=workshop.journal, executor_options=options).run()
        assert not workshop.journal.exists()

    (tmp_path / "odd.json").write_text("{")
    refused("which does not exist after patience=0.5 s", scheduler_file=str(tmp_path / "none.json"))
    refused("holds no address", scheduler_file=str(tmp_path / "odd.json"))
    refused("no Dask scheduler answers at nonsense", address="nonsense")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        refused("no Dask scheduler answers at", address=f"tcp://127.0.0.1:{port}")
    while not cluster.file.exists():
        time.sleep(0.05)
    # It takes a moment to connect.
    refused("has no worker after 5 s", 5.0, scheduler_file=str(cluster.file))
    frozen = cluster.worker()
    frozen.send_signal(signal.SIGSTOP)
    refused("got no answer of tcp://127.0.0.1", 5.0, scheduler_file=str(cluster.file))


def test_a_scheduler_that_is_gone_is_one_line_of_the_command(workshop) -> None:
    options = ("address=tcp://127.0.0.1:1", "patience=0.5")
    args = [f"--executor-option={option}" for option in options]
    done = workshop.cli(*workshop.run_args(executor="dask", workers="2"), *args)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in done.stderr
    assert done.stderr.startswith("Error: "), done.stderr
    assert done.stderr.count("\n") == 1, "no traceback beside it"
    assert not workshop.journal.exists()


@pytest.mark.parametrize("executor", ["process", "dask"])
def test_a_trainer_that_cannot_be_imported_any_more_stops_the_run(
    make_workshop, outcome_of, executor
) -> None:
    """Workers that are started again, since each trial ends its own, find a broken file."""
    workshop = make_workshop("work")
    good = workshop.trainer.read_text()
    breaking = (
        "    losses = []\n    (HERE / 'work.py').write_text('import not_there')\n    os._exit(1)\n"
    )
    text = good.replace('checkpoint."""\n', f'checkpoint."""\n{breaking}')
    assert text != good
    workshop.write_trainer(text)
    spec = workshop.spec(executor=executor, n_workers=2, max_retries=1)
    with pytest.raises(MachineError, match=r"named 'not_there'.*; correct this and resume"):
        Tuner.from_spec(spec, journal=workshop.journal).run()
    entries = read_journal(workshop.journal).entries
    assert not [entry for entry in entries if entry.kind == "reported"], "no trial is judged"
    workshop.write_trainer(good)
    results = Tuner.resume(workshop.journal, executor="process", executor_options={})
    assert outcome_of(results) == outcome_of(Tuner.from_spec(make_workshop("calm").spec()).run())


@pytest.mark.parametrize(
    "accident",
    ["Ctrl-C here", "Ctrl-C", "scheduler killed", *(["SIGUSR1"] if THOROUGH else [])],
)
def test_the_end_of_a_run_on_dask_prints_no_traceback(
    workshop, cluster, environment, accident
) -> None:
    cluster.worker()
    workshop.allow(5)  # the search cannot end before the accident
    where = [f"--executor-option=scheduler_file={cluster.file}", "--executor-option=patience=5"]
    args = workshop.run_args(executor="dask", workers="1")
    with subprocess.Popen(
        workshop.command(*args, *(where if accident != "Ctrl-C here" else []), "--quiet"),
        cwd=workshop.root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        workshop.reach(5)
        if accident == "scheduler killed":
            cluster.scheduler.kill()
            code, lines = 1, r"Error: the executor broke .* within patience=5 s .*\n"
        else:
            signum = signal.SIGUSR1 if accident == "SIGUSR1" else signal.SIGINT
            os.killpg(process.pid, signum)
            code, lines = 128 + signum, r"Stopped; every finished report is kept in run.jsonl.\n"
        workshop.allow(None)
        _, err = process.communicate(timeout=100)
    assert process.returncode == code, err
    assert re.fullmatch(rf"{lines}Go on with: python -m hpo resume run.jsonl\n", err), err
