"""One process trains a trial, whoever is killed: with a trainer whose child process trains."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from childbearing import alive, left_alive, overlaps, trained, write_trainer
from hpo.run.journal import read_journal
from hpo.run.results import Results
from hpo.run.tuner import Tuner
from hpo.trial import TrialStatus
from waiting import wait_until
from workshop import Workshop

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc"),
]
THOROUGH = bool(os.environ.get("THOROUGH"))  # `make thorough`
KILLS = 50 if THOROUGH else 2
EPOCH = 0.03
SCHEDULERS = ("hyperband", "swift-hyperband", "asha") if THOROUGH else ("hyperband", "asha")


def loss(lr: float, unit: int) -> float:
    return (lr - 0.3) ** 2 + (1 + lr) / (unit + 1)


def check_losses(results: Results) -> None:
    """Every loss is that of its epoch, to the bit."""
    for trial in results.trials:
        assert trial.status is not TrialStatus.FAILED, trial.reason
        lr = trial.config["lr"]
        assert trial.losses == tuple(loss(lr, unit) for unit in range(len(trial.losses)))


def pids_of(workshop: Workshop) -> set[int]:
    return {pid for row in trained(workshop) for pid in row[2:4]} - {1}  # 1: its parent had ended


def reports_of(journal: Path) -> list[str]:
    if not journal.exists():
        return []
    return [json.dumps(e.data) for e in read_journal(journal).entries if e.kind == "reported"]


def settings_of(scheduler: str) -> dict[str, object]:
    options = {"min_curves": 4, "train_ahead": False} if scheduler == "swift-hyperband" else {}
    return {
        "scheduler": scheduler,
        "scheduler_options": options,
        "max_resource": 27 if THOROUGH else 9,
    }


class Leader:
    """A command of ``hpo`` that leads a run."""

    def __init__(self, workshop: Workshop, environment, *command: str, cwd: Path | None = None):
        self._log = (workshop.root / "leader.txt").open("a")
        self.process = subprocess.Popen(
            command,
            cwd=cwd or workshop.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        self._place = workshop.root / "leader.txt"

    def wait(self, patience: float = 200) -> int:
        code = self.process.wait(patience)
        self._log.close()
        return code

    def finish(self) -> None:
        assert self.wait() == 0, self._place.read_text()[-3000:]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_tuner_killed_at_random_moments(workshop, environment, scheduler) -> None:
    """Nothing finished is lost, never two train at once, nothing stays alive."""
    write_trainer(workshop, EPOCH)
    spec = workshop.spec(**settings_of(scheduler), executor="process", n_workers=2)
    plan, script = workshop.root / "plan.json", workshop.root / "lead.py"
    plan.write_text(json.dumps(spec.to_json()))
    script.write_text(LEAD)
    dice = random.Random(scheduler)
    seen: list[str] = []
    hits = 0
    for _ in range(KILLS):
        goal = workshop.epochs() + dice.randrange(1, 24 if THOROUGH else 8)
        workshop.allow(goal + 2)  # the run cannot end before the kill, unless it ends by then
        leader = Leader(workshop, environment, sys.executable, str(script))
        wait_until(
            lambda g=goal, p=leader.process: workshop.epochs() >= g or p.poll() is not None,
            "training",
        )
        time.sleep(dice.random() * EPOCH)
        leader.process.kill()
        hits += leader.wait() == -signal.SIGKILL
        if dice.random() < 0.3:  # otherwise the next run begins while the last one ends
            assert not left_alive(pids_of(workshop))
        now = reports_of(workshop.journal)
        assert now[: len(seen)] == seen
        seen = now
        if seen and len(seen) > 30:  # near its end: begin again
            check_losses(Results.from_journal(workshop.journal))
            assert not left_alive(pids_of(workshop))
            workshop.journal.unlink()
            shutil.rmtree(workshop.root / "run.checkpoints")
            seen = []
            assert not overlaps(workshop)
            (workshop.root / "trace.txt").unlink()
    workshop.allow(None)
    Leader(workshop, environment, sys.executable, str(script)).finish()
    assert hits >= 0.8 * KILLS, "the run had ended before most kills"
    assert not left_alive(pids_of(workshop))
    assert not overlaps(workshop)
    check_losses(Results.from_journal(workshop.journal))


LEAD = """
import json, warnings
from pathlib import Path
from hpo.run.spec import RunSpec
from hpo.run.tuner import Tuner

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    here = Path(__file__).parent
    journal = here / "run.jsonl"
    if journal.exists() and journal.stat().st_size and (here / "run.checkpoints/run.json").exists():
        Tuner.resume(journal)
    else:
        journal.unlink(missing_ok=True)
        plan = json.loads((here / "plan.json").read_text())
        Tuner.from_spec(RunSpec.from_json(plan), journal=journal).run()
"""


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_workers_killed_at_random_moments(workshop, environment, scheduler) -> None:
    write_trainer(workshop, EPOCH)
    changes = {"executor": "process", "n_workers": 2, "max_retries": KILLS}
    spec = workshop.spec(**settings_of(scheduler), **changes)
    (workshop.root / "plan.json").write_text(json.dumps(spec.to_json()))
    (workshop.root / "lead.py").write_text(LEAD)
    dice = random.Random(scheduler)
    kills = 0
    while kills < KILLS:
        leader = Leader(workshop, environment, sys.executable, str(workshop.root / "lead.py"))
        while leader.process.poll() is None and kills < KILLS:
            goal = workshop.epochs() + dice.randrange(2, 16)
            wait_until(
                lambda g=goal, p=leader.process: workshop.epochs() >= g or p.poll() is not None,
                "training",
            )
            time.sleep(dice.random() * EPOCH)
            for pid in filter(alive, {row[3] for row in trained(workshop)[-3:]} - {1}):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    kills += 1
        leader.finish()
        assert not left_alive(pids_of(workshop))
        assert not overlaps(workshop)
        check_losses(Results.from_journal(workshop.journal))
        workshop.journal.unlink()
        shutil.rmtree(workshop.root / "run.checkpoints")
        (workshop.root / "trace.txt").unlink()


class Site:
    """Where trials are trained: how a run is started and resumed there, and what can be lost."""

    name: str
    retries = "9"

    def __init__(self, workshop: Workshop, environment: dict[str, str]) -> None:
        self.workshop = workshop
        self.environment = environment

    def launch(self, *command: str) -> Leader:
        return Leader(self.workshop, self.environment, *self.prefix(), *command)

    def prefix(self) -> list[str]:
        return [sys.executable, "-m", "hpo"]

    def run_args(self) -> list[str]:
        args = self.workshop.run_args(executor=self.name, workers="2", max_retries=self.retries)
        return [*args, *self.options(), "--quiet"]

    def options(self) -> list[str]:
        return []

    def leader(self, leader: Leader) -> int:
        return leader.process.pid

    def engine(self, leader: Leader, worker: int) -> int:
        raise NotImplementedError

    def close(self) -> None:
        pass


class OwnProcesses(Site):
    name = "process"

    def engine(self, leader: Leader, worker: int) -> int:
        return psutil.Process(worker).ppid()  # the fork server


class DaskCluster(Site):
    """A scheduler, and workers with a nanny in another folder: one more than the run needs."""

    name = "dask"

    def __init__(self, workshop: Workshop, environment: dict[str, str]) -> None:
        super().__init__(workshop, environment)
        self._elsewhere = workshop.root / "elsewhere"
        self._elsewhere.mkdir()
        self._parts: list[subprocess.Popen[bytes]] = []
        self._start()

    def _start(self) -> None:
        self._file = self.workshop.root / f"scheduler-{len(self._parts)}.json"
        ports = ("--scheduler-file", str(self._file), "--dashboard-address", "127.0.0.1:0")
        for part in (
            ("scheduler", "--port", "0", "--host", "127.0.0.1"),
            ("worker", "--nworkers", "3", "--nthreads", "1"),
        ):
            self._parts.append(
                subprocess.Popen(
                    [sys.executable, "-m", f"distributed.cli.dask_{part[0]}", *part[1:], *ports],
                    env=self.environment,
                    cwd=self._elsewhere,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        wait_until(self._file.exists, "the scheduler")

    def options(self) -> list[str]:
        if self._parts[-2].poll() is not None:  # the scheduler was killed; its workers stay
            self._start()
        values = {"scheduler_file": str(self._file), "patience": 5.0}
        return [f"--executor-option={name}={json.dumps(value)}" for name, value in values.items()]

    def engine(self, leader: Leader, worker: int) -> int:
        return self._parts[-2].pid

    def close(self) -> None:
        for process in reversed(self._parts):
            everyone = []
            with contextlib.suppress(psutil.NoSuchProcess):  # it was killed
                everyone = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            process.wait()
            for each in everyone:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()


class Mpi(Site):
    """Four ranks, of which three train, for two trials at a time; MPI gives up as a whole."""

    name = "mpi"

    def prefix(self) -> list[str]:
        return ["mpiexec", "-n", "4", sys.executable, "-m", "mpi4py.futures", "-m", "hpo"]

    def leader(self, leader: Leader) -> int:
        ranks = psutil.Process(leader.process.pid).children()
        return min(rank.pid for rank in ranks if "mpi4py.futures" in rank.cmdline())

    def engine(self, leader: Leader, worker: int) -> int:
        return leader.process.pid


class RayHere(Site):
    name = "ray"

    def engine(self, leader: Leader, worker: int) -> int:
        family = psutil.Process(leader.process.pid).children(recursive=True)
        return next(each.pid for each in family if each.name() == "raylet")


SITES = {site.name: site for site in (OwnProcesses, DaskCluster, Mpi, RayHere)}
ACCIDENTS = ("worker killed", "engine killed", "leader stopped", "leader killed")
NEEDS = {
    "dask": pytest.mark.skipif(
        not importlib.util.find_spec("distributed"), reason="Dask is not installed"
    ),
    "mpi": pytest.mark.skipif(
        shutil.which("mpiexec") is None or importlib.util.find_spec("mpi4py") is None,
        reason='needs MPI (Debian: openmpi-bin) and mpi4py (pip install ".[mpi]")',
    ),
    "ray": (
        pytest.mark.ray,
        pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="Ray is not installed"),
    ),
}


@pytest.fixture(params=[pytest.param(name, marks=NEEDS.get(name, ())) for name in SITES])
def site(request, make_workshop, environment) -> Iterator[Site]:
    mpi = {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "OMPI_MCA_btl_vader_single_copy_mechanism": "none",  # containers forbid it
    }
    made = SITES[request.param](make_workshop("killed"), {**environment, **mpi})
    yield made
    made.close()


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_losses_are_those_of_an_undisturbed_run(site, make_workshop, outcome_of, accident) -> None:
    """With segments in flight, then resumed at once; with a relative journal."""
    calm, killed = make_workshop("calm"), site.workshop
    reference = Tuner.from_spec(calm.spec(), journal=calm.journal).run()
    # A trainer that counts goes wrong by every epoch that is trained twice. It is killed with its
    # worker in the middle of a segment, or with its leader not at all.
    write_trainer(killed, 0.1, counts=site.name == "dask" and accident.startswith("leader"))
    killed.allow(20)  # of 138 begins and ends of epochs: the run cannot end before the accident
    leader = site.launch(*site.run_args())
    killed.reach(20)
    worker = trained(killed)[-1][3]
    victim, signum = {
        "worker killed": (lambda: worker, signal.SIGKILL),
        "engine killed": (lambda: site.engine(leader, worker), signal.SIGKILL),
        "leader stopped": (lambda: site.leader(leader), signal.SIGTERM),
        "leader killed": (lambda: site.leader(leader), signal.SIGKILL),
    }[accident]
    leads = site.leader(leader)
    os.kill(victim(), signum)
    killed.allow(None)
    code = leader.wait()
    wait_until(lambda: not left_alive({leads}), "the end of the leader")  # of MPI: of rank 0
    if code != 0:  # the engine is lost with it, or it leads no more
        assert len(reports_of(killed.journal)) < len(reference.records()), "the run had ended"
        site.launch("resume", "run.jsonl", *site.options(), "--quiet").finish()
    else:
        assert not accident.startswith("leader")
    assert outcome_of(Results.from_journal(killed.journal)) == outcome_of(reference)
    assert not overlaps(killed)
    children = {row[2] for row in trained(killed)}
    assert not left_alive(children)
