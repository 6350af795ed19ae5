"""Journals that nobody wrote in good faith: whatever they hold, the answer is one of our errors."""

from __future__ import annotations

import json
import os
import random
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpo.cli import main
from hpo.errors import JournalError, UsageError
from hpo.report import read_run, write_report
from hpo.run.journal import Journal, read_journal
from hpo.run.spec import RunSpec
from hpo.run.tuner import Tuner
from hpo.trial import TrainJob

CASES = 2500 if os.environ.get("THOROUGH") else 30  # `make thorough`

TRAINER = '''
calls = 0


def train(config, start, stop, checkpoint):
    """A loss at once; a search that has become endless is stopped as by Ctrl-C."""
    global calls
    calls += 1
    if calls % 40 == 0 or stop - start > 1000:
        raise KeyboardInterrupt
    x = config.get("x", 0.5)
    return [abs(x - 0.3) + config.get("n", 1) / (unit + 1) for unit in range(start, stop)]
'''
SPACE = {
    "x": {"type": "float", "low": 0.0, "high": 1.0},
    "n": {"type": "int", "low": 1, "high": 4},
    "kind": {"type": "categorical", "choices": ["a", "b", None, True, 1.5]},
}
RUNS: dict[str, dict[str, Any]] = {
    "random-search": {"scheduler_options": {"n_trials": 4}},
    "early-stopping": {},
    "successive-halving": {},
    "hyperband": {},
    "asha": {},
    "fast-hyperband": {"predictor": "last-value", "scheduler_options": {"min_curves": 3}},
    "swift-hyperband": {
        "max_resource": 9,
        "predictor": "last-value",
        "scheduler_options": {"min_curves": 3},
    },
    "swift-asha": {"max_resource": 9, "scheduler_options": {"budget_fraction": 0.5}},
}


@pytest.fixture(scope="module")
def journals(tmp_path_factory) -> dict[str, Path]:
    """A finished run of every scheduler."""
    root = tmp_path_factory.mktemp("odd")
    trainer = root / "work.py"
    trainer.write_text(TRAINER.replace("% 40", "% 400"))
    made = {}
    for scheduler, settings in RUNS.items():
        path = made[scheduler] = root / f"{scheduler}.jsonl"
        spec = {"max_resource": 4, "reduction_factor": 2, **settings}
        spec |= {"trainer": f"{trainer}:train", "space": SPACE, "executor": "inline"}
        Tuner.from_spec(RunSpec(scheduler=scheduler, **spec), journal=path).run()
    trainer.write_text(TRAINER)
    return made


def payloads(journal: Path) -> list[bytes]:
    return [line[9:] for line in journal.read_bytes().splitlines()]


def sealed(payloads: list[bytes]) -> bytes:
    """Return a journal of these lines, with the checksums that belong to them."""
    checksum, lines = 0, []
    for payload in payloads:
        checksum = zlib.crc32(payload, checksum)
        lines.append(b"%08x " % checksum + payload + b"\n")
    return b"".join(lines)


ODD = [
    *(b"null", b"true", b'""', b"[]", b"{}", b'"text"', b"0", b"-1", b"1", b"0.5", b"1e400"),
    *(b"NaN", b"-Infinity", b"Infinity", b"[[]]", b'{"type":"TrainReport"}', b"[1,null]"),
    *(b"9" * 400, b"9" * 5000, b"123456789012345678901234567890", b"1e308", b"4", b"18", b"-0.0"),
    *(b'"\\ud800"', b'"[/red]\\u001b[31m\\u0000"', b"[" * 300 + b"]" * 300, b'{"a":' * 2 + b"1}}"),
    *(b'"hyperband"', b'"grid"', b'"swift-asha"', b'"float"', b'{"low":1}', b"1000000"),
]


class Mutations:
    """A grammar of journals that are a little, or very, wrong."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    def journal(self, lines: list[bytes]) -> bytes:
        dice = self.dice
        kind = dice.random()
        if kind < 0.3:
            return sealed(self.odd_numbers(lines))
        if kind < 0.45:  # nothing that was decided contradicts the settings
            return sealed(self.value(lines[:1]))
        lines = lines[: dice.choice([len(lines), len(lines), dice.randrange(1, len(lines) + 1)])]
        for _ in range(dice.choice([1, 1, 1, 2, 4])):
            change = dice.choice(
                [self.value, self.value, self.value, self.value, self.key, self.order, self.line]
            )
            lines = change(lines) or [b"{}"]
        raw = sealed(lines)
        return self.bytes(raw) if dice.random() < 0.1 else raw

    def odd_numbers(self, lines: list[bytes]) -> list[bytes]:
        """Report extreme numbers in the right places, with nothing decided after them."""
        said = [i for i, line in enumerate(lines) if b'"decided"' not in line and i]
        i = self.dice.choice(said)
        data = json.loads(lines[i])
        found = [p for p in places(data["data"]) if isinstance(p[0][p[1]], float)]
        for _ in range(self.dice.choice([1, 1, 3, len(found)])):
            holder, step = self.dice.choice(found or [(data, "time")])
            holder[step] = self.dice.choice(
                [*(0.0, -1.0, 1e308, -1e308, 5e-324, float("nan"), float("inf"), -float("inf"))]
            )
        return [*lines[:i], json.dumps(data).encode()]

    def bytes(self, raw: bytes) -> bytes:
        """Flip, insert or cut without care for checksums."""
        place = self.dice.randrange(len(raw))
        return self.dice.choice(
            [
                raw[:place],
                raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :],
                raw[:place] + b"\n" + raw[place:],
                raw[:place] + b"\xff\x00" + raw[place:],
            ]
        )

    def order(self, lines: list[bytes]) -> list[bytes]:
        """Swap, drop or repeat lines."""
        i, j = self.dice.randrange(len(lines)), self.dice.randrange(len(lines))
        return self.dice.choice(
            [
                [lines[j if k == i else i if k == j else k] for k in range(len(lines))],
                lines[:i] + lines[i + 1 :],
                lines[: i + 1] + lines[j:],
            ]
        )

    def line(self, lines: list[bytes]) -> list[bytes]:
        """Replace a line by something else, or put something between."""
        i = self.dice.randrange(len(lines))
        new = self.dice.choice(
            [
                *(b"", b"{", b"7", b"\xff\xfe", b"null", b"[" * 200_000, b'{"kind":"note"}'),
                b'{"kind":"note","time":1,"data":' + self.dice.choice(ODD) + b"}",
                b'{"kind":"reported","time":1,"data":' + self.dice.choice(ODD) + b"}",
                b'{"kind":"note","time":1,"data":{"what":"overlap"}}',
                b'{"kind":"note","time":1,"data":{"what":"workers","n_workers":2}}',
                lines[i][: self.dice.randrange(len(lines[i]) + 1)],
            ]
        )
        return [*lines[:i], new, *lines[i + self.dice.randrange(2) :]]

    def value(self, lines: list[bytes]) -> list[bytes]:
        """Replace a value somewhere in a line."""

        def change(text: bytes) -> bytes:
            try:
                number = float(text)
            except ValueError:
                return self.dice.choice(ODD)
            near = [number + 1, number - 1, -number, number * 1e6, number + 0.5, number * 10]
            likely = json.dumps(self.dice.choice(near)).encode()
            return self.dice.choice([likely.removesuffix(b".0"), self.dice.choice(ODD)])

        return self._at_place(lines, change)

    def key(self, lines: list[bytes]) -> list[bytes]:
        """Remove a key, repeat it with another value, or add one."""

        def change(text: bytes) -> bytes:
            if not text.startswith(b"{") or len(text) < 3:
                return b"{}"
            data = json.loads(text)
            gone = self.dice.choice(list(data))
            repeated = json.dumps(gone).encode() + b":" + self.dice.choice(ODD)
            rest = json.dumps({k: v for k, v in data.items() if k != gone}).encode()
            more = text[:-1] + b"," + repeated + b"}"
            return self.dice.choice([rest, more, text[:-1] + b',"more":1}'])

        return self._at_place(lines, change, objects=True)

    def _at_place(
        self, lines: list[bytes], change: Callable[[bytes], bytes], *, objects: bool = False
    ) -> list[bytes]:
        i = 0 if self.dice.random() < 0.15 else self.dice.randrange(len(lines))
        try:
            data = json.loads(lines[i])
        except (ValueError, RecursionError):
            return lines
        within = data.get("spec" if i == 0 else "data") if isinstance(data, dict) else None
        start = within if isinstance(within, dict) and self.dice.random() < 0.9 else data
        found = [p for p in places(start) if not objects or isinstance(p[0][p[1]], dict)]
        if not found:
            return [*lines[:i], change(lines[i]), *lines[i + 1 :]]
        holder, step = self.dice.choice(found)
        mark = "here " * 3
        value, holder[step] = holder[step], mark
        text = json.dumps(data).encode()
        new = text.replace(json.dumps(mark).encode(), change(json.dumps(value).encode()))
        return [*lines[:i], new, *lines[i + 1 :]]


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key or index) within a value."""
    found: list[tuple[Any, Any]] = []
    if isinstance(value, dict | list):
        for step in list(value) if isinstance(value, dict) else range(len(value)):
            found += [(value, step), *places(value[step])]
    return found


def cases() -> list[tuple[int, str]]:
    names = list(RUNS)
    return [(number, names[number % len(names)]) for number in range(CASES)]


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # sums of losses of 1e308 are infinite
def test_fuzzed_journals_give_documented_errors_only(
    journals, tmp_path, capsys, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "run.jsonl"
    wrong: list[str] = []
    codes: dict[int, int] = {}
    for number, scheduler in cases():
        for leftover in tmp_path.iterdir():
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        raw = Mutations(number).journal(payloads(journals[scheduler]))
        path.write_bytes(raw)
        try:
            write_report(read_run(path), tmp_path / "run.html")
        except UsageError as error:
            if "run.jsonl" not in str(error):
                wrong.append(f"{number} {scheduler}: {error} names no file")
        except BaseException as error:  # all of them are listed
            wrong.append(f"{number} {scheduler} read_run: {error!r:.300}")
        commands = [
            ["report", "run.jsonl"],
            ["report", "run.jsonl", "--salvage"],
            ["export", "run.jsonl", "study.log"],
            ["resume", "run.jsonl", "--quiet"],
            ["resume", "run.jsonl", "--quiet", "--salvage"],
        ]
        for command in [commands[number // 8 % 3], commands[3 + number % 2]]:
            try:
                main(command)
            except SystemExit as stop:
                code = int(stop.code or 0)
            except BaseException as error:  # all of them are listed
                wrong.append(f"{number} {scheduler} {command[0]}: {error!r:.300}")
                continue
            _, err = capsys.readouterr()
            codes[code] = codes.get(code, 0) + 1
            if (
                code not in (0, 1, 2, 130)
                or "Traceback" in err
                or (code in (1, 2)) != ("Error" in err)
            ):
                wrong.append(f"{number} {scheduler} {command[0]}: {code}, {err:.300}")
    print(f"{CASES} journals, exit codes {codes}")
    assert not wrong, f"{len(wrong)} wrong answers:\n" + "\n".join(wrong[:40])
    assert min(codes.get(0, 0), codes.get(2, 0)) > CASES / 10


def journal_of(path: Path, *payloads: bytes) -> Path:
    """Write a journal of one trial, and more lines."""
    with Journal.create(path, {}) as journal:
        journal.decided(TrainJob(0, {"lr": 0.5}, 0, 1))
    path.write_bytes(sealed([line[9:] for line in path.read_bytes().splitlines()] + [*payloads]))
    return path


def entry(data: str, kind: str = "reported", time: str = "1.5") -> bytes:
    return f'{{"kind":"{kind}","time":{time},"data":{data}}}'.encode()


REPORT = '{"type":"TrainReport","trial_id":0,"start":0,"stop":1,"losses":%s}'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (entry("null"), "data must be an object, got None"),
        (entry("{}", time="null"), "time must be in seconds since 1970, got None"),
        (entry("{}", time="NaN"), "time must be in seconds since 1970, got nan"),
        (entry("{}", time="1e300"), "time must be in seconds"),
        (entry("{}", time="9" * 400), "time must be in seconds .* of more than 256 bits"),
        (entry("{}", kind="other"), "kind must be one of decided, reported, note, got 'other'"),
        (b'{"kind":"note","time":1}', "data is missing"),
        (b"[" * 200_000, "nested more than 100 deep"),
        (entry("[" * 500 + "]" * 500), "nested more than 100 deep"),
        (b"\xff\xfe", "no valid UTF-8"),
        (b'{"kind":', "no valid JSON"),
        (entry("9" * 5000), "no valid JSON: Exceeds the limit"),
        (entry('{"what":"overlap"}', kind="note"), "predictions is missing"),
        (entry('{"what":"retry","trial_id":"x"}', kind="note"), "trial_id of a note on 'retry'"),
        (entry('{"what":"workers","n_workers":0}', kind="note"), "n_workers .* from 1 on, got 0"),
    ],
)
def test_a_line_that_is_no_entry_says_why(tmp_path: Path, line: bytes, message: str) -> None:
    path = journal_of(tmp_path / "j", line)
    with pytest.raises(JournalError, match=rf"line 3 of journal {path} is no entry: .*{message}"):
        read_journal(path)


@pytest.mark.parametrize(
    ("report", "message"),
    [
        (REPORT % "7", "losses of a TrainReport must be a list of numbers, got int"),
        (REPORT % '["0.5"]', "losses of a TrainReport must be a list of numbers"),
        (REPORT % "[null]", "losses of a TrainReport must be a list of numbers"),
        ((REPORT % "[1]").replace('"start":0', '"start":"0"'), "start .* must be an integer"),
        ((REPORT % "[1]").replace('"stop":1', '"stop":true'), "stop .* must be an integer"),
        ((REPORT % "[1]").replace('"stop":1,', ""), "missing 1 required positional"),
        ((REPORT % "[1]").replace("TrainReport", "Done"), "Done.*trial_id"),
        ('{"type":"Wait"}', "a Wait in place of a report"),
        ('{"type":["Wait"]}', "'type' must be one of"),
    ],
)
def test_a_line_that_holds_no_report_says_why(tmp_path: Path, report: str, message: str) -> None:
    content = read_journal(journal_of(tmp_path / "j", entry(report)))
    with pytest.raises(JournalError, match=rf"line 3 of journal {content.path} holds .*{message}"):
        content.reports()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("run_id", 7, "run_id must be text, got 7"),
        ("created", "now", "created must be in seconds since 1970, got 'now'"),
        ("spec", None, "spec must be an object, got None"),
        ("spec", {"space": 3}, "space must be an object, got 3"),
        ("spec", {"trainer": "a\0b"}, "trainer must be text without zero bytes"),
        ("spec", {"trainer": 7, "space": {}, "max_resource": 1}, "trainer has the value 7"),
        ("spec", {"trainer": "t", "space": {}, "max_resource": "R"}, "max_resource has the value"),
        ("spec", {"trainer": "t", "space": {"x": {}}, "max_resource": 1}, "describes no run"),
        ("spec", {"trainer": "t", "space": {}, "max_resource": 1, "more": 1}, "more"),
        ("spec", {"trainer": "t"}, "space"),
    ],
)
def test_a_header_that_describes_no_run_says_why(
    tmp_path: Path, name: str, value: object, message: str
) -> None:
    path = journal_of(tmp_path / "j")
    header, *rest = payloads(path)
    path.write_bytes(sealed([json.dumps(json.loads(header) | {name: value}).encode(), *rest]))
    with pytest.raises(JournalError, match=rf"line 1 of journal {path} .*{message}"):
        read_run(path)


@pytest.mark.timeout(100)
def test_a_pipe_is_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)  # reading it would wait for a writer
    with pytest.raises(JournalError, match="it is no regular file"):
        read_journal(path)


@pytest.mark.parametrize(
    "content", ["", "[]", "null", "{}", '{"run_id', "[" * 5000, b"\xff", '"run_id"', None]
)
def test_a_bad_run_json_blames_itself(workshop, content: str | bytes | None) -> None:
    Tuner.from_spec(workshop.spec(max_resource=3), journal=workshop.journal).run()
    identity = workshop.root / "run.checkpoints" / "run.json"
    identity.unlink()
    if content is None:
        identity.mkdir()
    else:
        identity.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = workshop.journal.read_bytes()
    with pytest.raises(UsageError, match=r"run\.json cannot be read .*journal is not at fault"):
        Tuner.resume(workshop.journal)
    assert workshop.journal.read_bytes() == before
    if content is None:
        identity.rmdir()
    run_id = read_journal(workshop.journal).header.run_id
    identity.write_text(json.dumps({"run_id": run_id}))  # as the message says
    assert Tuner.resume(workshop.journal).finished
