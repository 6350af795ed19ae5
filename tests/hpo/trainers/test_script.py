"""Scripts as trainers: what stands in the command, what is read, and that nothing is left running.

The scripts are Python's, run without its site packages, so that they start in milliseconds.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pickle
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from childbearing import left_alive
from hpo import ScriptTrainer, SearchSpace, Tuner, make_scheduler
from hpo.cli import main
from hpo.errors import MachineError, TrainerError
from hpo.report import read_status
from hpo.run.executors.pools import ProcessPool
from hpo.run.spec import RunSpec
from hpo.searchers import RandomSearcher
from hpo.trainers import Outcome, Segment, run_segment
from waiting import wait_until
from workshop import environment, outcome_of

QUICK = "{python} -I -S"
POSIX = pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX's")

TRAIN = """
import json, sys
from pathlib import Path
lr, stop, place = float(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
done = json.loads(place.read_text()) if place.exists() else 0
for epoch in range(done, stop):
    print(f"epoch={epoch + 1} loss: {(lr - 0.3) ** 2 + 1 / (epoch + 1):.17g} skill={epoch}")
    place.write_text(json.dumps(epoch + 1))
"""
COMMAND = f"{QUICK} train.py {{lr}} {{stop}} {{checkpoint}}"
SPACE = SearchSpace.from_dict({"lr": {"type": "float", "low": 0.0, "high": 1.0}})


def loss(lr: float, epoch: int) -> float:
    return (lr - 0.3) ** 2 + 1 / epoch


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(TRAIN)
    return tmp_path


def printing(folder: Path, text: str, **settings) -> ScriptTrainer:
    """Return a script that prints a text."""
    code = "import sys; print(sys.argv[1])"
    return ScriptTrainer([*QUICK.split(), "-c", code, text], directory=folder, **settings)


def writing(folder: Path, text: str, **settings) -> ScriptTrainer:
    """Return a script that writes a text into the file of its losses."""
    code = "import sys; open(sys.argv[1], 'w').write(sys.argv[2])"
    text = text.replace("{", "{{").replace("}", "}}")
    command = [*QUICK.split(), "-c", code, "{metrics}", text]
    return ScriptTrainer(command, directory=folder, **settings)


def outcome(trainer, folder: Path, start: int = 0, stop: int = 2, **config) -> Outcome:
    return run_segment(trainer, Segment(config, start, stop, folder / "trial" / "checkpoint"))


def arguments(command: str, folder: Path, **config) -> list[str]:
    """Return the arguments that a command of this form has."""
    code = "import json, sys; print(json.dumps(sys.argv[1:]), 'loss=0', sep='\\n')"
    trainer = ScriptTrainer(
        f'{QUICK} -c "{code}" {command}'.replace("\\", "\\\\"), directory=folder
    )
    found = outcome(trainer, folder, 0, 1, **config)
    assert found.losses == (0.0,), found.reason
    last = max(
        (folder / "trial" / "script").glob("*.stdout"), key=lambda path: path.stat().st_mtime
    )
    return json.loads(last.read_text().splitlines()[0])


NASTY = "a b; touch hacked $(touch hacked) `touch hacked` 'x' \"y\" {stop} {}\n*"


@pytest.mark.parametrize(
    ("command", "config", "expected"),
    [
        ("--x {x}", {"x": 0.1}, ["--x", "0.1"]),
        ("--x={x}", {"x": 1e-05}, ["--x=1e-05"]),
        ("'{x:.1e}' {y:03d}", {"x": 0.00123, "y": 7}, ["1.2e-03", "007"]),
        ("{x} {y} {z}", {"x": True, "y": None, "z": (64, 32)}, ["true", "null", "[64, 32]"]),
        ("{x} 'b c' ''", {"x": NASTY}, [NASTY, "b c", ""]),
        ("x{{{x}}}", {"x": 1}, ["x{1}"]),
        ("-a --x {x?} -b", {}, ["-a", "-b"]),
        ("-a --x {x?} -b", {"x": 2}, ["-a", "--x", "2", "-b"]),
        ("-a --x={x?} net.x={x?} a", {}, ["-a", "a"]),
        ("a=1 {x?} a", {}, ["a=1", "a"]),
        ("--at {start} {stop} --load {checkpoint?}", {}, ["--at", "0", "1"]),
        ("{trial}", {}, ["0"]),
    ],
)
def test_what_stands_for_a_placeholder(command, config, expected, tmp_path: Path) -> None:
    assert arguments(command, tmp_path, **config) == expected
    assert not list(tmp_path.rglob("hacked"))


def test_paths_belong_to_the_trial(tmp_path: Path) -> None:
    checkpoint, place = arguments("{checkpoint} {folder}", tmp_path)
    assert Path(checkpoint) == tmp_path / "trial" / "checkpoint"
    assert Path(place) == tmp_path / "trial"
    Path(checkpoint).touch()
    assert arguments("--load {checkpoint?}", tmp_path) == ["--load", checkpoint]


@pytest.mark.parametrize(
    ("command", "settings", "message"),
    [
        ("", {}, "must name a program, got an empty one"),
        ("python 'train", {}, r"cannot be split into arguments \(No closing quotation\)"),
        ("python {", {}, r"argument '\{' of the command cannot be read .* written \{\{ and \}\}"),
        ("python {}", {}, "is no placeholder"),
        ("python {lr!r}", {}, "is no placeholder"),
        (["python", 7], {}, "must be text or a list of text, got 7"),
        ("python {stop?}", {}, r"\{stop\?\} of the command is never without a value"),
        ("python", {"metric": ""}, "metric of ScriptTrainer must be the name of the loss"),
        ("python", {"pattern": "("}, "must be a regular expression"),
        ("python", {"pattern": "(?P<acc>.)"}, r"group for the metric 'loss'.*\(\?P<value>"),
        ("python {metrics}", {"pattern": "(?P<loss>.)"}, "leave one of them out"),
        ("python {stop}", {"resumes": True}, r"resumes=True needs \{checkpoint\}"),
    ],
)
def test_a_command_that_is_refused(command, settings, message) -> None:
    with pytest.raises(TrainerError, match=message):
        ScriptTrainer(command, **settings)


SECRET = "0123456789abcdef01"


@pytest.mark.parametrize("option", ["--token ", "--api-key=", "--wandb_api_key ", "db.password="])
def test_a_secret_does_not_reach_the_journal(option: str) -> None:
    with pytest.raises(
        TrainerError, match=r"looks like a secret.*put it into the environment"
    ) as e:
        ScriptTrainer(f"python train.py {option}{SECRET}")
    assert SECRET not in str(e.value)


@pytest.mark.parametrize(
    "option", ["--max-tokens 2048", "--tokenizer bert-base-uncased-large", "--pad-token [PAD]"]
)
def test_options_of_language_models_are_no_secrets(option: str) -> None:
    ScriptTrainer(f"python train.py {option} --token {{token}} --resume {SECRET}")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("python {lr} {decay} {decay2}", r"placeholder \{decay\}, \{decay2\} of the command is no"),
        ("python {stop}", r"hyperparameter lr of the search space is not used.*add \{lr\} to"),
    ],
)
def test_placeholders_and_the_space_have_to_agree(command, message, tmp_path: Path) -> None:
    trainer = ScriptTrainer(command, directory=tmp_path)
    with pytest.raises(TrainerError, match=message):
        trainer.check_space(SPACE)
    found = outcome(trainer, tmp_path, lr=0.1)  # where the space is not known beforehand
    assert found.cause == "machine"
    assert re.search(message, found.reason)


def test_a_conditional_hyperparameter_has_to_be_optional() -> None:
    tables = {"opt": ["sgd", "adam"], "momentum": {"type": "float", "low": 0, "high": 1}}
    tables["momentum"]["when"] = {"opt": ["sgd"]}
    space = SearchSpace.from_dict(tables)
    ScriptTrainer("python {opt} {momentum?}").check_space(space)
    with pytest.raises(TrainerError, match=r"'momentum' is absent from some .* \{momentum\?\}"):
        ScriptTrainer("python {opt} {momentum}").check_space(space)
    with pytest.raises(TrainerError, match="'stop' has the name of a placeholder"):
        ScriptTrainer("python {stop}").check_space(SearchSpace.from_dict({"stop": [1, 2]}))


def test_a_run_of_objects_stops_at_the_first_trial(tmp_path: Path) -> None:
    scheduler = make_scheduler("random-search", RandomSearcher(SPACE), max_resource=2)
    trainer = ScriptTrainer("python {lr} {decay}", directory=tmp_path)
    with pytest.raises(MachineError, match=r"placeholder \{decay\} of the command") as caught:
        Tuner(trainer, scheduler, executor="inline").run()
    assert caught.value.results.epochs == 0


PRINTED = {
    "pairs": ("loss=0.5 acc=0.1\nloss: 2.5e-1, acc: .2", {}),
    "among others": ("start: 3\n val_loss=7 \nloss=0.5 - acc: 0.1\nloss=0.25 acc=0.2\nend.", {}),
    "colours": ("\x1b[1mloss\x1b[0m: \x1b[32m0.5\x1b[0m acc=0.1\nloss: 0.25 acc=0.2", {}),
    "batches": ("ep=1 loss=9\nep=1 loss=0.5 acc=0.1\nep=2 loss=0.25 acc=0.2", {"epoch": "ep"}),
    "pattern": (
        "1) 0.5 (0.1)\n2) 0.25 (0.2)\n",
        {"pattern": r"\) (?P<value>\S+) \((?P<acc>\S+)\)"},
    ),
    "named group": (
        "after 1: 0.5|0.1\nafter 2: 0.25|0.2\n",
        {"pattern": r"r (?P<n>\d+): (?P<loss>.*)\|(?P<acc>.*)", "epoch": "n"},
    ),
}
WRITTEN = {
    "JSON lines": ('{"loss": 0.5, "acc": 0.1, "note": "x"}\n\n{"loss": 0.25, "acc": 0.2}', {}),
    "other rows": ('{"lr": 1}\n{"loss": 0.5, "acc": 0.1}\n{"loss": 0.25, "acc": 0.2}\n[1]', {}),
    "CSV": ("acc,loss\n0.1,0.5\n0.2,0.25\n", {}),
    "CSV, numbered": ("ep, loss, acc\n2,0.25,0.2\n1,0.5,0.1\n", {"epoch": "ep"}),
}


@pytest.mark.parametrize("kind", PRINTED)
def test_losses_that_are_printed(kind: str, tmp_path: Path) -> None:
    text, settings = PRINTED[kind]
    found = outcome(printing(tmp_path, text, **settings), tmp_path)
    assert (found.reason, found.losses) == ("", (0.5, 0.25))
    assert found.extra["acc"] == (0.1, 0.2)


@pytest.mark.parametrize("kind", WRITTEN)
def test_losses_that_are_written_to_a_file(kind: str, tmp_path: Path) -> None:
    text, settings = WRITTEN[kind]
    found = outcome(writing(tmp_path, text, **settings), tmp_path)
    assert (found.reason, found.losses) == ("", (0.5, 0.25))
    assert found.extra == {"acc": (0.1, 0.2)}


def test_worst_losses_are_losses(tmp_path: Path) -> None:
    found = outcome(
        writing(tmp_path, '{"val loss": null}\n{"val loss": NaN}', metric="val loss"), tmp_path
    )
    assert [math.isnan(each) for each in found.losses] == [True, True]
    printed = outcome(
        printing(tmp_path, "val loss=inf\nval loss: nan", metric="val loss"), tmp_path
    )
    assert printed.losses[0] == math.inf


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("", {}, "has written no 'loss'; numbers that it has written: none"),
        ("acc=1 lr=2", {}, "no 'loss'; numbers that it has written: acc, lr; name the loss by met"),
        (
            "loss=1",
            {},
            "1 values of 'loss'; one for each of the 2 epochs .* at epoch 0; .*ends_early",
        ),
        ("loss=1\nloss=1\nloss=1", {}, "3 values of 'loss'; .*let epoch= name the field"),
        ("loss=1\nloss=1", {"epoch": "e"}, "field 'e' must number the epoch of each row"),
        ("e=1 loss=1\ne=1 loss=1", {"epoch": "e"}, "no 'loss' for epoch 2 of the epochs 1 to 2"),
        ("x: much", {"pattern": "x: (?P<loss>.*)"}, "found no number for 'loss' but 'much'"),
    ],
)
def test_losses_that_are_refused(text, settings, message, tmp_path: Path) -> None:
    found = outcome(printing(tmp_path, text, **settings), tmp_path)
    assert re.search(message, found.reason), found.reason
    assert "script/00000-1.stdout" in found.reason


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"loss": 1}\nno', r"is no JSON object .*: 'no'"),
        ('{"acc": 1}', "numbers that it has written: acc; name the loss by metric="),
    ],
)
def test_files_that_are_refused(text, message, tmp_path: Path) -> None:
    assert re.search(message, outcome(writing(tmp_path, text), tmp_path).reason)


def test_a_file_that_was_not_written(tmp_path: Path) -> None:
    trainer = ScriptTrainer([*QUICK.split(), "-c", "0", "{metrics}"], directory=tmp_path)
    assert "has not written the file that {metrics}" in outcome(trainer, tmp_path).reason


def test_a_script_that_starts_from_epoch_0_each_time(folder: Path) -> None:
    (folder / "train.py").write_text(
        "import sys\nfor n in range(int(sys.argv[1])): print('loss:', 1 / (n + 1))"
    )
    trainer = ScriptTrainer(f"{QUICK} train.py {{stop}}", directory=folder)
    assert outcome(trainer, folder, 0, 2).losses == (1.0, 0.5)
    assert outcome(trainer, folder, 2, 4).losses == (1 / 3, 0.25)


EARLY = """
import sys
for epoch in range(int(sys.argv[1]), min(int(sys.argv[2]), 5)):
    print(f"epoch={epoch + 1} loss: {1 / (epoch + 1):.17g}")
"""


@pytest.mark.parametrize("epoch", ["", "epoch"])
@pytest.mark.parametrize("begin", ["{start} {stop} {checkpoint}", "0 {stop}"])
def test_a_script_that_ends_early(folder: Path, begin: str, epoch: str) -> None:
    (folder / "train.py").write_text(EARLY)
    command = f"{QUICK} train.py {begin}"
    trainer = ScriptTrainer(command, directory=folder, epoch=epoch, ends_early=True)
    told = [outcome(trainer, folder, *units) for units in ((0, 2), (2, 8), (8, 9))]
    assert [each.reason for each in told] == [""] * 3
    assert [each.losses for each in told] == [(1.0, 1 / 2), (1 / 3, 1 / 4, 1 / 5), ()]
    assert [each.finished for each in told] == [False, True, True]
    strict = ScriptTrainer(command, directory=folder, epoch=epoch)
    assert "ends_early=True" in outcome(strict, folder, 4, 7).reason


def test_a_script_that_resumes(folder: Path) -> None:
    trainer = ScriptTrainer(COMMAND, directory=folder)
    assert outcome(trainer, folder, 0, 2, lr=0.5).losses == (loss(0.5, 1), loss(0.5, 2))
    second = outcome(trainer, folder, 2, 4, lr=0.5)
    assert second.losses == (loss(0.5, 3), loss(0.5, 4))
    assert second.kept
    assert second.extra["skill"] == (2.0, 3.0)


@pytest.mark.parametrize("deaths", [1, 2])
@pytest.mark.parametrize("epoch", ["", "epoch"])
def test_a_script_that_goes_on_after_it_was_killed(folder: Path, deaths, epoch) -> None:
    """Its checkpoint is ahead of `start` then; what it had written before is known."""
    dies = "    sys.stdout.flush()\n    if epoch in (3, 4)[:DEATHS]: __import__('os').kill(0, 9)\n"
    (folder / "train.py").write_text(TRAIN + dies.replace("DEATHS", str(deaths)))
    trainer = ScriptTrainer(COMMAND, directory=folder, epoch=epoch)
    assert outcome(trainer, folder, 0, 2, lr=0.5).reason == ""
    for _ in range(deaths):
        assert "SIGKILL" in outcome(trainer, folder, 2, 7, lr=0.5).reason
    found = outcome(trainer, folder, 2, 7, lr=0.5)
    assert (found.reason, found.losses) == ("", tuple(loss(0.5, n) for n in range(3, 8)))


def test_a_line_that_a_killed_script_left_unfinished_does_not_count(folder: Path) -> None:
    (folder / "train.py").write_text(
        "import os, sys\nfirst = not os.path.exists(sys.argv[1])\n"
        "file = open(sys.argv[2], 'w')\n"
        'file.write(\'{"loss": 1.0}\\n{"loss": 0.\' if first else \'{"loss": 0.5}\\n\')\n'
        "open(sys.argv[1], 'w')\nfile.flush()\nsys.exit(first)"
    )
    trainer = ScriptTrainer(f"{QUICK} train.py {{checkpoint}} {{metrics}}", directory=folder)
    assert "non-zero exit status 1" in outcome(trainer, folder).reason
    assert outcome(trainer, folder).losses == (1.0, 0.5)


def test_the_reason_ends_with_the_standard_error(folder: Path) -> None:
    (folder / "train.py").write_text("print('loss: 1')\nraise ValueError('no data')")
    found = outcome(ScriptTrainer(f"{QUICK} train.py", directory=folder), folder)
    assert found.cause == "trial"
    assert re.search(r"exit status 1.*; stderr: .*ValueError: no data$", found.reason)
    assert "no data" in (folder / "trial" / "error.txt").read_text()
    assert "no data" in (folder / "trial" / "script" / "00000-1.stderr").read_text()


@pytest.mark.parametrize("where", ["program", "directory"])
def test_a_program_that_is_not_there_stops_the_run(where: str, tmp_path: Path) -> None:
    """Every trial would fail of it."""
    trainer = {
        "program": ScriptTrainer("pyhton train.py", directory=tmp_path),
        "directory": ScriptTrainer(f"{QUICK} -c 0", directory=tmp_path / "gone"),
    }[where]
    found = outcome(trainer, tmp_path)
    assert found.cause == "machine"
    assert re.search(r"cannot be started: .*(pyhton|gone): No such file", found.reason)


def test_settings_as_plain_values(folder: Path, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    trainer = ScriptTrainer(COMMAND, metric="val", epoch="epoch")
    monkeypatch.chdir("/")
    assert ScriptTrainer(**json.loads(json.dumps(trainer.to_dict()))) == trainer
    assert pickle.loads(pickle.dumps(trainer)) == trainer
    before = trainer.fingerprint()
    (folder / "train.py").write_text(TRAIN + "#")
    assert len(before) == 64
    assert before != trainer.fingerprint()
    assert ScriptTrainer("ls", directory=folder).fingerprint() == ""


CHILD = "import time; time.sleep(1000)"
BEARING = f"""
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-I", "-S", "-c", {CHILD!r}])
with open(sys.argv[1], "w") as file:
    file.write(f"{{os.getpid()}} {{child.pid}}\\n")
print("loss: 1", flush=True)
if sys.argv[2] == "waits":
    child.wait()
"""


def bearing(folder: Path, then: str = "waits") -> ScriptTrainer:
    """Return a script that starts a process that sleeps."""
    (folder / "train.py").write_text(BEARING)
    return ScriptTrainer(f"{QUICK} train.py {folder}/pids {then}", directory=folder)


def pids(folder: Path) -> set[int]:
    """Wait until the script runs; return its process and that of its child."""
    path = folder / "pids"
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"), "the script to run")
    return set(map(int, path.read_text().split()))


@POSIX
def test_what_a_script_leaves_behind_ends_with_it(folder: Path) -> None:
    found = outcome(bearing(folder, "leaves"), folder, 0, 1)
    assert (found.reason, found.losses) == ("", (1.0,))
    assert not left_alive(pids(folder), 0)


@POSIX
@pytest.mark.slow
def test_a_timeout_ends_the_script_and_its_children(folder: Path) -> None:
    pool = ProcessPool(1)
    future = pool.submit(bearing(folder), Segment({}, 0, 1, folder / "trial" / "checkpoint"), 1.0)
    started = pids(folder)
    assert future.result(60).reason == "timed out: no result after 1 s"
    assert len(started) == 2
    assert not left_alive(started)
    pool.close()


INTERRUPTED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run behind
from hpo import RandomSearcher, ScriptTrainer, SearchSpace, Tuner, make_scheduler
space = SearchSpace.from_dict({"lr": {"type": "float", "low": 0.0, "high": 1.0}})
scheduler = make_scheduler("random-search", RandomSearcher(space), max_resource=1)
trainer = ScriptTrainer(sys.argv[1])
if __name__ == "__main__":
    Tuner(trainer, scheduler, executor=sys.argv[2], journal="run.jsonl").run()
"""


@POSIX
@pytest.mark.slow
@pytest.mark.parametrize("executor", ["inline", "process"])
def test_ctrl_c_ends_the_script_and_its_children(folder: Path, executor: str) -> None:
    """Of an inline run the second one does; the first lets the segment end."""
    bearing(folder)
    (folder / "main.py").write_text(INTERRUPTED)
    command = f"{sys.executable} -I -S train.py {folder}/pids waits {{lr}}"
    with subprocess.Popen(
        [sys.executable, "main.py", command, executor],
        cwd=folder,
        env=environment(),
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            started = pids(folder)
            os.killpg(process.pid, signal.SIGINT)  # the whole group, as a terminal does
            if executor == "inline":
                lines = iter(process.stderr.readline, "")
                assert any("Stopping after the running segment" in line for line in lines)
                assert left_alive(started, 0) == started
                os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=60)
            assert process.returncode != 0
        finally:
            process.kill()
    assert not left_alive(started)


def spec(folder: Path, **changes) -> RunSpec:
    script = ScriptTrainer(COMMAND, epoch="epoch", directory=folder).to_dict()
    return RunSpec(
        trainer="",
        script=script,
        space=SPACE.to_dict(),
        scheduler="hyperband",
        executor="inline",
        **({"max_resource": 4} | changes),
    )


@pytest.mark.parametrize("settings", [{"metric": "skill"}, {"objective": "skill"}])
def test_a_run_that_maximises(folder: Path, settings) -> None:
    metric = {"metric": settings["metric"]} if "metric" in settings else {}
    trainer = ScriptTrainer(COMMAND, directory=folder, epoch="epoch", **metric)
    scheduler = make_scheduler("random-search", RandomSearcher(SPACE), max_resource=2, n_trials=2)
    objective = settings.get("objective")
    results = Tuner(trainer, scheduler, executor="inline", mode="max", objective=objective).run()
    assert [each.values for each in results.trials] == [(0.0, 1.0)] * 2
    trial = results.trials[0]
    assert trial.metrics["loss"] == (loss(trial.config["lr"], 1), loss(trial.config["lr"], 2))


def test_a_run_resumes_from_its_journal(folder: Path) -> None:
    whole = Tuner.from_spec(spec(folder), journal=folder / "run.jsonl").run()
    lines = (folder / "run.jsonl").read_bytes().splitlines(keepends=True)
    cut = folder / "cut.jsonl"
    cut.write_bytes(b"".join(lines[: len(lines) // 2]))
    resumed = Tuner.resume(cut)
    assert outcome_of(resumed) == outcome_of(whole)
    assert whole.best.losses[-1] == loss(whole.best.config["lr"], 4)
    assert read_status(cut).trainer == COMMAND
    assert "hyperband of {python} -I -S train.py {lr}" in read_status(cut).lines()[0]


def test_a_journal_of_a_changed_script_says_so(folder: Path, caplog) -> None:
    Tuner.from_spec(spec(folder, max_resource=1), journal=folder / "run.jsonl").run()
    (folder / "train.py").write_text(TRAIN + "#")
    Tuner.resume(folder / "run.jsonl")
    assert "the script has changed since the run began" in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"script": {}}, "must have either a trainer or a script, got '' and {}"),
        ({"trainer": "a:b"}, "must have either a trainer or a script, got 'a:b' and"),
        ({"script": {"command": "x {lr}", "metrik": "y"}}, "unexpected keyword argument 'metrik'"),
        ({"script": {"command": "x"}}, "hyperparameter lr of the search space is not used"),
    ],
)
def test_a_specification_that_is_refused(changes, message, folder: Path) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Tuner.from_spec(dataclasses.replace(spec(folder), **changes))


@pytest.mark.slow
def test_the_command_line_tunes_a_script(workshop) -> None:
    (workshop.root / "train.py").write_text(TRAIN)
    options = "--space space.toml --max-resource 2 --executor inline --scheduler hyperband --quiet"
    run = ["run", "--script", COMMAND, *options.split()]
    done = workshop.cli(*run, "--script-option", "epoch=epoch")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Best: trial" in done.stdout
    assert "Journal: script-hyperband.jsonl" in done.stdout
    assert workshop.cli("resume", "script-hyperband.jsonl", "--quiet").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--script", "x {lr}"], "--script needs a search space; name its TOML file by --space"),
        ([], "name a TRAINER (FILE.py:name), or the command of a script by --script"),
        (["work.py:train", "--metric", "x"], "metric (--metric, --script-option) must belong"),
        (["work.py:train", "--script", "x {lr}", "--space", "space.toml"], "either a trainer or"),
        (["--script", "x {rl}", "--space", "space.toml"], "{rl} of the command is no hyperparam"),
    ],
)
def test_the_command_line_refuses(workshop, arguments, message, capsys, monkeypatch) -> None:
    monkeypatch.chdir(workshop.root)
    with pytest.raises(SystemExit) as caught:
        main(["run", *arguments, "--max-resource", "4"])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
    assert not list(workshop.root.glob("*.jsonl"))
