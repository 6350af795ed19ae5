"""Command lines, spaces and options by a grammar: only documented errors, and never a traceback.

A hundred by default, 2,500 with ``THOROUGH=1``. A failing call is repeated by its number:
``FUZZ_CALL=1234``.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

import cli_grammar
from hpo.cli import main, parse_options
from hpo.errors import UsageError
from hpo.predictors.registry import PREDICTORS
from hpo.run.spec import RunSpec
from hpo.schedulers.registry import SCHEDULERS, scheduler_options
from hpo.searchers.optuna import from_search, to_search
from hpo.searchers.registry import SEARCHERS, searcher_options
from hpo.space import SearchSpace

THOROUGH = os.environ.get("THOROUGH") == "1"
N_CALLS = 2500 if THOROUGH else 100
N_PARTS = 10
DOCUMENTED = {0, 1, 2, 130}
# What Python says of its own, which tells a user nothing.
INTERNAL = re.compile(
    r"not supported between|unsupported operand|unexpected keyword|required positional|"
    r"multiple values|has no attribute|not subscriptable|not iterable|is not callable|NoneType|"
    r"object cannot be interpreted|too large to convert|Traceback|codec can't|"
    r"out of range:|index out of range|sys\.set_int|Errno"
)
HIDDEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
KEPT = ["run", "work.py:train", "--space", "space.toml", "--max-resource", "4", "--quiet"]
KEPT += ["--scheduler", "hyperband", "--executor", "inline", "--journal", "kept.jsonl"]
TRAINER = """
CALLS = []


def train(config, start, stop, checkpoint):
    CALLS.append(start)
    if len(CALLS) > 60:  # valid settings may ask for a million trials
        CALLS.clear()
        raise KeyboardInterrupt
    if len(CALLS) % 7 == 0:
        raise ValueError("[red]expected input[batch, 3] \\x1b[31m")
    value = config.get("lr")
    rate = float(value) if isinstance(value, int | float) else 0.5
    huge = 1e300 if len(CALLS) % 11 == 0 else 1.0
    return [huge * abs(rate - 0.3) + 1 / (unit + 1) for unit in range(start, stop)]
"""


@pytest.fixture
def files(workshop, monkeypatch) -> dict[str, str]:
    """The files that command lines name; every call has a copy of its own."""
    monkeypatch.chdir(workshop.root)
    monkeypatch.setenv("COLUMNS", "100")
    workshop.write_trainer(TRAINER)
    (workshop.root / "bytes.csv").write_bytes(bytes(range(256)))
    (workshop.root / "folder").mkdir()
    with pytest.raises(SystemExit):
        main(KEPT)
    names = {"trainer": "work.py:train", "folder": "folder", "bytes": "bytes.csv"}
    return names | {"space": "fuzz.toml", "journal": "fuzz.jsonl", "table": "table.csv"}


def prepared(random: Random, root: Path) -> None:
    """Put the files of one call in place, and take away what the last one left."""
    kept = {"work.py", "bytes.csv", "folder", "kept.jsonl", "kept.checkpoints", "space.toml"}
    for path in root.iterdir():
        if path.name not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copy(root / "kept.jsonl", root / "fuzz.jsonl")
    shutil.copytree(root / "kept.checkpoints", root / "fuzz.checkpoints")
    (root / "fuzz.toml").write_bytes(cli_grammar.toml(random, cli_grammar.space(random)))
    (root / "table.csv").write_bytes(cli_grammar.table(random))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*:UserWarning", "ignore:.*:RuntimeWarning:sklearn")
@pytest.mark.parametrize("part", range(N_PARTS))
def test_command_lines(part, files, workshop, capsys, quiet_optuna) -> None:
    """Exit codes 0, 1, 2 and 130 only; a usage error is one line that Python would not write."""
    only = os.environ.get("FUZZ_CALL")
    faults = []
    for number in range(part, N_CALLS, N_PARTS):
        if only is not None and number != int(only):
            continue
        random = Random(number)
        prepared(random, workshop.root)
        args = cli_grammar.command(random, files)
        try:
            with pytest.raises(SystemExit) as caught:
                main(args)
            code = int(caught.value.code or 0)
            fault = "" if code in DOCUMENTED else f"exit code {code}"
        except BaseException as error:
            if only is not None:
                raise
            code, fault = -1, f"{type(error).__name__}: {str(error)[:200]}"
        out, err = capsys.readouterr()
        fault = fault or fault_of(code, out, err)
        if fault:
            faults.append((number, fault, [arg[:60] for arg in args]))
    assert not faults, f"{len(faults)} faults\n" + "\n".join(map(repr, faults))


def fault_of(code: int, out: str, err: str) -> str:
    """Return what is wrong with the text of a call; empty for nothing."""
    if code == 2 and not err.startswith("Usage: "):
        if not err.startswith("Error: ") or err.count("\n") != 1:
            return f"no single line: {err[:300]!r}"
        if INTERNAL.search(err):
            return f"unclear: {err[:300]!r}"
    if code == 0 and "Error" in err:
        return f"an error with exit code 0: {err[:300]!r}"
    found = HIDDEN.search(out + err)
    return f"hidden {found[0]!r}" if found else ""


@pytest.mark.parametrize("part", range(N_PARTS))
@pytest.mark.filterwarnings("ignore:.*divisible by `step`:UserWarning")
def test_spaces(part) -> None:
    """A space is refused with a ValueError, or does everything that a search asks of it."""
    accepted = 0
    for number in range(part, N_CALLS, N_PARTS):
        spec = cli_grammar.space(Random(number))
        space = accepted_or_refused(SearchSpace.from_dict, spec, number)
        if space is not None:
            accepted += 1
            used(space, number)
    assert accepted > N_CALLS / N_PARTS / 10


def accepted_or_refused(build: Callable[..., SearchSpace], spec: Any, number: int) -> Any:
    """Return a space, or None where a clear ValueError refuses it."""
    message = ""
    try:
        return build(spec)
    except UnicodeError:
        raise
    except ValueError as error:
        message = str(error)
    assert not INTERNAL.search(message), (number, message)
    return None


def used(space: SearchSpace, number: int) -> None:
    """Do with a space what searchers do."""
    rng = np.random.default_rng(number)
    configs = [space.sample(rng) for _ in range(3)]
    configs += [space.without_absent(each) for each in space.samples(rng, 3)]
    for config in configs:
        space.validate(config)
        assert np.isfinite(space.to_features(config)).all(), (number, config)
    assert len(space.feature_names) == len(space.to_features(configs[0]))
    again = SearchSpace.from_dict(space.to_dict())
    assert repr(again.to_dict()) == repr(space.to_dict()), number
    for domain in space.domains.values():
        assert all(value in domain for value in domain.grid(3)), (number, domain)
        assert domain.size is None or domain.size > 0
    from_search(space, to_search(space, configs[0]))


@pytest.mark.parametrize("part", range(N_PARTS))
def test_toml(part, tmp_path) -> None:
    """A damaged file is refused with a ValueError that names it."""
    path = tmp_path / "space.toml"
    for number in range(part, N_CALLS, N_PARTS):
        random = Random(number)
        path.write_bytes(cli_grammar.toml(random, cli_grammar.space(random)))
        accepted_or_refused(SearchSpace.from_toml, path, number)


def test_export_to_a_locked_database(files, workshop, capsys, quiet_optuna) -> None:
    locked = sqlite3.connect("study.db", isolation_level=None)
    locked.execute("CREATE TABLE t (x)")
    locked.execute("BEGIN EXCLUSIVE")
    with pytest.raises(SystemExit) as caught:
        main(["export", "kept.jsonl", "sqlite:///study.db?timeout=0.1"])
    assert caught.value.code == 2
    _, err = capsys.readouterr()
    assert "database is locked" in err
    assert err.count("\n") == 1
    locked.close()


def test_a_password_is_not_printed(files, capsys, quiet_optuna) -> None:
    with pytest.raises(SystemExit):
        main(["export", "kept.jsonl", "nodb://user:hunter2@host/x?password=hunter2"])
    assert "hunter2" not in capsys.readouterr().err


def test_export_never_appends_to_another_file(files, workshop, capsys, quiet_optuna) -> None:
    from hpo.integrations.optuna import export_journal

    for name in ("kept.jsonl", "work.py"):
        before = (workshop.root / name).read_bytes()
        with pytest.raises(SystemExit) as caught:
            main(["export", "kept.jsonl", name])
        assert caught.value.code == 2
        assert (workshop.root / name).read_bytes() == before
    with pytest.raises(UsageError, match="journal of Optuna"):
        export_journal(workshop.root / "kept.jsonl", "work.py")


def values_of_options() -> list[Any]:
    values = []
    for text in cli_grammar.VALUES:
        with contextlib.suppress(UsageError):  # beyond all measure
            values.append(parse_options([f"x={text}"])["x"])
    return values


@pytest.mark.parametrize("name", SCHEDULERS)
def test_each_option_of_a_scheduler(name) -> None:
    """It is refused by its name, or the scheduler begins."""
    space = SearchSpace.from_dict({"lr": {"type": "float", "low": 0.0, "high": 1.0}})
    for option in (*scheduler_options(name), "seed", "name", "searcher", "x"):
        for value in values_of_options():
            spec = RunSpec(
                "work.py:train", space.to_dict(), 4, name, scheduler_options={option: value}
            )
            begun_or_refused(lambda spec=spec: spec.build_scheduler().ask(), option, value)


@pytest.mark.parametrize("name", SEARCHERS)
def test_each_option_of_a_searcher(name) -> None:
    space = SearchSpace.from_dict({"lr": {"type": "float", "low": 0.0, "high": 1.0}})
    for option in (*searcher_options(name), "seed", "name", "space", "x"):
        for value in values_of_options():
            spec = RunSpec(
                "work.py:train", space.to_dict(), 4, searcher=name, searcher_options={option: value}
            )
            begun_or_refused(lambda spec=spec: spec.build_scheduler().ask(), option, value)


@pytest.mark.parametrize("name", PREDICTORS)
def test_each_option_of_a_predictor(name) -> None:
    options = [option for option in cli_grammar.PREDICTOR_OPTIONS if option != "forecasters"]
    for option in options:
        for value in values_of_options():
            spec = RunSpec(
                "work.py:train", {}, 4, "hyperband", predictor=name,
                predictor_options={option: value},
            )  # fmt: skip
            begun_or_refused(spec.build_predictor, option, value)


def begun_or_refused(build: Callable[[], Any], option: str, value: Any) -> None:
    message = option
    try:
        build()
    except UsageError as error:
        message = str(error)
    assert option in message, (option, value, message)
    assert not INTERNAL.search(message), (option, value, message)
