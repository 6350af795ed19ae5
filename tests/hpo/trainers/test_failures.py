"""Reasons of failures: the user's line, the causes, what a failed command has printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpo.errors import TrainerError
from hpo.run.executors import make_pool
from hpo.run.tuner import Tuner
from hpo.trainers import NamedTrainer, Segment, load_trainer, run_segment
from hpo.trainers.failures import describe, full_text, printed

ROOT = Path(__file__).parents[3]

# Each line that is to be named ends with the sign "#".
SCRIPTS = {
    "standard library": (
        "import json\ndef train(*_):\n    json.loads('{')  #\n",
        r"JSONDecodeError:.*",
    ),
    "library": (
        "import numpy as np\ndef train(*_):\n    np.linalg.inv(np.zeros((2, 2)))  #\n",
        "LinAlgError: Singular matrix",
    ),
    "a callback of a library": (
        "import re\ndef f(m):\n    raise ValueError  #\ndef train(*_):\n    re.sub('a', f, 'a')\n",
        "ValueError",
    ),
    "assertion": ("def train(*_):\n    assert False  #\n", "AssertionError"),
    "recursion": (
        "def deeper(n):\n    return deeper(n + 1)  #\ndef train(*_):\n    deeper(0)\n",
        "RecursionError: maximum recursion depth exceeded",
    ),
}


def write(folder: Path, text: str, name: str = "work.py") -> NamedTrainer:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return NamedTrainer(f"{folder / name}:train")


def reason(trainer, tmp_path: Path) -> str:
    return run_segment(trainer, Segment({}, 0, 1, tmp_path / "t" / "checkpoint")).reason


def raised(code: str) -> BaseException:
    try:
        exec(code)
    except BaseException as error:
        return error
    raise AssertionError


@pytest.mark.parametrize("kind", SCRIPTS)
def test_the_line_is_the_users(kind: str, tmp_path: Path) -> None:
    text, message = SCRIPTS[kind]
    line = next(n for n, each in enumerate(text.splitlines(), 1) if each.endswith("#"))
    assert re.match(rf"{message} \(work.py:{line}\)$", reason(write(tmp_path, text), tmp_path))


def test_the_line_of_a_trainer_that_is_installed(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "site-packages"
    (folder / "nets").mkdir(parents=True)
    write(folder / "nets", "import json\ndef train(*_):\n    return json.loads('{')\n")
    (folder / "nets" / "__init__.py").touch()
    monkeypatch.syspath_prepend(folder)
    assert reason(NamedTrainer("nets.work:train"), tmp_path).endswith(" (work.py:3)")


def test_causes_and_members_are_told() -> None:
    def work() -> None:
        try:
            try:
                {}["lr"]
            except KeyError:
                int("x")
        except ValueError as error:
            raise RuntimeError("no data") from error

    try:
        work()
    except RuntimeError as error:
        text = describe(error)
    place = r"\(test_failures.py:\d+\)"
    assert re.fullmatch(
        rf"RuntimeError: no data {place}; caused by ValueError: invalid literal .* 'x' {place}; "
        rf"while handling KeyError: 'lr' {place}",
        text,
    )
    hidden = raised(
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise ValueError('x') from None"
    )
    assert describe(hidden).startswith("ValueError: x (")
    assert "division" not in describe(hidden)
    noted = ValueError("no")
    noted.add_note("in batch 7")
    assert describe(noted) == "ValueError: no in batch 7"


def test_members_of_a_group_are_told() -> None:
    inner = ExceptionGroup("inner", [raised("int('b')"), TypeError("c")])
    group = ExceptionGroup("loaders", [raised("1 / 0"), inner, *[OSError("d")] * 9])
    assert re.fullmatch(
        r"ExceptionGroup: loaders \(11 sub-exceptions\): ZeroDivisionError: division by zero "
        r"\(<string>:1\); ValueError: invalid .*'b' \(<string>:1\); TypeError: c",
        describe(group),
    )


def test_a_circle_of_causes_has_an_end() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert describe(first) == "ValueError: first; caused by ValueError: second"
    assert "first" in full_text(first)


class Odd(Exception):
    def __init__(self, message: object) -> None:
        self.message = message

    def __str__(self) -> str:
        if isinstance(self.message, BaseException):
            raise self.message
        return self.message  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (SystemExit(), "Odd: (its message cannot be shown)"),
        (ValueError(), "Odd: (its message cannot be shown)"),
        (b"bytes", "Odd: (its message cannot be shown)"),
        ("a\udcff\ud800b", r"Odd: a\udcff\ud800b"),
        ("two\n\t lines", "Odd: two lines"),
        ("", "Odd"),
    ],
)
def test_odd_messages(message: object, expected: str) -> None:
    assert describe(Odd(message)) == expected
    assert "Odd" in full_text(Odd(message))


def test_huge_messages_are_bounded_and_cost_little(tmp_path: Path) -> None:
    trainer = write(tmp_path, "def train(*_):\n    raise ValueError('x ' * 10_000_000)\n")
    begun = time.process_time()
    text = reason(trainer, tmp_path)
    assert time.process_time() - begun < 2
    assert text.startswith("ValueError: x x")
    assert text.endswith("... (work.py:2)")
    assert len(text) < 350
    assert (tmp_path / "t" / "error.txt").stat().st_size < 300_000
    groups: BaseException = ValueError("y" * 1000)
    for _ in range(50):
        groups = ExceptionGroup("z" * 1000, [groups, *[ValueError("y" * 1000)] * 20])
    assert len(describe(groups)) <= 1000


COMMAND = """
import subprocess, sys
CODE = "import sys; print('out'); sys.exit('loading\\\\n\\\\nno \\\\udcff data')"
def train(*_):
    subprocess.run([sys.executable, "-c", CODE], check=True, HOW)
"""


SLOW_COMMAND = """
import subprocess, time
from pathlib import Path
def train(config, start, stop, checkpoint):
    said = checkpoint.with_name("said")
    script = 'echo waiting for data; touch "$1"; exec sleep 600'
    with subprocess.Popen(["sh", "-c", script, "sh", str(said)]) as process:
        try:
            while not said.exists():
                time.sleep(0.01)
            process.wait(timeout=0.1)
        finally:
            process.kill()
"""


@pytest.mark.parametrize("how", ["capture_output=True", "capture_output=True, text=True"])
def test_the_stderr_of_a_failed_command_is_kept(how: str, tmp_path: Path) -> None:
    text = reason(write(tmp_path, COMMAND.replace("HOW", how)), tmp_path)
    assert re.match(r"CalledProcessError: Command .* returned non-zero exit status 1\. ", text)
    assert re.search(r" \(work.py:5\); stderr: loading \| no .*data$", text)
    assert "loading" in (tmp_path / "t" / "error.txt").read_text()


def test_output_that_was_merged_is_kept(tmp_path: Path) -> None:
    how = "stdout=subprocess.PIPE, stderr=subprocess.STDOUT"
    text = reason(write(tmp_path, COMMAND.replace("HOW", how)), tmp_path)
    assert "; output: " in text
    assert "| no " in text


def test_a_cause_that_is_a_failed_command_keeps_its_stderr(tmp_path: Path) -> None:
    code = COMMAND.replace("HOW", "capture_output=True").replace("def train", "def call")
    code += "def train(*_):\n    try:\n        call()\n    except Exception as error:\n"
    code += "        raise RuntimeError('script failed') from error\n"
    text = reason(write(tmp_path, code), tmp_path)
    assert text.startswith("RuntimeError: script failed (work.py:10); caused by CalledProcessError")
    assert "stderr: loading | no" in text


@pytest.mark.slow
def test_the_end_of_an_output_that_nobody_captured(tmp_path: Path) -> None:
    """It is in the log of the worker, after that of earlier segments."""
    silent = "def train(c, *_):\n    print(c['say'], flush=True)\n    "
    works = write(tmp_path, silent + "return [1.0]\n", "works.py")
    calls = write(tmp_path, COMMAND.replace("HOW", "text=True"), "calls.py")
    ends = write(tmp_path, silent + "import os\n    os._exit(3)\n", "ends.py")
    asks = write(tmp_path, COMMAND.replace("HOW", "stdout=subprocess.PIPE"), "asks.py")
    waits = write(tmp_path, SLOW_COMMAND, "waits.py")
    killed = write(tmp_path, silent + "import os\n    os.kill(os.getpid(), 9)\n", "killed.py")
    pool = make_pool("process", 1, log_dir=tmp_path)

    def run(trainer: NamedTrainer, say: str) -> str:
        segment = Segment({"say": say}, 0, 1, tmp_path / say / "checkpoint")
        return pool.submit(trainer, segment, None).result(60).reason

    try:
        assert run(works, "earlier") == ""
        said = run(calls, "later")
        assert re.search(r"\(calls.py:5\); last output: .*loading \| no .*data$", said), said
        assert "earlier" not in said
        said = run(asks, "with its output")
        assert re.search(r"\(asks.py:5\); output: out; last output: loading \| no .*data$", said), (
            said
        )
        said = run(waits, "too long")
        assert re.search(r"^TimeoutExpired: .*; last output: waiting for data$", said), said
        assert run(ends, "bye") == "worker process ended with exit code 3; last output: bye"
        assert run(killed, "last words") == (
            "worker process was killed by signal 9 (SIGKILL); last output: last words"
        )
        assert run(ends, "") == "worker process ended with exit code 3"
    finally:
        pool.close()


def test_the_end_of_an_output_is_bounded() -> None:
    assert printed(b"\xff\n" * 100_000) == "; last output: " + " | ".join(["\ufffd"] * 5)
    assert len(printed("x" * 10_000_000)) < 450
    assert printed(b" \n\n") == printed(None) == printed("") == ""


@pytest.mark.parametrize("executor", ["inline", "process"])
def test_wrong_syntax_in_a_trainers_file_names_its_line(tmp_path: Path, workshop, executor) -> None:
    workshop.write_trainer("import helper\ndef train(*_):\n    return [1.0]\n")
    (workshop.root / "helper.py").write_text("x = 1\ny = (\n")
    with pytest.raises(TrainerError, match=r"SyntaxError: '\(' was never closed \(helper.py:2\)"):
        Tuner.from_spec(workshop.spec(executor=executor)).run()
    workshop.write_trainer("x = 1\n\ndef train(*_)\n    return [1.0]\n")
    with pytest.raises(TrainerError, match=r"SyntaxError: expected ':' \(work.py:3\)"):
        Tuner.from_spec(workshop.spec(executor=executor)).run()


PACKAGE = {
    "nets/__init__.py": "",
    "nets/small.py": "from nets import tools\ndef train(*s):\n    return tools.losses(*s[:3])\n",
    "nets/tools.py": "def losses(c, a, b):\n    return [c['lr'] / (u + 1) for u in range(a, b)]\n",
    "nets/small.toml": '[lr]\ntype = "float"\nlow = 0.0\nhigh = 1.0\n',
}


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["inline", "process", "dask"])
def test_modules_of_the_working_directory_are_trainers(executor: str, tmp_path: Path) -> None:
    """As ``python -m hpo`` has it; the command `hpo` lies in another folder."""
    command = tmp_path / "bin" / "command.py"
    command.parent.mkdir()
    command.write_text("from hpo.cli import main\nif __name__ == '__main__':\n    main()\n")
    (tmp_path / "work" / "nets").mkdir(parents=True)
    for name, text in PACKAGE.items():
        (tmp_path / "work" / name).write_text(text)

    def hpo(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(command), *args],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )

    options = ["--max-resource", "3", "--scheduler", "hyperband", "--executor", executor]
    done = hpo("run", "nets.small:train", *options, "--journal", "j", cwd=tmp_path / "work")
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stdout
    again = hpo("resume", "j", cwd=tmp_path / "work")
    assert again.returncode == 0, again.stderr
    elsewhere = hpo("resume", "work/j", cwd=tmp_path)
    assert elsewhere.returncode == 2
    assert "No module named 'nets'; start in the folder that holds it" in elsewhere.stderr


def test_a_module_that_a_trainer_lacks_is_no_matter_of_folders(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match=r"No module named 'nowhere' \(work.py:1\)"):
        load_trainer(write(tmp_path, "import nowhere\n").name)
