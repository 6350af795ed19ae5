"""Trainers whose code is in no file: of a notebook, ``python -c``, standard input, lambdas."""

from __future__ import annotations

import importlib.util
import os
import pickle
import re
import subprocess
import sys
import threading
import types
from pathlib import Path

import pytest

from hpo.errors import JournalError, TrainerError
from hpo.run.tuner import Tuner
from hpo.trainers.base import FunctionTrainer
from hpo.trainers.sending import SentTrainer, sendable

ROOT = Path(__file__).parents[3]

PROGRAM = """
from pathlib import Path
from hpo import RandomSearcher, SearchSpace, Tuner, make_scheduler
import math

OFFSET = 0.3  # a name of the module, which goes with the function
CALLS = []

def train(config, start, stop, checkpoint):
    return [(config["lr"] - OFFSET) ** 2 + 1 / math.sqrt(unit + 1) for unit in range(start, stop)]

class Trainer:
    def __init__(self, scale):
        self.scale = scale

    def train(self, config, start, stop, checkpoint):
        CALLS.append(start)
        return [self.scale * loss for loss in train(config, start, stop, checkpoint)]

def within(scale):
    return lambda *segment: [scale * loss for loss in train(*segment)]

def fails(config, start, stop, checkpoint):
    raise ValueError("no such data")

FORMS = {"function": train, "object": Trainer(2.0), "closure": within(3.0)}

def search(trainer, **how):
    space = SearchSpace.from_dict({"lr": {"type": "float", "low": 0.0, "high": 1.0}})
    searcher = RandomSearcher(space, seed=0)
    settings = {"max_resource": 3, "reduction_factor": 3, "seed": 0}
    return Tuner(trainer, make_scheduler("hyperband", searcher, **settings), **how).run()

def losses(trainer, **how):
    return [trial.losses for trial in search(trainer, **how).trials]

if __name__ == "__main__":
    for name in NAMES:
        trainer = FORMS[name]
        expected = losses(trainer, executor="inline")
        print(name, losses(trainer, executor=EXECUTOR, n_workers=2) == expected != [])
    print(search(fails, executor=EXECUTOR, n_workers=2).trials[0].reason)
"""
NAMES = ("function", "object", "closure")
RAY = pytest.param(
    *("ray", "-"),
    marks=(
        pytest.mark.ray,
        pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="ray is not installed"),
    ),
)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def printed(*command: str, text: str | None = None, cwd: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, *command],
        input=text,
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines()


def program_of(executor: str, *names: str) -> str:
    """Return the program for an executor, with trainers of these forms."""
    return PROGRAM.replace("EXECUTOR", repr(executor)).replace("NAMES", repr(names))


def check(lines: list[str], *names: str) -> None:
    assert lines[:-1] == [f"{name} True" for name in names]
    assert re.match(r"ValueError: no such data \(.+:\d+\)|.*no such data \(notebook", lines[-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("executor", "how"),
    [("process", "-c"), ("process", "-"), ("process", "-i"), ("dask", "-"), RAY],
)
def test_without_a_notebook(executor: str, how: str, tmp_path: Path) -> None:
    """Each executor with trainers of one form, and the first with those of all."""
    names = NAMES if (executor, how) == ("process", "-") else NAMES[-1:]
    program = program_of(executor, *names)
    if how == "-c":
        check(printed("-c", program, cwd=tmp_path), *names)
    elif how == "-":
        check(printed("-", text=program, cwd=tmp_path), *names)
    else:
        (tmp_path / "script.py").write_text(program)
        text = "def train(c, a, b, p): return [c['lr'] + OFFSET] * (b - a)\n\n"
        text += "print(losses(train, executor='inline') == losses(train, n_workers=2))\n"
        *script, last = printed("-i", "script.py", text=text, cwd=tmp_path)
        check(script, *names)
        assert last == "True"


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["process", "dask"])
def test_in_a_notebook(executor: str, tmp_path: Path, monkeypatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason='pip install ".[notebooks]"')
    nbformat = pytest.importorskip("nbformat", reason='pip install ".[notebooks]"')
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    names = NAMES if executor == "process" else NAMES[:1]
    cells = program_of(executor, *names).split("\nif __name__")
    cells[1] = "if __name__" + cells[1]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    folder = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=200, resources=folder).execute()
    output = "".join(o.text for o in notebook.cells[1].outputs if o.name == "stdout")
    check(output.splitlines(), *names)
    assert re.search(r"no such data \(notebook cell, line \d+\)", output)


@pytest.mark.slow
def test_a_trainer_of_its_own_name_needs_no_script(tmp_path: Path) -> None:
    """Standard input has a file, ``<stdin>``, which the workers would try to run."""
    (tmp_path / "space.toml").write_text('[lr]\ntype = "float"\nlow = 0.0\nhigh = 1.0\n')
    (tmp_path / "named.py").write_text("def train(c, a, b, p):\n    return [c['lr']] * (b - a)\n")
    program = (
        "from hpo import RunSpec, Tuner, SearchSpace\n"
        "space = SearchSpace.from_toml('space.toml').to_dict()\n"
        "spec = RunSpec('named.py:train', space, max_resource=3, n_workers=2, scheduler='hyperband')\n"
        "results = Tuner.from_spec(spec).run()\n"
        "print({t.status for t in results.trials} & {'failed'}, results.events[-1].kind)\n"
    )
    lines = printed("-", text=program, cwd=tmp_path)
    assert lines[0].startswith("set() ")


def test_it_is_said_what_could_not_be_sent(monkeypatch) -> None:
    lock = threading.Lock()
    with pytest.raises(TrainerError, match=r"cannot pickle '_thread.lock' .*pass 'FILE.py:name'"):
        sendable(FunctionTrainer(lambda *_: [lock]), checked=True)
    monkeypatch.setitem(sys.modules, "cloudpickle", None)  # not installed
    with pytest.raises(TrainerError) as caught:
        sendable(FunctionTrainer(lambda *_: [1.0]), checked=True)
    for part in ("cannot be sent to worker processes", "lambda", "pip install cloudpickle"):
        assert part in str(caught.value)


@pytest.mark.parametrize("how", ["-c", "-"])
def test_without_cloudpickle_a_run_is_refused_before_it_begins(how: str, tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['cloudpickle'] = None\n"
        + PROGRAM.partition("FORMS =")[0]
        + "def search"
        + PROGRAM.partition("def search")[2].partition("def losses")[0]
        + "try:\n    search(train, journal=Path('run.jsonl'))\n"
        + "except ValueError as error:\n    print(error)\n"
    )
    text = None if how == "-c" else program
    (line,) = printed(*(["-c", program] if how == "-c" else ["-"]), text=text, cwd=tmp_path)
    assert "its code is in no file that they could import" in line
    assert "pip install cloudpickle" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_code_that_only_this_process_has_is_refused_before_the_run(workshop, monkeypatch) -> None:
    module = types.ModuleType("made_here")
    exec("def train(c, a, b, p): return [1.0] * (b - a)", vars(module))
    monkeypatch.setitem(sys.modules, "made_here", module)
    with pytest.raises(TrainerError, match=r"cannot be loaded in a worker process .*made_here"):
        Tuner(module.train, workshop.spec().build_scheduler(), journal=workshop.journal).run()
    assert not workshop.journal.exists()


def test_one_sent_by_value_is_loaded_once_in_a_process() -> None:
    calls: list[int] = []

    def train(config, start, stop, checkpoint):
        calls.append(start)
        return [float(len(calls))]

    sent = sendable(FunctionTrainer(train), checked=True)
    assert isinstance(sent, SentTrainer)
    there = pickle.loads(pickle.dumps(sent))
    assert there.original is None
    assert [there.train({}, 0, 1, Path("c")) for _ in range(3)] == [[1.0], [2.0], [3.0]]
    assert calls == []  # a copy has its own
    again = pickle.loads(pickle.dumps(sent.reminder()))
    assert again.data == b""
    assert again.train({}, 0, 1, Path("c")) == [4.0]
    assert b"train" not in repr(sent).encode()  # what a closure holds is nobody's business


def test_functions_of_a_module_go_by_name_to_the_executors_of_others() -> None:
    trainer = FunctionTrainer(check)  # type: ignore[arg-type]
    assert sendable(trainer, checked=False) is trainer


def test_who_runs_as_a_script(tmp_path: Path) -> None:
    """Not this process, which is a program from standard input where pytest shares the tests."""
    code = "from hpo.trainers.sending import main_is_script; print(main_is_script())"
    script = tmp_path / "script.py"
    script.write_text(code)
    for arguments, expected in (([str(script)], "True"), (["-c", code], "False")):
        done = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == expected


@pytest.mark.slow
def test_a_run_of_a_lambda_is_resumed_with_the_lambda(workshop, outcome_of) -> None:
    def scheduler():
        return workshop.spec().build_scheduler()

    offset = 0.3

    def train(config, start, stop, checkpoint):
        return [(config["lr"] - offset) ** 2 + 1 / (unit + 1) for unit in range(start, stop)]

    reference = Tuner(train, scheduler(), journal=workshop.journal).run()
    raw = workshop.journal.read_bytes()
    workshop.journal.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(JournalError, match=r"Tuner.resume\(journal, trainer, scheduler\)"):
        Tuner.resume(workshop.journal)
    said = workshop.cli("resume", "run.jsonl")
    assert said.returncode == 2
    assert "a notebook" in said.stderr
    resumed = Tuner.resume(workshop.journal, train, scheduler())
    assert outcome_of(resumed) == outcome_of(reference)
