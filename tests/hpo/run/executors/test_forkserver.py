"""Workers forked from a server: what it imports, who dies with whom, what forks must not share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hpo.errors import TrainerError
from hpo.run.executors.forkserver import ForkServer
from hpo.run.executors.pools import ProcessPool
from hpo.run.tuner import Tuner
from hpo.trainers import NamedTrainer, Outcome, Segment
from waiting import PATIENCE, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not ForkServer.available(), reason="no fork server on this platform"),
]
HEAD = "import os\nfrom pathlib import Path\nHERE = Path(__file__).parent\n"
WRITES_PIDS = HEAD + (
    "with (HERE / 'pids.txt').open('a') as file:\n"
    "    file.write(f'{os.getpid()}\\n')\n"
    "def train(config, start, stop, checkpoint):\n"
    "    return [config.get('lr', 0.5)] * (stop - start)\n"
)


def pids_in(place: Path) -> list[int]:
    path = place / "pids.txt"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.fixture
def make_trainer(tmp_path: Path) -> Callable[[str], NamedTrainer]:
    def make(source: str) -> NamedTrainer:
        path = tmp_path / "work.py"
        path.write_text(source)
        return NamedTrainer(f"{path}:train")

    return make


@pytest.fixture
def make_pool() -> Iterator[Callable[..., ProcessPool]]:
    pools = []

    def make(n_workers: int, **options) -> ProcessPool:
        pools.append(ProcessPool(n_workers, **options))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


def outcomes(pool: ProcessPool, trainer: NamedTrainer, place: Path, n: int = 2) -> list[Outcome]:
    """Run a segment on each of `n` workers at a time."""
    segments = [Segment({}, 0, 2, place / f"trial-{i}" / "checkpoint") for i in range(n)]
    futures = [pool.submit(trainer, segment, None) for segment in segments]
    return [future.result(PATIENCE) for future in futures]


def test_the_parent_does_not_import_the_trainer(workshop) -> None:
    workshop.write_trainer(WRITES_PIDS)
    spec = workshop.spec(executor="process", n_workers=2, max_resource=3)
    Tuner.from_spec(spec, journal=workshop.journal).run()
    pids = pids_in(workshop.root)
    assert len(pids) == len(set(pids)) == 2  # once in each worker, not in their server
    assert os.getpid() not in pids


def test_all_workers_start_before_the_first_job(make_pool, make_trainer, tmp_path) -> None:
    pool = make_pool(3)
    pool.start(make_trainer(WRITES_PIDS))
    wait_until(lambda: len(pids_in(tmp_path)) == 3, "three workers to import the trainer")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_module_anywhere", r"ModuleNotFoundError: No module named 'no_such"),
        ("def train(:", r"SyntaxError"),
        ("other = 1", r"defines no 'train'"),
        ("import os; os.kill(os.getpid(), 9)", r"was killed by signal 9 \(SIGKILL\)"),
    ],
)
def test_a_trainer_that_cannot_be_imported_fails_the_run_first(workshop, source, message) -> None:
    workshop.write_trainer(source)
    before = set(workshop.root.iterdir())
    with pytest.raises(TrainerError, match=message):
        Tuner.from_spec(
            workshop.spec(executor="process", n_workers=2), journal=workshop.journal
        ).run()
    assert set(workshop.root.iterdir()) - before <= {workshop.root / "__pycache__"}


def test_output_of_the_import_is_in_the_log(make_pool, make_trainer, tmp_path, capfd) -> None:
    pool = make_pool(1, log_dir=tmp_path)
    trainer = make_trainer(
        "print('imported')\ndef train(*_):\n    print('trained')\n    return [1.0, 2.0]\n"
    )
    assert outcomes(pool, trainer, tmp_path, 1) == [Outcome((1.0, 2.0))]
    assert (tmp_path / "worker-0.log").read_text() == "imported\ntrained\n"
    assert capfd.readouterr().out == ""


def test_workers_and_server_die_with_a_killed_parent(make_trainer, environment, tmp_path) -> None:
    make_trainer(
        WRITES_PIDS.replace(
            "    return", "    (HERE / 'hangs').touch()\n    os.read(os.pipe()[0], 1)\n    return"
        )
    )
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from hpo.run.executors.pools import ProcessPool\n"
        "from hpo.trainers import NamedTrainer, Segment\n"
        "if __name__ == '__main__':\n"
        "    here = Path(__file__).parent\n"
        "    pool = ProcessPool(2)\n"
        "    trainer = NamedTrainer(f'{here / \"work.py\"}:train')\n"
        "    future = pool.submit(trainer, Segment({}, 0, 1, here / 't' / 'c'), None)\n"
        "    print(pool._server._process.pid, flush=True)\n"
        "    future.result()\n"
    )
    with subprocess.Popen(
        [sys.executable, str(script)], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        server = int(process.stdout.readline())
        wait_until((tmp_path / "hangs").exists, "training")
        wait_until(lambda: len(pids_in(tmp_path)) == 2, "both workers")
        process.kill()
        process.wait()
    for pid in (server, *pids_in(tmp_path)):
        wait_until(lambda p=pid: not alive(p), "the workers to die with their parent")


def test_death_of_the_server_fails_its_jobs_only(make_pool, make_trainer, tmp_path) -> None:
    pool = make_pool(2)
    trainer = make_trainer(
        HEAD + "import time\n"
        "def train(config, start, stop, checkpoint):\n"
        "    if not (HERE / 'again').exists():\n"
        "        (HERE / 'hangs').touch()\n"
        "        time.sleep(1000)\n"
        "    return [1.0, 2.0]\n"
    )
    future = pool.submit(trainer, Segment({}, 0, 2, tmp_path / "t" / "c"), None)
    wait_until((tmp_path / "hangs").exists, "training")
    os.kill(pool._server._process.pid, signal.SIGKILL)
    assert future.result(PATIENCE).reason.startswith("worker process")
    (tmp_path / "again").touch()
    assert outcomes(pool, trainer, tmp_path) == [Outcome((1.0, 2.0))] * 2


def test_unseeded_numbers_differ_between_workers(make_pool, make_trainer, tmp_path) -> None:
    trainer = make_trainer(
        "import random, time\nimport numpy as np\n"
        "def train(*_):\n    time.sleep(0.3)\n    return [np.random.rand(), random.random()]\n"
    )
    first, second = outcomes(make_pool(2), trainer, tmp_path)
    assert first.reason == second.reason == ""
    assert first.losses[0] != second.losses[0]
    assert first.losses[1] != second.losses[1]


BAD_LIBRARIES = {
    "starts a thread": "import threading, time\n"
    "threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n",
    "ends its process": "import os, multiprocessing\n"
    "if multiprocessing.current_process().name == 'MainProcess':\n    os._exit(3)\n",
    "raises": "raise RuntimeError('no')\n",
}


@pytest.mark.parametrize("kind", BAD_LIBRARIES)
def test_a_library_that_cannot_be_shared_by_forks(
    make_pool, make_trainer, tmp_path, monkeypatch, kind
) -> None:
    installed = tmp_path / "site-packages"
    installed.mkdir()
    (installed / "odd_library.py").write_text(BAD_LIBRARIES[kind])
    monkeypatch.syspath_prepend(str(installed))
    trainer = make_trainer(
        HEAD + "try:\n    import odd_library\nexcept RuntimeError:\n    pass\n"
        "def train(config, start, stop, checkpoint):\n"
        "    parent = Path(f'/proc/{os.getppid()}/task')\n"
        "    return [float(len(list(parent.iterdir()))), 0.0]\n"
    )
    assert outcomes(make_pool(2), trainer, tmp_path) == [Outcome((1.0, 0.0))] * 2


PRODUCTS = """
import {0} as library
ONES = library.ones((600, 600))
for _ in range(3):
    ONES @ ONES
def train(*_):
    return [float((ONES @ ONES)[0, 0]), 0.0]
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "source", [PRODUCTS.format(library) for library in ("numpy", "torch")], ids=["numpy", "torch"]
)
def test_threads_of_libraries_work_in_forks(
    make_pool, make_trainer, tmp_path, source, threads
) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed (extra torch)")
    pool = make_pool(2, threads=threads)
    found = outcomes(pool, make_trainer(source), tmp_path)
    assert found == [Outcome((600.0, 0.0))] * 2
