"""Slurm on one node: Dask workers as jobs, dask-jobqueue, MPI in a batch job, and a job array.

The daemons are those of `slurm_machine`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.run.results import Results
from hpo.run.tuner import Tuner
from slurm_machine import MISSING, Slurm
from waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(MISSING),
        reason=f"needs Slurm, no {', '.join(MISSING)} here (Debian: slurmctld slurmd slurm-client)",
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="Slurm's daemons start jobs as root only"),
]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    import hpo

    source = str(Path(hpo.__file__).parents[1])
    made = Slurm(tmp_path_factory.mktemp("slurm"), {**os.environ, "PYTHONPATH": source})
    yield made
    made.close()


def test_dask_workers_as_jobs_of_which_one_is_cancelled(make_workshop, slurm, outcome_of) -> None:
    """The commands of the guide: a scheduler, and workers that Slurm starts."""
    calm, busy = make_workshop("calm"), make_workshop("busy")
    reference = Tuner.from_spec(calm.spec(), journal=calm.journal).run()
    busy.allow(20)  # the run cannot end before its worker is cancelled
    where = busy.root / "scheduler.json"
    place = f"--scheduler-file {where} --dashboard-address 127.0.0.1:0"
    scheduler = slurm.batch(
        command=f"{sys.executable} -m distributed.cli.dask_scheduler --port 0 {place}"
    )
    wait_until(where.exists, "the scheduler")
    workers = [
        slurm.batch(command=f"{sys.executable} -m distributed.cli.dask_worker --nthreads 1 {place}")
        for _ in range(2)
    ]
    with subprocess.Popen(
        busy.command(
            *busy.run_args(executor="dask", workers="2"),
            *("--executor-option", f"scheduler_file={where}", "--quiet"),
        ),
        cwd=busy.root,
        env=slurm.environment,
    ) as run:
        busy.reach(20)
        slurm.ask("scancel", "--signal=KILL", "--full", workers[0])
        slurm.ask("scancel", workers[0])
        wait_until(lambda: slurm.over(workers[0]), "the worker to be cancelled")
        busy.allow(None)
        assert run.wait(120) == 0
    assert outcome_of(Results.from_journal(busy.journal)) == outcome_of(reference)
    assert busy.repeated() <= 2
    for job in (workers[1], scheduler):
        slurm.ask("scancel", job)
    wait_until(lambda: slurm.over(scheduler), "the jobs to end")


@pytest.mark.skipif(
    importlib.util.find_spec("dask_jobqueue") is None, reason="dask-jobqueue is not installed"
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_dask_jobqueue(make_workshop, slurm, outcome_of, monkeypatch) -> None:
    """The Python form of the guide: a cluster that submits its own jobs."""
    from dask_jobqueue import SLURMCluster
    from distributed import Client

    for name in ("SLURM_CONF", "PYTHONPATH"):
        monkeypatch.setenv(name, slurm.environment[name])
    calm, busy = make_workshop("calm"), make_workshop("busy")
    reference = Tuner.from_spec(calm.spec(), journal=calm.journal).run()
    with (
        SLURMCluster(
            cores=1,
            processes=1,
            memory="1GB",
            interface="lo",
            log_directory=str(slurm.root),
            scheduler_options={"dashboard_address": "127.0.0.1:0"},
        ) as cluster,
        Client(cluster) as client,
    ):
        cluster.scale(jobs=2)
        client.wait_for_workers(2, timeout=120)
        spec = busy.spec(n_workers=2)
        tuner = Tuner.from_spec(spec, journal=busy.journal, executor=client.get_executor())
        results = tuner.run()
    assert outcome_of(results) == outcome_of(reference)
    assert len({pid for *_, pid in busy.trace()}) == 2


DOCS = Path(__file__).parents[4] / "docs"
PAGES = (DOCS / "start" / "slurm.md", DOCS / "guide" / "executors.md")
NEEDS_MPI = pytest.mark.skipif(
    shutil.which("mpiexec") is None or importlib.util.find_spec("mpi4py") is None,
    reason='needs MPI (Debian: openmpi-bin) and mpi4py (pip install ".[mpi]")',
)


def printed_blocks() -> list[str]:
    """Return the shell scripts of both pages."""
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    return [block for text in texts for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL)]


def printed(first: str) -> str:
    """Return the script that holds a text."""
    (block,) = (block for block in printed_blocks() if first in block)
    return block


def prepared(workshop, name: str, first: str, **changes: str) -> Path:
    """Write a script of the pages into a workshop, with its trainer, journal, size and time."""
    script = printed(first)
    options = "--scheduler hyperband --reduction-factor 3"
    for old, new in {
        "train.py:trainer": f"work.py:train {options}",
        "train.py:train ": f"work.py:train --space space.toml {options} ",
        "--max-resource 27": "--max-resource 9",
        "--max-resource 81": "--max-resource 9",
        "mpi.jsonl": "run.jsonl",
        "array.jsonl": "run.jsonl",
        "--ntasks=9": "--ntasks=3",
        "--cpus-per-task=16": "--cpus-per-task=2",
        **changes,
    }.items():
        assert old in script or old not in printed(first)
        script = script.replace(old, new)
    bin_folder = workshop.root / "bin"
    bin_folder.mkdir(exist_ok=True)
    for command, line in {"python": "", "hpo": "-m hpo"}.items():
        file = bin_folder / command
        file.write_text(f'#!/bin/sh\nexec {sys.executable} {line} "$@"\n')
        file.chmod(0o755)
    (workshop.root / "environment.sh").write_text(f"export PATH={bin_folder}:$PATH\n")
    path = workshop.root / name
    path.write_text(script)
    return path


def test_the_scripts_of_the_guide_are_bash(tmp_path) -> None:
    blocks = printed_blocks()
    assert len(blocks) >= 6
    for number, block in enumerate(blocks):
        file = tmp_path / f"{number}.sh"
        file.write_text(block)
        done = subprocess.run(["bash", "-n", str(file)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_the_deadline_of_a_job_is_asked_for(slurm, tmp_path) -> None:
    code = "from hpo.run.deadline import seconds_until; print(seconds_until('slurm'))"
    file = tmp_path / "ask.sh"
    file.write_text(f'#!/bin/bash\n#SBATCH --time=00:10:00\n{sys.executable} -c "{code}"\n')
    job = slurm.submit(tmp_path, file)
    wait_until(lambda: slurm.over(job), "the job to end")
    assert 440 < float((tmp_path / f"slurm-{job}.out").read_text()) <= 541


def output_of(slurm: Slurm, workshop) -> str:
    texts = [path.read_text() for path in sorted(workshop.root.glob("s*-*.out"))]
    return "\n".join([*texts, (slurm.root / "slurmctld.log").read_text()[-2000:]])


@NEEDS_MPI
def test_mpi_job_requeues_itself_until_the_search_is_finished(
    make_workshop, slurm, outcome_of
) -> None:
    """``mpi.sbatch``: a deadline shorter than the search, and a rank that is killed."""
    calm, busy = make_workshop("calm"), make_workshop("busy")
    reference = Tuner.from_spec(calm.spec(), journal=calm.journal).run()
    busy.slow(0.3)
    script = prepared(busy, "mpi.sbatch", "HPO=", **{"--deadline slurm": "--deadline 7s"})
    first = slurm.submit(busy.root, script)
    wait_until(lambda: busy.epochs() >= 10, "training to go on")
    os.kill(busy.trace()[-1][-1], signal.SIGKILL)
    wait_until(lambda: slurm.over(first), "the job to end")
    assert not Results.from_journal(busy.journal).finished
    second = slurm.submit(busy.root, script)
    wait_until(lambda: slurm.over(second), "the job to end, with those that it queued")
    results = Results.from_journal(busy.journal)
    output = output_of(slurm, busy)
    assert results.finished, output
    assert "Stopped at the deadline" in output
    assert outcome_of(results) == outcome_of(reference)
    assert busy.repeated() <= 8


@NEEDS_MPI
def test_mpi_jobs_in_a_chain(make_workshop, slurm, outcome_of) -> None:
    """The chain of the page: jobs without requeueing, each after the one before."""
    calm, busy = make_workshop("calm"), make_workshop("busy")
    reference = Tuner.from_spec(calm.spec(), journal=calm.journal).run()
    busy.slow(0.2)
    requeue = "if test $code = 75; then scontrol requeue $SLURM_JOB_ID; fi\n"
    changes = {"--deadline slurm": "--deadline 7s", requeue: ""}
    prepared(busy, "search.sbatch", "HPO=", **changes)
    chain = subprocess.run(
        ["bash", "-c", printed("--dependency=afterany")],
        cwd=busy.root,
        env=slurm.environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert chain.returncode == 0, chain.stderr
    wait_until(lambda: slurm.ask("squeue", "-h").strip() == "", "the chain to end")
    output = output_of(slurm, busy)
    assert output.count("Stopped at the deadline") >= 1, output
    results = Results.from_journal(busy.journal)
    assert results.finished, output
    assert outcome_of(results) == outcome_of(reference)
    assert busy.repeated() <= 6


def test_job_with_checkpoints_on_the_disk_of_its_node(make_workshop, slurm, outcome_of) -> None:
    """``node.sbatch``: told to stop by Slurm, it copies its checkpoints back; then to the end."""
    calm, busy = make_workshop("calm"), make_workshop("busy")
    reference = Tuner.from_spec(calm.spec(), journal=calm.journal).run()
    busy.slow(0.1)
    script = prepared(busy, "node.sbatch", "LOCAL=", **{"${TMPDIR:-/tmp}": f"{busy.root}/disk"})
    job = slurm.submit(busy.root, script)
    wait_until(lambda: busy.epochs() >= 10, "training to go on")
    slurm.ask("scancel", "--batch", "--signal=USR1", job)
    wait_until(lambda: slurm.over(job), "the job to end")
    output = output_of(slurm, busy)
    assert "Go on with: python -m hpo resume run.jsonl" in output or "hpo resume" in output, output
    assert list((busy.root / "checkpoints").glob("**/checkpoint")), output
    assert not Results.from_journal(busy.journal).finished
    for left in (busy.root / "disk").iterdir():
        pytest.fail(f"{left} was left on the node")
    again = slurm.submit(busy.root, script)
    wait_until(lambda: slurm.over(again), "the job to end")
    results = Results.from_journal(busy.journal)
    output = output_of(slurm, busy)
    assert results.finished, output
    assert outcome_of(results) == outcome_of(reference)
    assert busy.repeated() <= 4


def test_job_array_whose_leader_is_killed(make_workshop, slurm, outcome_of) -> None:
    """``array.sbatch``: three tasks run the same line, and the search outlives the first leader."""
    calm, busy = make_workshop("calm"), make_workshop("busy")
    reference = Tuner.from_spec(calm.spec(), journal=calm.journal).run()
    busy.allow(0)  # the first epochs last until two tasks train
    changes = {"--array=0-7": "--array=0-2", "--workers 8": "--workers 3"}
    script = prepared(busy, "array.sbatch", "--array=0-7", **changes)
    job = slurm.submit(busy.root, script)
    place = busy.root / "run.checkpoints" / "members" / "leader.json"
    wait_until(lambda: len({pid for *_, pid in busy.trace()}) >= 2, "a second process to train")
    os.kill(json.loads(place.read_text())["pid"], signal.SIGKILL)
    busy.allow(None)
    wait_until(lambda: slurm.over(job), "the tasks to end")
    output = output_of(slurm, busy)
    results = Results.from_journal(busy.journal)
    assert results.finished, output
    assert outcome_of(results) == outcome_of(reference)
    assert busy.repeated() <= 1
    assert output.count("This process leads the search") == 1, output
