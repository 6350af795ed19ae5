"""A disk that is full stops a run cleanly; with room again it goes on as if nothing was."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.run.journal import read_journal
from hpo.run.results import Results

MOMENTS = 20 if os.environ.get("THOROUGH") else 1  # `make thorough`

TRAINER = '''
import json
from pathlib import Path
from hpo.files import write_atomically

HERE = Path(__file__).parent
SCRATCH = Path("{scratch}")


def fill(free):
    """Fill the disk but for some bytes, once."""
    (HERE / "filled").touch()
    with (SCRATCH / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            file.truncate(max(file.tell() - free, 0))


def train(config, start, stop, checkpoint):
    losses = json.loads(checkpoint.read_text())["losses"] if checkpoint.exists() else []
    for unit in range(len(losses), stop):
        with (HERE / "trace.txt").open("a") as file:
            file.write(f"{{checkpoint.parent.name}} {{unit}} 0\\n")
        order = HERE / "fill.json"
        if order.exists() and not (HERE / "filled").exists():
            moment, free = json.loads(order.read_text())
            if (HERE / "trace.txt").read_bytes().count(b"\\n") >= moment:
                fill(free)
        losses.append((config["lr"] - 0.3) ** 2 + (1 + config["lr"]) / (unit + 1))
        state = {{"losses": losses, "weights": "x" * (400 * len(losses))}}
        write_atomically(checkpoint, json.dumps(state).encode())
    return losses[start:stop]
'''

DRIVER = '''
"""Forks a process for each line on standard input, so that all is imported only once."""
import json, os, resource, sys, warnings

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if os.environ.get("THOROUGH"):  # where a search forecasts
        import sklearn.svm
    import hpo.run.spec, hpo.run.tuner, hpo.integrations, rich.progress
    from hpo.cli import main

    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os.chdir(order["root"])
            log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 2), os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (order["limit"] or hard, hard))
            main(order["args"])
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
'''


@contextlib.contextmanager
def tmpfs(place: Path) -> Iterator[Path]:
    """Mount a disk of one megabyte."""
    place.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if mount is None or umount is None or os.geteuid() != 0:
        pytest.skip("only root may mount a tmpfs")
    mounted = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        yield place
    finally:
        subprocess.run([umount, str(place)], check=True)


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """Return a function that runs the command line in a folder and returns its exit code."""
    driver = tmp_path_factory.mktemp("driver") / "driver.py"
    driver.write_text(DRIVER)
    source = str(Path(sys.modules["hpo"].__file__ or "").parents[1])
    with subprocess.Popen(
        [sys.executable, str(driver)],
        env={**os.environ, "PYTHONPATH": source},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def run(root: Path, args: list[str], limit: int = 0) -> int:
            order = {"root": str(root), "args": args, "limit": limit}
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield run
        process.stdin.close()


class Search:
    """A search whose journal and checkpoints are in one folder."""

    def __init__(self, shop, scheduler: str, executor: str, scratch: Path | None = None) -> None:
        self.shop = shop
        self.scratch = shop.root if scratch is None else scratch
        shop.write_trainer(TRAINER.format(scratch=self.scratch))
        self.journal = self.scratch / "run.jsonl"
        options = {"scheduler": scheduler, "executor": executor, "journal": str(self.journal)}
        self.args = [*shop.run_args(**options), "--quiet", "--max-retries", "0"]

    def results(self) -> Results:
        return Results.from_journal(self.journal)

    def check_no_verdict(self) -> None:
        entries = read_journal(self.journal).entries if self.journal.exists() else ()
        assert not [e for e in entries if e.data.get("type") == "TrainFailure"]

    def continued(self) -> list[str]:
        if self.journal.exists():
            return ["resume", str(self.journal), "--quiet"]
        return self.args

    def message(self) -> str:
        return (self.shop.root / "log.txt").read_text()


CASES = [
    ("hyperband", "inline"),
    pytest.param("asha", "process", marks=pytest.mark.slow),
    *(
        pytest.param(*case, marks=pytest.mark.slow)
        for case in (("hyperband", "process"), ("swift-asha", "inline"))
        if os.environ.get("THOROUGH")
    ),
]


@pytest.mark.timeout(3000)
@pytest.mark.parametrize(("scheduler", "executor"), CASES)
def test_file_size_limit(make_workshop, command, outcome_of, scheduler, executor) -> None:
    calm = Search(make_workshop("calm"), scheduler, executor)
    assert command(calm.shop.root, calm.args) == 0
    reference = outcome_of(calm.results())
    dice = random.Random(f"{scheduler} {executor}")
    largest = calm.journal.stat().st_size
    stops = 0
    for number in range(MOMENTS):
        search = Search(make_workshop(f"limited-{number}"), scheduler, executor)
        limit = dice.randrange(500, largest)
        code = command(search.shop.root, search.args, limit)
        assert code in (0, 1, 2), search.message()
        if code:
            stops += 1
            assert "File too large" in search.message()
        if code == 1:
            assert "raise the limit of file sizes" in search.message()
            assert "Go on with: " in search.message()
        search.check_no_verdict()
        assert command(search.shop.root, search.continued()) == 0, search.message()
        assert outcome_of(search.results()) == reference
        assert search.shop.repeated() <= 1
    assert stops >= 0.8 * MOMENTS


@pytest.mark.timeout(3000)
@pytest.mark.parametrize(("scheduler", "executor"), CASES)
def test_full_disk(make_workshop, tmp_path, command, outcome_of, scheduler, executor) -> None:
    calm = Search(make_workshop("calm"), scheduler, executor)
    assert command(calm.shop.root, calm.args) == 0
    results = calm.results()
    dice = random.Random(f"{scheduler} {executor} disk")
    stops = 0
    for number in range(MOMENTS):
        with tmpfs(tmp_path / f"disk-{number}") as disk:
            search = Search(make_workshop(f"full-{number}"), scheduler, executor, disk)
            moment, free = dice.randrange(1, results.epochs // 2), 4096 * dice.randrange(2)
            (search.shop.root / "fill.json").write_text(json.dumps([moment, free]))
            code = command(search.shop.root, search.args)
            stops += code == 1
            if code:
                assert "No space left on device" in search.message()
                assert "make room and resume" in search.message()
                assert "Go on with: " in search.message()
            search.check_no_verdict()
            (disk / "filler").unlink()
            assert command(search.shop.root, search.continued()) == 0, search.message()
            assert outcome_of(search.results()) == outcome_of(results)
            assert search.shop.repeated() <= 1
    assert stops >= 0.8 * MOMENTS
