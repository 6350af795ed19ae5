"""Text of others is shown as it is: in terminals, HTML, CSV, figures, databases and trackers."""

from __future__ import annotations

import ast
import csv
import io
import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from rich.console import Console

import hpo
from hpo.cli import main
from hpo.errors import MissingPackageError, import_optional
from hpo.integrations.tracking import track
from hpo.report import read_run, render, write_report
from hpo.run.progress import RichProgress
from hpo.run.results import Results
from hpo.text import cell, csv_cell, html_text, label, plain, shell_word, visible
from workshop import environment

HIDDEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
NAMES = ("[/red]", "a]b[", "\x1b[31m", "\u202egnp", "=cmd", "$x^$", "<b>&", ":bomb:", "caf\udce9")
VALUES = ("[bold]", "[/]", "=1+1", "+1", "@A1", "-0.5", "\x1b]0;t\x07", "\x9b2J", "a\nb", "$\\f{")
MESSAGE = "expected input[batch, 3], got [/red] =1+1 \x1b[31m \x9b2J \u202e \udce9"
REASON = MESSAGE.replace("\udce9", r"\udce9")  # reasons of failures are valid Unicode
TRAINER = f"""
def train(config, start, stop, checkpoint):
    if config["[/red]"] == "[/]":
        raise ValueError({MESSAGE!a})
    return [config["lr"] + 1 / (unit + 1) for unit in range(start, stop)]
"""
FOLDER = "d\udce9\x1b[31m[r]$x^$"


@pytest.fixture
def hostile(workshop, monkeypatch):
    """A journal and a trainer in a folder of an odd name, run by the command line."""
    from hpo.run.spec import RunSpec
    from hpo.run.tuner import Tuner

    root = workshop.root / FOLDER
    root.mkdir()
    (root / "work.py").write_text(TRAINER)
    choices = {name: {"type": "categorical", "choices": list(VALUES)} for name in NAMES}
    spec = RunSpec(
        trainer=f"{root / 'work.py'}:train",
        space={"lr": {"type": "float", "low": -1.0, "high": 1.0}, **choices},
        max_resource=9,
        scheduler="hyperband",
        executor="inline",
        max_retries=0,
    )
    monkeypatch.chdir(root)
    monkeypatch.setenv("COLUMNS", "400")
    journal = root / f"run{FOLDER}.jsonl"
    Tuner.from_spec(spec, journal=journal).run()
    return journal


def call(capsys, *args: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main([str(arg) for arg in args])
    out, err = capsys.readouterr()
    assert not HIDDEN.search(out + err)
    return int(caught.value.code or 0), out, err


def test_the_terminal_shows_everything(hostile, capsys) -> None:
    for args in (("report", hostile, "--top", 1000), ("resume", hostile, "--quiet")):
        code, out, err = call(capsys, *args)
        assert (code, err) == (0, "")
        assert r"Journal: " in out
        assert "Best: trial" in out
    output = io.StringIO()
    Console(file=output, width=1000).print(Results.from_journal(hostile).table(1000))
    for text in (*NAMES, *VALUES, REASON):
        assert visible(text) in output.getvalue()
    assert not HIDDEN.search(output.getvalue())


def test_a_trainer_and_a_space_of_odd_names(hostile, capsys) -> None:
    Path("space.toml").write_text('[lr]\ntype = "float"\nlow = 0.0\nhigh = 1.0\n["[/red]"]\n'
                                  'type = "categorical"\nchoices = ["[/]", "x"]\n')  # fmt: skip
    code, out, err = call(
        capsys, "run", f"{hostile.parent / 'work.py'}:train", "--space", "space.toml",
        "--max-resource", 4, "--executor", "inline", "--scheduler", "hyperband",
        "--journal", "\x1b[1m.jsonl",
    )  # fmt: skip
    assert code == 0
    assert "epochs:" in err  # the progress, of which a line is left
    assert r"Journal: \x1b[1m.jsonl" in out
    (hostile.parent / "work.py").unlink()
    code, _, err = call(capsys, "resume", "\x1b[1m.jsonl")
    assert (code, err.count("\n")) == (2, 1)
    assert visible(FOLDER) in err


def test_csv(hostile, tmp_path) -> None:
    Results.from_journal(hostile).write_csv(tmp_path / "out.csv")
    raw = (tmp_path / "out.csv").read_text(encoding="utf-8")
    assert not HIDDEN.search(raw)
    rows = list(csv.DictReader(io.StringIO(raw)))
    assert len(rows) == len(raw.splitlines()) - 1
    values = {row["config_[/red]"] for row in rows}
    assert values <= {"[bold]", "[/]", "'=1+1", "+1", "'@A1", "-0.5", r"\x1b]0;t\x07",
                      r"\x9b2J", r"a\nb", "$\\f{"}  # fmt: skip
    assert values >= {"'=1+1", "-0.5", "'@A1"}
    assert any(float(row["config_lr"]) < 0 for row in rows)  # no apostrophe before a number
    assert not any(cell_.startswith(("=", "@")) for row in rows for cell_ in row.values())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("=1+1", "'=1+1"),
        ("+SUM(A1)", "'+SUM(A1)"),
        ("-2+3", "'-2+3"),
        ("@x", "'@x"),
        (" =1", "' =1"),
        ("\uff1d1", "'\uff1d1"),
        ("\t=1", "\\t=1"),
        ("\r=1", "\\r=1"),
        ("-0.5", "-0.5"),
        ("+3", "+3"),
        ("-1e-5", "-1e-5"),
        ("-inf", "-inf"),
        (-0.5, -0.5),
        (-3, -3),
        (None, None),
        (True, True),
        ("a,b", "a,b"),
    ],
)
def test_cells_of_csv(value, expected) -> None:
    assert csv_cell(value) == expected


def test_html(hostile) -> None:
    page = render(read_run(hostile))
    page.encode("utf-8")
    assert not HIDDEN.search(page)
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    assert not HIDDEN.search(json.dumps(data, ensure_ascii=False))
    assert set(data["trials"][0]["config"]) == {"lr", *map(visible, NAMES)}
    assert any(r"input[batch, 3], got [/red] =1+1 \x1b[31m" in t["reason"] for t in data["trials"])
    assert "<b>&<" not in page


def test_figures(hostile, tmp_path) -> None:
    from hpo.report.plots import plot_curves, save_figures

    run = Results.from_journal(hostile)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        paths = save_figures({hostile.stem: run, "$\\frac{": run}, tmp_path / "figures")
    assert len(paths) == 3
    assert all(path.stat().st_size > 1000 for path in paths)
    ax = plot_curves(run, title="$x_1$ \x1b")
    assert ax.get_title() == r"\$x_1\$ \x1b"  # which Matplotlib draws as $x_1$ \x1b


@pytest.mark.parametrize(
    "losses",
    [
        (1e300, 1e299),
        (1e308, -1e308),
        (5e-324, 1e308),
        (float("nan"), float("inf")),
        (1e300, 1e300),
    ],
)
def test_figures_of_any_losses(workshop, losses, monkeypatch, capsys) -> None:
    monkeypatch.chdir(workshop.root)
    workshop.write_trainer(
        f"nan, inf = float('nan'), float('inf')\n\n\n"
        f"def train(config, start, stop, checkpoint):\n"
        f"    places = [(unit + int(99 * config['lr'])) % 2 for unit in range(start, stop)]\n"
        f"    return [{losses!r}[place] for place in places]\n"
    )
    main_args = workshop.run_args()
    with pytest.raises(SystemExit):
        main([*main_args, "--quiet"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(SystemExit) as caught:
            main(["report", "run.jsonl", "--figures", "figures", "--html", "page.html"])
    assert caught.value.code in (0, 1)
    assert "Traceback" not in capsys.readouterr().err
    assert {"regret.png", "run-curves.png"} <= {path.name for path in Path("figures").iterdir()}


def test_optuna_export(hostile, tmp_path, capsys, quiet_optuna) -> None:
    import optuna

    from hpo.integrations.optuna import export_journal

    code, out, _ = call(capsys, "export", hostile, "sqlite:///study.db")
    assert (code, "trials added" in out) == (0, True)
    done = export_journal(hostile, tmp_path / "study.log")
    assert done.study == visible(hostile.stem)
    study = optuna.load_study(study_name=done.study, storage="sqlite:///study.db")
    names = {name for trial in study.trials for name in trial.params}
    assert names == {"lr", *map(visible, NAMES)}
    reasons = [t.user_attrs["reason"] for t in study.trials if "reason" in t.user_attrs]
    assert any("input[batch, 3]" in reason for reason in reasons)
    assert not any(map(HIDDEN.search, reasons))


def test_tensorboard(hostile, tmp_path) -> None:
    pytest.importorskip("tensorboard")
    from hpo.integrations.tensorboard import TensorBoardTracker

    track(Results.from_journal(hostile), TensorBoardTracker(tmp_path / "logs"))
    assert list((tmp_path / "logs").iterdir())


def test_mlflow_takes_any_names() -> None:
    from hpo.integrations.mlflow import _params

    config = {
        "a$": 1,
        "a#": 2,
        "a_": 3,
        "": 4,
        "..": 5,
        "/x": 6,
        "x" * 300: "y" * 9000,
        "\x1b": "\ud800",
    }
    params = _params(config)
    assert len(params) == len(config)
    assert all(re.fullmatch(r"[\w .:/-]{1,250}", name, re.ASCII) for name in params)
    assert all(len(value) <= 500 and not HIDDEN.search(value) for value in params.values())


def test_progress_has_no_markup() -> None:
    output = io.StringIO()
    progress = RichProgress("[/red] :bomb: \x1b[31m", Console(file=output, width=200))
    progress.announce("Budget: [bold]\x1b[31m :bomb:")
    with progress:
        pass
    assert r"Budget: [bold]\x1b[31m :bomb:" in output.getvalue()
    assert r"[/red] :bomb: \x1b[31m" in output.getvalue()
    assert not HIDDEN.search(output.getvalue())


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_encoding(hostile, encoding) -> None:
    """Also where the terminal's encoding lacks a letter, and for paths that are no Unicode."""
    env = environment() | {"LC_ALL": "C", "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    env |= {"PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "hpo", "report", os.fsencode(hostile)],
        env=env, capture_output=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert rb"Journal: " in done.stdout
    assert rb"\xe9\x1b[31m" in done.stdout  # as text
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", done.stdout)


@pytest.mark.parametrize("command", ["report", "resume"])
def test_a_closed_pipe_ends_quietly(hostile, command) -> None:
    script = f"{sys.executable} -m hpo {command} {shell_word(hostile)} | head -c 10"
    script += "; echo ${PIPESTATUS[0]}"
    done = subprocess.run(
        ["bash", "-c", script], env=environment() | {"PYTHONUNBUFFERED": "1"},
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    assert "Exception" not in done.stderr
    assert done.stdout.split()[-1] in ("141", "0")  # 0: it had written all before


def test_a_pipe_that_nobody_reads_is_exit_code_141(hostile) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "hpo", "report", os.fsencode(hostile)],
        env=environment(), stdout=writer, stderr=subprocess.PIPE, check=False, timeout=100,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_below_the_output_is_said(hostile) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "hpo", "report", os.fsencode(hostile)],
            env=environment(), stdout=full, stderr=subprocess.PIPE, check=False, timeout=100,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == b"Error: cannot write to standard output: No space left on device\n"


@pytest.mark.parametrize(
    "path", ["a b.jsonl", "caf\udce9.jsonl", "a'b\x1b\\[x].jsonl", "日本", "-x"]
)
def test_a_path_can_be_pasted_into_a_shell(path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"printf %s {shell_word(path)}"], capture_output=True, check=True
    )
    if path.startswith("-"):
        assert shell_word(path) == path
    assert done.stdout == os.fsencode(path)
    assert not HIDDEN.search(shell_word(path))


@pytest.mark.parametrize("text", ["plain", "日本 é 👩‍👩‍👧", "می‌خواهم", "nb\u00a0sp", "a\\b", "´~"])
def test_text_without_hidden_characters_stays(text) -> None:
    assert visible(text) == text


def test_visible_text_stays_visible() -> None:
    every = "".join(map(chr, range(0x3000))) + "\ud800\udfff\U000e0001\ufeff"
    assert visible(visible(every)) == visible(every)
    assert not HIDDEN.search(visible(every).replace("\n", ""))
    assert visible("a\nb", lines=True) == "a\nb"
    assert visible("\udce9\x9b\u2028\U000e0001") == r"\xe9\x9b\u2028\U000e0001"
    assert cell("[b]\x1b").plain == r"[b]\x1b"
    assert html_text("<\x1b>") == r"&lt;\x1b&gt;"
    assert label("$a$") == r"\$a\$"
    assert plain({"\x1b": ["\x9b", 1, None]}) == {r"\x1b": [r"\x9b", 1, None]}


def test_a_closed_display_does_not_end_the_run(workshop) -> None:
    workshop.slow(0.02)
    reader, writer = os.pipe()
    os.close(reader)
    script = (
        "from hpo.run.progress import RichProgress; RichProgress.LINES_EVERY = 0.1\n"
        "from hpo.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *workshop.run_args()],
        cwd=workshop.root, env=environment(), stdout=subprocess.PIPE, stderr=writer, check=False,
        timeout=100,
    )  # fmt: skip
    os.close(writer)
    assert done.returncode == 0
    assert b"Best: trial" in done.stdout


def test_a_trainer_in_a_folder_that_is_no_unicode(workshop) -> None:
    """Worker processes, checkpoints and a resume below a path in latin-1."""
    root = workshop.root / "caf\udce9 [x]"
    root.mkdir()
    (root / "work.py").write_text(workshop.trainer.read_text())
    (root / "work.toml").write_text(workshop.space.read_text())
    command = [sys.executable, "-m", "hpo"]
    run = ["run", "work.py:train", "--max-resource", "4", "--scheduler", "hyperband", "--quiet"]
    for args in ([*run, "--workers", "2"], ["resume", "work-hyperband.jsonl", "--quiet"]):
        done = subprocess.run(
            [*command, *args], cwd=root, env=environment(), capture_output=True, check=False,
            timeout=100,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stderr == b""


def test_the_traceback_of_an_odd_message_is_kept(hostile) -> None:
    kept = [path.read_text("utf-8") for path in Path().rglob("error.txt")]
    assert any("expected input[batch, 3]" in text and r"\udce9" in text for text in kept)


def test_nothing_prints_but_through_the_module_of_text() -> None:
    """Rich is given cells; what a trainer's own process printed is passed on as it is."""
    root = Path(hpo.__file__).parents[1]
    passed_on = {"hpo/trainers/torch/launch.py"}
    found = []
    for path in [*root.glob("hpo/**/*.py"), *root.glob("qsvr/**/*.py")]:
        place = path.relative_to(root).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and place not in passed_on:
                name = ast.unparse(node.func)
                if name == "print" or name.endswith((".echo", ".secho")):
                    found.append((place, node.lineno, name))
    assert not found


@pytest.mark.slow
def test_the_page_shows_it_in_a_browser(hostile, browser, tmp_path) -> None:
    path = write_report(read_run(hostile), tmp_path / "page.html")
    browser.errors.clear()
    browser.open(path.as_uri(), ready="document.documentElement.dataset.ready === 'yes'")
    text = browser.evaluate("document.body.innerText")
    for each in (*NAMES, *VALUES, REASON):
        assert visible(each) in text
    assert not HIDDEN.search(text.replace("\t", " "))
    assert browser.evaluate("document.title") == visible(hostile.stem)
    assert browser.errors == []


@pytest.mark.slow
def test_the_page_of_huge_losses_in_a_browser(workshop, browser, monkeypatch) -> None:
    monkeypatch.chdir(workshop.root)
    workshop.write_trainer(
        "def train(config, start, stop, checkpoint):\n"
        "    return [10.0 ** (600 * config['lr'] - 300) for _ in range(start, stop)]\n"
    )
    workshop.space.write_text(
        '[lr]\ntype = "float"\nlow = 0.0\nhigh = 1.0\n["constructor"]\ntype = "int"\nlow = 0\n'
        f"high = {2**60}\nwhen = {{ __proto__ = 1 }}\n"
        "[__proto__]\ntype = 'int'\nlow = 0\nhigh = 1\n"
    )
    for args in ([*workshop.run_args(), "--quiet"], ["report", "run.jsonl", "--html", "page.html"]):
        with pytest.raises(SystemExit):
            main(args)
    browser.errors.clear()
    ready = "document.documentElement.dataset.ready === 'yes'"
    browser.open((workshop.root / "page.html").as_uri(), ready=ready)
    text = browser.evaluate("document.body.innerText")
    assert browser.errors == []
    assert "NaN" not in text
    assert "native code" not in text
    assert "[object Object]" not in text


def test_a_missing_package_is_named_by_the_name_that_is_installed(monkeypatch):
    def missing(module):
        raise ModuleNotFoundError("none", name=module.partition(".")[0])

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(MissingPackageError, match=r"^figure needs matplotlib, which is not"):
        import_optional("matplotlib.figure", "figure", "plot")
