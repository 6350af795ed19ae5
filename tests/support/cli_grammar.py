"""A grammar of command lines, spaces and options: half sensible, half what people and scripts do.

Each function draws one word of the language with a seeded `random.Random`, so that a failing call
is repeated by its number alone.
"""

from __future__ import annotations

import json
import math
from random import Random
from typing import Any

from hpo.predictors.registry import PREDICTORS
from hpo.schedulers.registry import SCHEDULERS, scheduler_options
from hpo.searchers.registry import SEARCHERS, searcher_options

HOSTILE = (
    "[/red]", "[bold]x", "a]b[", "\x1b[31mred\x1b[0m", "\x9b2J", "\u202egnp.exe", "line\nfeed",
    "=1+1", "@SUM(A1)", "-0.5", "+x", "\ttab", "<b>&amp;", "$x_1$", "$\\frac{", "caf\udce9",
    "\ud800", "日本", ":bomb:", "%s %d {0}", "'\"`", "__proto__", "", " ", "x" * 300, "nul\0byte",
    "\u2028", "\\",
)  # fmt: skip
NUMBERS = (
    "0", "1", "2", "3", "-1", "7", "0.5", "1.5", "-0.5", "1e400", "-1e400", "nan", "inf", "1e308",
    "5e-324", str(2**31), str(2**53 + 1), str(2**63 - 1), str(2**63), str(10**30), "9" * 5000,
)  # fmt: skip
VALUES = (
    *NUMBERS, "NaN", "Infinity", "true", "false", "null", "text", '"quoted"', "[]", "[1, 2]", "{}",
    '{"a": 1}', "[" * 100_000, "=", "a=b", "stable", "stopping", *HOSTILE,
)  # fmt: skip
PLAIN = (
    0, 1, 2, 3, -1, 0.5, 1e-3, 1e308, -1e308, 5e-324, math.nan, math.inf, True, False, None,
    2**53 + 1, 2**63, -(2**63), 10**30, 10**400, 1.0, "adam", "nan", [], [1], ["a", "b"],
    [math.nan], {}, {"a": 1}, [[1]], *HOSTILE,
)  # fmt: skip


def mostly(random: Random, good: Any, bad: tuple[Any, ...], share: float = 0.7) -> Any:
    """Return `good`, or now and then one of `bad`."""
    return good if random.random() < share else random.choice(bad)


_GOOD: tuple[dict[str, Any], ...] = (
    {"type": "categorical", "choices": [each for each in HOSTILE if each != "\ud800"]},
    {"type": "categorical", "choices": [True, 1, "1", None, 2.5, math.inf, 2**63 - 1]},
    {"type": "int", "low": -(2**62), "high": 2**61},
    {"type": "int", "low": 1, "high": 2**62, "log": True},
    {"type": "float", "low": -8e307, "high": 8e307},
    {"type": "float", "low": 5e-324, "high": 1e-20, "log": True},
    {"type": "float", "low": 0.0, "high": 1.0, "step": 0.25},
    {"type": "constant", "value": "[/x]"},
    {"type": "scipy", "name": "norm", "args": [0.0, 1.0]},
    {"type": "int", "low": 1, "high": 3, "when": {"lr": 0.5}},
)


def domain(random: Random, names: list[str]) -> Any:
    """Return the specification of a domain, as TOML or Python has it."""
    low = mostly(random, random.choice((0.0, 1e-4, 1.0)), PLAIN, 0.8)
    high = mostly(random, random.choice((2.0, 10.0)), PLAIN, 0.8)
    kinds: tuple[dict[str, Any], ...] = (
        {"type": "float", "low": low, "high": high},
        {"type": "float", "low": low, "high": high, "log": mostly(random, good=True, bad=PLAIN)},
        {"type": "float", "low": low, "high": high, "step": mostly(random, 0.5, PLAIN, 0.6)},
        {"type": "int", "low": mostly(random, 1, PLAIN), "high": mostly(random, 9, PLAIN)},
        {"type": "int", "low": 1, "high": mostly(random, 9, PLAIN), "log": True},
        {"type": "categorical", "choices": mostly(random, ["a", "b"], PLAIN, 0.5)},
        {"type": "categorical", "choices": random.sample(PLAIN, random.randint(0, 4))},
        {"type": "constant", "value": random.choice(PLAIN)},
        {
            "type": "scipy",
            "name": random.choice(("norm", "uniform", "randint", "cauchy", "zipf", "x", 3, "os")),
            "args": mostly(random, [0.0, 1.0], PLAIN, 0.6),
            **({"kwds": random.choice(PLAIN)} if random.random() < 0.3 else {}),
        },
    )
    table = random.choice(kinds)
    if random.random() < 0.1:
        table[random.choice(("type", "extra", "low", *HOSTILE))] = random.choice(PLAIN)
    if random.random() < 0.1:
        del table[random.choice(list(table))]
    if random.random() < 0.25:
        parents = {random.choice((*names, "absent")): random.choice(PLAIN) for _ in range(2)}
        table["when"] = mostly(random, parents, PLAIN, 0.8)
    if random.random() < 0.1:
        return random.choice(PLAIN)
    return table


def space(random: Random) -> dict[str, Any]:
    """Return a space, good ones under any names among them."""
    if random.random() < 0.4:
        return {"lr": {"type": "float", "low": 0.0, "high": 1.0}} | {
            mostly(random, "p", HOSTILE): random.choice(_GOOD) for _ in range(random.randint(0, 3))
        }
    names = ["lr"] if random.random() < 0.8 else []
    names += [mostly(random, f"p{n}", HOSTILE) for n in range(random.randint(0, 3))]
    found = {name: domain(random, names) for name in names}
    if names[:1] == ["lr"] and random.random() < 0.7:
        found["lr"] = {"type": "float", "low": 0.0, "high": 1.0}
    return found


def toml(random: Random, spec: dict[str, Any]) -> bytes:
    """Return a space as TOML, with damage now and then."""
    lines = []
    for name, value in spec.items():
        if isinstance(value, dict):
            lines.append(f"[{_key(name)}]")
            lines += [f"{_key(key)} = {_toml(item)}" for key, item in value.items()]
        else:
            lines.insert(0, f"{_key(name)} = {_toml(value)}")
    raw = "\n".join(lines).encode("utf-8", "replace")
    if random.random() < 0.1:
        place = random.randrange(len(raw) + 1)
        damage = random.choice(
            (b"", b"\xff", b"\0", b"[", b"=", b"\xef\xbb\xbf", b"x = " + b"[" * 9999)
        )
        raw = raw[:place] + damage + raw[place + random.randint(0, 3) :]
    return raw


def _key(name: str) -> str:
    return json.dumps(name.encode("utf-8", "replace").decode())


def _toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case None:
            return '"none"'
        case float() | int():
            return "9" * 5000 if isinstance(value, int) and value == 10**400 else str(value)
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case dict():
            return "{" + ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    return json.dumps(str(value).encode("utf-8", "replace").decode())


def options(random: Random, flag: str, names: tuple[str, ...], share: float) -> list[str]:
    """Return options of the form ``--x-option NAME=VALUE``, most often none."""
    found: list[str] = []
    while random.random() < share:
        name = mostly(
            random, random.choice(names) if names else "x", ("seed", "name", *HOSTILE), 0.8
        )
        value = mostly(random, random.choice(("1", "2", "3", "0.5", "true")), VALUES, 0.6)
        pair = mostly(random, f"{name}={value}", HOSTILE, 0.95)
        found += [f"{flag}", pair] if random.random() < 0.5 else [f"{flag}={pair}"]
    return found


def run(random: Random, files: dict[str, str]) -> list[str]:
    """Return a command line of ``hpo run``."""
    scheduler = mostly(
        random, random.choice(("hyperband", "asha", "random-search", *SCHEDULERS)), HOSTILE, 0.95
    )
    learns = ("curves", "tpe") if scheduler == "swift-asha" else ()
    searcher = mostly(random, random.choice(("random", "grid", *learns)), HOSTILE, 0.9)
    known = scheduler_options(scheduler) if scheduler in SCHEDULERS else ()
    common = ("seed", "max_resource", "searcher", "reduction_factor")
    args = [
        "run",
        mostly(
            random, files["trainer"], (*HOSTILE, "none.py:train", "a..b:c", ".:x", "os:path"), 0.96
        ),
        *("--max-resource", mostly(random, random.choice("1234"), NUMBERS, 0.96)),
        *("--scheduler", scheduler),
        *("--executor", mostly(random, "inline", ("cloud", *HOSTILE), 0.95)),
        *options(random, "--scheduler-option", known or common, 0.25),
        *options(random, "--predictor-option", PREDICTOR_OPTIONS, 0.1),
        *options(random, "--executor-option", ("devices", "threads", "address"), 0.05),
    ]
    if searcher in SEARCHERS:
        args += options(random, "--searcher-option", searcher_options(searcher), 0.1)
    extras = (
        ("--searcher", searcher),
        (
            "--space",
            mostly(random, files["space"], (files["folder"], files["bytes"], *HOSTILE), 0.9),
        ),
        ("--predictor", mostly(random, random.choice(list(PREDICTORS)), HOSTILE, 0.9)),
        ("--reduction-factor", mostly(random, "2", NUMBERS, 0.9)),
        ("--seed", mostly(random, "1", NUMBERS, 0.9)),
        ("--min-improvement", random.choice(NUMBERS)),
        ("--timeout", random.choice(NUMBERS)),
        ("--max-retries", random.choice(NUMBERS)),
        ("--workers", random.choice(NUMBERS)),
        ("--checkpoint-dir", random.choice((files["bytes"], "x" * 300, "a\0b", "new"))),
        ("--journal", random.choice((files["folder"], ".", "", "/", *HOSTILE))),
    )
    for pair, share in zip(extras, (0.4, 0.97, 0.2, 0.3, 0.3, *[0.03] * 6), strict=True):
        args += pair if random.random() < share else ()
    return [*args, *(["--quiet"] if random.random() < 0.9 else [])]


PREDICTOR_OPTIONS = (
    "values", "space", "folds", "scale", "C", "nu", "kernel", "max_points", "regressor", "gap",
    "forecasters", "predictor", "build", "features", "max_samples", "iterations",
)  # fmt: skip


def journal(random: Random, files: dict[str, str]) -> str:
    """Return a path where a journal is expected."""
    return mostly(
        random,
        files["journal"],
        (files["folder"], files["bytes"], files["trainer"], ".", "..", "/", "", "~", *HOSTILE),
        0.7,
    )


def report(random: Random, files: dict[str, str]) -> list[str]:
    """Return a command line of ``hpo report``."""
    args = ["report", journal(random, files)]
    for flag in ("--csv", "--html", "--top", "--figures", "--overwrite"):
        if random.random() < 0.25:
            args.append(flag)
            if flag == "--top":
                args.append(random.choice(NUMBERS))
            elif flag != "--overwrite":
                args.append(
                    random.choice((files["folder"], files["bytes"], ".", "/", "", *HOSTILE))
                )
    return args


def resume(random: Random, files: dict[str, str]) -> list[str]:
    """Return a command line of ``hpo resume``."""
    args = ["resume", journal(random, files), "--quiet"]
    args += options(random, "--executor-option", ("devices", "threads"), 0.1)
    for flag in ("--workers", "--timeout", "--max-retries"):
        args += [flag, random.choice(NUMBERS)] if random.random() < 0.1 else []
    for flag in ("--executor", "--checkpoint-dir"):
        args += [flag, random.choice(HOSTILE)] if random.random() < 0.1 else []
    return args


def export(random: Random, files: dict[str, str]) -> list[str]:
    """Return a command line of ``hpo export``."""
    storages = (
        f"sqlite:///{files['bytes']}", "sqlite:///none/of/these.db", "sqlite:///", "x://y", "://",
        "", "postgresql://u:secret@localhost:1/x", "sqlite:///a\0b", files["folder"],
        files["journal"], files["bytes"], files["trainer"], "new.log", *HOSTILE,
    )  # fmt: skip
    args = ["export", journal(random, files), random.choice(storages)]
    return args + (["--study", random.choice(HOSTILE)] if random.random() < 0.5 else [])


def table(random: Random) -> bytes:
    """Return a CSV file of learning curves."""
    names = [mostly(random, n, HOSTILE, 0.9) for n in ("lr", "loss_0", "loss_1", "loss_2")]
    names += ["cost"] if random.random() < 0.2 else []
    rows = [",".join(json.dumps(n) if "\n" in n else n for n in names)]
    for _ in range(random.randint(0, 12)):
        cells = [mostly(random, f"{random.random():.3f}", (*NUMBERS, "x", ""), 0.98) for _ in names]
        rows.append(",".join(cells[: mostly(random, len(cells), (0, 1, 2), 0.98)]))
    return "\n".join(rows).encode("utf-8", "replace")


def simulate(random: Random, files: dict[str, str]) -> list[str]:
    """Return a command line of ``hpo simulate``."""
    args = ["simulate", mostly(random, files["table"], (files["bytes"], "x.npz", *HOSTILE), 0.85)]
    args += ["--seeds", mostly(random, "1", NUMBERS, 0.95)]
    for flag, good in (
        ("--max-resource", "2"), ("--reduction-factor", "2"), ("--workers", "2"),
        ("--predictor", "last-value"), ("--scheduler", "hyperband"),
    ):  # fmt: skip
        bad = NUMBERS if good == "2" else HOSTILE
        args += [flag, mostly(random, good, bad, 0.8)] if random.random() < 0.4 else []
    return args + options(random, "--predictor-option", PREDICTOR_OPTIONS, 0.1)


def anything(random: Random, files: dict[str, str]) -> list[str]:
    """Return words in any order."""
    words = (
        "run",
        "report",
        "--help",
        "--version",
        "--",
        "-x",
        files["journal"],
        *HOSTILE,
        *NUMBERS,
    )
    return random.choices(words, k=random.randint(0, 4))


COMMANDS = (run, run, run, run, report, resume, export, simulate, anything)


def command(random: Random, files: dict[str, str]) -> list[str]:
    """Return a command line."""
    return random.choice(COMMANDS)(random, files)
