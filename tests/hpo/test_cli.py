"""The command line as a user meets it: exit codes, one clear line, nothing written over."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import click
import pytest

from hpo.cli import cli, main
from hpo.run.executors.signals import GROUP_SIGNALS, STOP_SIGNALS
from hpo.run.journal import Journal
from hpo.run.results import Results
from hpo.simulation.compare import Setting
from hpo.space import SearchSpace

THOROUGH = bool(os.environ.get("THOROUGH"))  # `make thorough`


@pytest.fixture
def call(workshop, monkeypatch, capsys):
    """Call the command line in this process; return (exit code, stdout, stderr)."""
    monkeypatch.chdir(workshop.root)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*args: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(list(args))
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run


def files(workshop) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes() for path in sorted(workshop.root.rglob("*")) if path.is_file()
    }


def test_run_report_resume(workshop, call) -> None:
    code, out, err = call(*workshop.run_args(), "--quiet")
    assert (code, err) == (0, "")
    assert re.search(r"Best: trial \d+, loss 0\.\d+ after 9 epochs, lr=", out)
    assert "Epochs: 69; plain Hyperband takes 69" in out
    before = files(workshop)
    code, out, err = call("report", "run.jsonl", "--top", "3", "--csv", "out.csv")
    assert (code, err) == (0, "")
    assert "Best 3 of 17 trials" in out
    assert len((workshop.root / "out.csv").read_text().splitlines()) == 18
    (workshop.root / "out.csv").unlink()
    assert files(workshop) == before
    code, out, _ = call("resume", "run.jsonl", "--quiet")  # finished already: shows the results
    assert code == 0
    assert "Best: trial" in out
    assert "The search is over; to continue: hpo resume run.jsonl --extend" in out


def test_a_run_names_its_journal_before_it_trains(workshop, call) -> None:
    code, _, err = call(*workshop.run_args())
    assert code == 0
    assert err.startswith("Journal: run.jsonl\n")


BAD_RUNS = {
    "scheduler must be one of random-search": {"scheduler": "hyperbnad"},
    "predictor must be one of nusvr": {"predictor": "oracle"},
    "reduction_factor .* must be an integer of at least 2, got 1": {"reduction_factor": "1"},
    "max_resource .* must be an integer of at least 1, got 0": {"max_resource": "0"},
    "searcher must be auto or one of random, grid, .*, tpe; got 'psychic'": {"searcher": "psychic"},
    "searcher 'tpe' proposes with forecasts, and scheduler 'hyperband' asks for none; use one of "
    "swift-asha, or searcher='random'": {"searcher": "tpe", "scheduler": "hyperband"},
    "searcher grid takes the options points, allow_duplicates; got point$": {
        "searcher": "grid",
        "searcher_option": "point=3",
    },
    "searcher random takes the options allow_duplicates; got points": {
        "searcher": "random",
        "searcher_option": "points=3",
    },
    "points must be an integer of at least 1, got 0": {
        "searcher": "grid",
        "searcher_option": "points=0",
    },
    "min_observations must be an integer of at least 2, got 1": {
        "searcher": "tpe",
        "scheduler": "swift-asha",
        "searcher_option": "min_observations=1",
    },
    "min_observations must be an integer of at most 64 bits or None .null., got 'few'": {
        "searcher": "tpe",
        "scheduler": "swift-asha",
        "searcher_option": "min_observations=few",
    },
    "random_share must be a finite number, got 'some'": {
        "searcher": "curves",
        "scheduler": "swift-asha",
        "searcher_option": "random_share=some",
    },
    "executor must be 'process', 'inline'": {"executor": "cloud"},
    "n_workers must be an integer of at least 1, got 0": {"workers": "0", "executor": "process"},
    "n_workers must be 1": {"workers": "2"},
    "timeout must be a positive number": {"timeout": "-1", "executor": "process"},
    "max_retries must be an integer of at least 0": {"max_retries": "-1"},
    "takes the options .*; got min_curve$": {"scheduler_option": "min_curve=3"},
    "options must be given as NAME=VALUE": {"scheduler_option": "min_curves"},
    "checkpoint_dir .* cannot be written: Not a directory": {"checkpoint_dir": "work.py/sub"},
    "cannot write journal .*: File exists": {"journal": "work.py/run.jsonl"},
    "cannot use none.toml: No such file": {"space": "none.toml"},
    "Invalid value for '--max-resource': .*; hpo run --help lists what it takes$": {
        "max_resource": "many"
    },
    "max_resource .* must be at most 1000000, got 10+; take fewer": {
        "max_resource": "1" + "0" * 30
    },
    "seed is not an option of hyperband; set it by --seed": {"scheduler_option": "seed=5"},
    "max_resource is not an option of hyperband; set it by --max-resource": {
        "scheduler_option": "max_resource=3"
    },
    "name is not an option of searcher random; set it by --searcher": {"searcher_option": "name=x"},
    "nusvr takes the options .*; got build": {"predictor": "nusvr", "predictor_option": "build=1"},
    "allow_duplicates must be true or false, got 'no'": {"searcher_option": "allow_duplicates=no"},
    "option 'iterations' must be a number, a short list or text, got 5000 characters": {
        "scheduler_option": "iterations=" + "9" * 5000
    },
    "option 'x' must be a number, .* got 100000 characters": {
        "executor_option": "x=" + "[" * 100_000
    },
    "timeout must be a positive number of seconds, finite": {
        "timeout": "inf",
        "executor": "process",
    },
    "is too long for a file name": {"journal": "x" * 300},
    "must be a path: without zero bytes": {"journal": "a\0b"},
    "journal must be a file, got the directory .": {"journal": "."},
}


@pytest.mark.parametrize("message", list(BAD_RUNS))
def test_bad_settings(workshop, call, message: str) -> None:
    before = files(workshop)
    code, out, err = call(*workshop.run_args(**BAD_RUNS[message]))
    assert (code, out) == (2, "")
    assert err.startswith("Error: ")
    assert re.search(message, err.strip()), err
    assert err.count("\n") == 1
    assert files(workshop) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "space"),
        ('[lr]\ntype = "float"\nlow = -1.0\nhigh = 1.0\nlog = true\n', "lr"),
        ('[lr]\ntype = "float"\nlow = 0.0\nhigh = 1.0\nlog = true\n', "lr"),
        ('[lr]\ntype = "float"\nlow = 2.0\nhigh = 1.0\n', "lr"),
        ('[lr]\ntype = "quaternion"\n', "quaternion"),
        ("[lr\n", "space.toml"),
        ('[lr]\ntype = "float"\nlow = 1e400\nhigh = 1.0\n', "'lr': low and high must be finite"),
        ('[lr]\ntype = "float"\nlow = -1.7e308\nhigh = 1.7e308\n', "high - low must not exceed"),
        ('[lr]\ntype = "float"\nlow = 1e-300\nhigh = 1e300\nlog = true\n', "span a factor"),
        ('[lr]\ntype = "int"\nlow = 0\nhigh = 99999999999999999999\n', "-2**62 and 2**62"),
        ('[lr]\ntype = "int"\nlow = 0\nhigh = ' + "9" * 5000, "thousands of digits"),
        ("lr = [nan, 1.0]\n", "'lr': each choice must equal itself, got nan"),
        ("lr = nan\n", "'lr': a constant must equal itself, got nan"),
        ("lr = [1, 1.0]\n", "'lr': choices must be distinct (1 equals 1.0)"),
        ("x" * 256 + " = 1\n", "a name must have at most 255 characters"),
        ('"a\\u0000b" = 1\n', "none of them a zero byte"),
        ("lr = " + "[" * 9999, "nest its tables and lists less deeply"),
        ('[lr]\ntype = "categorical"\nchoices = "adam"\n', "choices must be a list"),
    ],
)
def test_bad_space(workshop, call, text: str, message: str) -> None:
    workshop.space.write_text(text)
    before = files(workshop)
    code, out, err = call(*workshop.run_args())
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith("Error: ")
    assert message in err
    assert files(workshop) == before


@pytest.mark.parametrize("name", ["none.py:train", "work.py:absent", "work.py", "nowhere:train"])
def test_bad_trainer(workshop, call, name: str) -> None:
    args = workshop.run_args()
    args[1] = name
    before = files(workshop)
    code, out, err = call(*args)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith("Error: ")
    assert files(workshop) == before


def test_existing_journal_is_not_written_over(workshop, call) -> None:
    workshop.journal.write_text("precious\n")
    before = files(workshop)
    code, _, err = call(*workshop.run_args())
    assert (code, err.count("\n")) == (2, 1)
    assert "exists already" in err
    assert "--journal FILE" in err
    assert files(workshop) == before


def test_existing_checkpoints_are_not_mixed(workshop, call) -> None:
    call(*workshop.run_args(), "--quiet")
    workshop.journal.rename(workshop.root / "other.jsonl")
    before = files(workshop)
    code, _, err = call(*workshop.run_args())
    assert (code, err.count("\n")) == (2, 1)
    assert "must be empty for a new run" in err
    assert files(workshop) == before


def _other_version(workshop) -> None:
    raw = workshop.journal.read_bytes()
    import zlib

    payload = json.dumps({"format": 99, "run_id": "x", "created": 0, "spec": {}}).encode()
    workshop.journal.write_bytes(b"%08x " % zlib.crc32(payload) + payload + raw[raw.index(b"\n") :])


def _other_run(workshop) -> None:
    """The checkpoints of one run beside the journal of another."""
    other = workshop.root / "other"
    other.mkdir()
    shutil.copytree(workshop.root / "run.checkpoints", other / "run.checkpoints")
    identity = other / "run.checkpoints" / "run.json"
    identity.write_text(identity.read_text().replace('"run_id": "', '"run_id": "f'))
    shutil.rmtree(workshop.root / "run.checkpoints")
    shutil.move(other / "run.checkpoints", workshop.root / "run.checkpoints")


def _other_settings(workshop) -> None:
    """A journal whose header promises another search than its entries tell of."""
    spec = workshop.spec(seed=5).to_json()
    entries = [json.loads(line[9:]) for line in workshop.journal.read_text().splitlines()[1:]]
    workshop.journal.unlink()
    shutil.rmtree(workshop.root / "run.checkpoints")
    with Journal.create(workshop.journal, spec) as journal:
        for entry in entries:
            journal.append(entry["kind"], entry["data"])


def _damaged(workshop) -> None:
    raw = bytearray(workshop.journal.read_bytes())
    raw[len(raw) // 2] ^= 1
    workshop.journal.write_bytes(raw)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_other_version, "format version 99"),
        (_other_run, "belongs to run"),
        (_other_settings, "belongs to another run or version"),
        (_damaged, "is damaged in line"),
        (lambda w: w.journal.write_text("hello\n"), "is not a journal"),
        (lambda w: w.journal.unlink(), "a search that was just started writes it once its workers"),
        (lambda w: w.trainer.unlink(), "does not exist"),
    ],
)
def test_bad_journal(workshop, call, spoil, message: str) -> None:
    call(*workshop.run_args(), "--quiet")
    spoil(workshop)
    before = files(workshop)
    code, out, err = call("resume", "run.jsonl")
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert message in err
    assert files(workshop) == before


def test_journal_of_python_objects_says_how_to_resume(workshop, call) -> None:
    with Journal.create(workshop.journal, {}):
        pass
    code, _, err = call("resume", "run.jsonl")
    assert (code, err.count("\n")) == (2, 1)
    assert "from Python" in err
    assert call("report", "run.jsonl")[0] == 0  # which needs no scheduler


def test_changed_trainer_is_said(workshop, call, caplog) -> None:
    call(*workshop.run_args(), "--quiet")
    workshop.trainer.write_text(workshop.trainer.read_text() + "\n# changed\n")
    code, _, _ = call("resume", "run.jsonl", "--quiet")
    assert code == 0
    assert "has changed since the run began" in caplog.text


def test_all_trials_failed_is_exit_code_1(workshop, call) -> None:
    workshop.write_trainer("def train(config, start, stop, checkpoint):\n    raise OSError('x')\n")
    code, out, err = call(*workshop.run_args(), "--quiet")
    assert code == 1
    assert "OSError: x" in out
    assert "no trial ended with a finite loss" in err
    assert "trial-00000/error.txt" in err
    assert f"hpo resume {workshop.journal.name} --retry-failed" in err


def test_help_and_version(call) -> None:
    assert call("--version")[0] == 0
    code, out, _ = call("run", "--help")
    assert code == 0
    assert "--reduction-factor" in out
    assert call("fly")[0] == 2


@pytest.mark.parametrize("command", ["", *sorted(cli.commands)])
def test_help_explains_each_option_in_80_columns(command, call, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = call(*command.split(), "--help")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "Examples:" in out
    if not command:
        assert "..." not in out.partition("Commands:")[2], "a first line is cut"
    for option in (cli.commands[command] if command else cli).params:
        if isinstance(option, click.Option):
            assert option.help, option.name
            assert len(re.findall(rf"^  .*{option.opts[-1]}\b(?!-)", out, re.M)) >= 1, option.name


def test_list_marks_the_defaults_of_a_run(call) -> None:
    code, out, _ = call("list")
    assert code == 0
    defaults = [line.split()[0] for line in out.splitlines() if line.endswith("(default)")]
    assert defaults == ["swift-asha", "auto", "auto", "process"]


def test_simulate(workshop, call, monkeypatch) -> None:
    rows = ["lr,loss_0,loss_1,loss_2,loss_3"]
    rows += [f"{i / 40},{2 - i / 50},{1.5 - i / 50},{1.2 - i / 50},{1 - i / 50}" for i in range(40)]
    (workshop.root / "table.csv").write_text("\n".join(rows))
    code, out, err = call("simulate", "table.csv", "--seeds", "2", "--predictor", "last-value")
    assert (code, err) == (0, "")
    assert re.search(r"swift-hyperband +\d+ ± \d", out)
    # Seven trials trained in full cost what Hyperband does, and miss the best of its ten.
    whole = ("--scheduler", "hyperband", "--scheduler", "random-search")
    code, out, _ = call("simulate", "table.csv", "--seeds", "3", *whole)
    plain, other = (re.split(r" {2,}", out.splitlines()[row].strip()) for row in (3, 4))
    assert plain[:3] == ["hyperband", "28 ± 0", "0.0%"]
    assert plain[4:] == ["100%"]
    assert other[:3] == ["random-search", "28 ± 0", "0.0%"]
    assert other[4:] == ["0%"]
    assert float(other[3].split()[0]) > float(plain[3].split()[0])
    monkeypatch.setenv("COLUMNS", "80")  # where no number is broken
    code, out, _ = call("simulate", "table.csv", "--seeds", "3", *whole, "--workers", "4")
    numbers = r"(\d+ ± \d+) +\S+% +\d\.\d{4} ± \d\.\d{4} +\d+% +(\d+ ± \d+) +\d+% *$"
    assert len(re.findall(numbers, out, re.MULTILINE)) == 2
    for args in (
        ("none.csv",),
        ("space.toml",),
        ("table.csv", "--max-resource", "5"),
        ("table.csv", "--seeds", "0"),
        ("table.csv", "--predictor", "oracle"),
        ("table.csv", "--scheduler", "x"),
    ):
        code, out, err = call("simulate", *args)
        assert (code, out, err.count("\n")) == (2, "", 1), err


def test_simulate_has_a_sample_table(call) -> None:
    args = ("--scheduler", "hyperband", "--scheduler", "asha", "--seeds", "2")
    code, out, err = call("simulate", *args, "--max-resource", "8")
    assert (code, err) == (0, "")
    assert out.startswith("Sample table: 256 trainings on handwritten digits, 50 epochs each\n")
    assert "2 seeds, 1 worker\n" in re.sub(" +\n", "\n", out)  # neither takes a predictor
    assert re.search(r"asha +\d+ ± \d", out)


def test_simulate_gives_each_scheduler_the_predictor_of_a_run():
    setting = Setting(("hyperband", "swift-asha"), "auto", 8, 2, 1, 1, {})
    assert setting.predictor_of("swift-hyperband") == "nusvr"
    assert setting.predictor_of("swift-asha") == "mixed"
    assert replace(setting, predictor="joint").predictor_of("swift-asha") == "joint"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("executor", "signum"),
    [
        ("inline", STOP_SIGNALS[0]),
        *(("process", each) for each in STOP_SIGNALS[: None if THOROUGH else 2]),
    ],
)
def test_stopping_keeps_the_state(workshop, environment, outcome_of, executor, signum) -> None:
    workshop.allow(15)  # the search cannot end before the signal
    workers = "2" if executor == "process" else "1"
    process = subprocess.Popen(
        workshop.command(*workshop.run_args(executor=executor, workers=workers)),
        cwd=workshop.root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    workshop.reach(15)
    # Ctrl-C and the signals of a batch system reach all processes of the group
    os.killpg(process.pid, signum) if signum in GROUP_SIGNALS else process.send_signal(signum)
    workshop.allow(None)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 128 + signum, err
    assert "Go on with: python -m hpo resume run.jsonl" in err
    assert "Traceback" not in err
    resumed = workshop.cli("resume", "run.jsonl")
    assert resumed.returncode == 0, resumed.stderr
    results = Results.from_journal(workshop.journal)
    assert results.finished
    assert results.epochs == 69
    assert workshop.repeated() <= 2
    logs = [path.read_text() for path in workshop.root.rglob("worker-*.log")]
    assert not any("Traceback" in log for log in logs), logs


def test_a_small_space_ends_unless_duplicates_are_allowed(workshop, call) -> None:
    workshop.space.write_text("[lr]\ntype = 'float'\nlow = 0.0\nhigh = 1.0\nstep = 0.5\n")
    code, out, _ = call(*workshop.run_args(), "--quiet")
    assert (code, "of 3 trials" in out) == (0, True)
    repeated = [arg.replace("run.jsonl", "again.jsonl") for arg in workshop.run_args()]
    code, out, _ = call(*repeated, "--allow-duplicates", "--quiet")
    assert (code, "of 17 trials" in out) == (0, True)


@pytest.mark.parametrize("path", [".", "..", "/", "", "x" * 300, "a\0b", "work.py/x", "\udce9"])
@pytest.mark.parametrize("command", ["resume", "report", "export"])
def test_what_is_no_journal(workshop, call, command, path) -> None:
    before = files(workshop)
    code, out, err = call(command, path, *(["new.db"] if command == "export" else []))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("Error: ")
    assert files(workshop) == before


def test_a_space_of_long_chains_and_byte_order_marks(workshop) -> None:
    tables = {
        f"p{n}": {"type": "int", "low": 1, "high": 2, "when": {f"p{n - 1}": 1}}
        for n in range(1500, 0, -1)
    }
    space = SearchSpace.from_dict({**tables, "p0": {"type": "int", "low": 1, "high": 2}})
    assert space.parents_first[:2] == ("p0", "p1")
    workshop.space.write_bytes(b"\xef\xbb\xbf" + workshop.space.read_bytes())
    assert list(SearchSpace.from_toml(workshop.space).domains) == ["lr"]


@pytest.mark.parametrize("package", ["optuna", "matplotlib.figure"])
def test_a_missing_package_is_named(workshop, call, monkeypatch, package) -> None:
    call(*workshop.run_args(), "--quiet")
    monkeypatch.setitem(sys.modules, package, None)
    args = ["export", "run.jsonl", "x.db"] if package == "optuna" else ["report", "run.jsonl"]
    code, _, err = call(*args, *([] if package == "optuna" else ["--figures", "figures"]))
    assert (code, err.count("\n")) == (2, 1)
    assert 'pip install ".[' in err
