"""Cost of large searches: calls of ASHA, long journals, and every kind of hyperparameter.

    python benchmarks/large_searches.py [--quick] [--check]

All times are processor time. Part 1: ``ask`` and ``tell`` of ASHA with 100,000 trials (10,000 with
``--quick``), 500 jobs at a time. Python's garbage collector is off meanwhile: its pauses depend on
all objects of the process, those of this benchmark included. Part 2: the report and the
resumption of a journal of 100,000 lines (10,000). Part 3: 1,000 candidates of a forecast in a
space with one hyperparameter of each kind, relative to a real number.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from _harness import Thresholds
from _hpo_common import options, show
from hpo.report import read_run, render
from hpo.run.journal import Header, Journal, compact, encode_line
from hpo.run.replay import replay
from hpo.run.spec import RunSpec
from hpo.searchers import SpaceCandidates
from hpo.space import SearchSpace
from hpo.trial import Report, TrainJob, TrainReport

R = 81
N_JOBS = 500
UNIT = {"type": "float", "low": 0.0, "high": 1.0}
SPACE = dict.fromkeys("abcd", UNIT)
KINDS: dict[str, Any] = {
    "float": UNIT,
    "float, log": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
    "float, step": {**UNIT, "step": 0.01},
    "int": {"type": "int", "low": 1, "high": 1000},
    "categorical": list("abcdefgh"),
    "scipy, continuous": {"type": "scipy", "name": "loguniform", "args": [1e-4, 1.0]},
    "scipy, discrete": {"type": "scipy", "name": "poisson", "args": [20.0]},
    "conditional": {**UNIT, "when": {"kind": "x"}},
}


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time of a call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def asha_spec(n_trials: int, kind: str) -> RunSpec:
    return RunSpec(
        "trainer.py:train",
        SearchSpace.from_dict(SPACE).to_dict(),
        R,
        scheduler="asha",
        reduction_factor=3,
        searcher="random",
        scheduler_options={"n_trials": n_trials, "type": kind},
    )


def search(
    spec: RunSpec, seen: Callable[[str, dict[str, Any]], None] | None = None
) -> tuple[int, float, float]:
    """Run a search; return its number of jobs, and the mean and the longest time of a call."""
    scheduler, draws = spec.build_scheduler(), np.random.default_rng(0)
    pending: list[TrainJob] = []
    n_jobs, total, longest = 0, 0.0, 0.0

    def report(job: TrainJob) -> Report:
        level = job.config["a"]
        units = range(job.start + 1, job.stop + 1)
        losses = tuple(level + 1 / unit + 0.1 * float(draws.random()) for unit in units)
        return TrainReport(job.trial_id, job.start, job.stop, losses)

    gc.collect()
    gc.disable()
    while True:
        start = time.process_time()
        job = scheduler.ask()
        spent = time.process_time() - start
        if isinstance(job, TrainJob):
            n_jobs += 1
            pending.append(job)
            if seen is not None:
                seen("decided", compact(job))
        elif not pending:
            break
        if len(pending) >= N_JOBS or not isinstance(job, TrainJob):
            ended = report(pending.pop(int(draws.integers(len(pending)))))
            if seen is not None:
                seen("reported", ended.to_json())
            start = time.process_time()
            scheduler.tell(ended)
            told = time.process_time() - start
            total, longest = total + told, max(longest, told)
        total, longest = total + spent, max(longest, spent)
    gc.enable()
    return n_jobs, total / n_jobs, longest


def asha_calls(thresholds: Thresholds, n_trials: int) -> None:
    rows = []
    for kind in ("promotion", "stopping"):
        n_jobs, mean, longest = search(asha_spec(n_trials, kind))
        rows.append([kind, n_trials, n_jobs, f"{1e6 * mean:.1f}", f"{1e3 * longest:.2f}"])
        thresholds.hold(f"ASHA, {kind}: longest call {1e3 * longest:.2f} ms (50)", longest <= 0.05)
    show("ASHA", ["type", "trials", "jobs", "us/job", "longest call, ms"], rows)


def long_journal(thresholds: Thresholds, n_lines: int, folder: Path) -> None:
    path = folder / "long.jsonl"
    spec = asha_spec(round(n_lines / 3.05), "promotion")
    line, checksum = encode_line(Header("run", spec.to_json(), 0.0).to_json())
    lines = [line]

    def seen(kind: str, data: dict[str, Any]) -> None:
        nonlocal checksum
        entry = {"kind": kind, "time": round(1e9 + 0.01 * len(lines), 3), "data": data}
        line, checksum = encode_line(entry, checksum)
        lines.append(line)

    search(spec, seen)
    path.write_bytes(b"".join(lines))

    def resume() -> None:
        journal, content = Journal.open(path)
        with journal:
            assert not replay(content, spec.build_scheduler())

    report = seconds(lambda: render(read_run(path)))
    resumed = seconds(resume)
    show(
        f"A journal of {len(lines)} lines",
        ["", "s"],
        [["report", f"{report:.2f}"], ["resumption", f"{resumed:.2f}"]],
    )
    for name, value in (("report", report), ("resumption", resumed)):
        thresholds.hold(f"{name} of {len(lines)} lines: {value:.2f} s (5)", value <= 5.0)


def spaces(thresholds: Thresholds) -> None:
    def forecast(kind: Any) -> float:
        space = SearchSpace.from_dict({"a": UNIT, "b": UNIT, "c": kind, "kind": ["x", "y"]})
        candidates = SpaceCandidates(space)
        tried = [config for trial in range(50) if (config := candidates.first(trial))]

        def work() -> None:
            found = candidates.some(tried, 1000, np.random.default_rng(0))
            candidates.features(found)

        return min(seconds(work) for _ in range(5))

    times = {name: forecast(kind) for name, kind in KINDS.items()}
    ratios = {name: value / times["float"] for name, value in times.items()}
    rows = [[name, f"{1e3 * times[name]:.1f}", f"{ratios[name]:.2f}"] for name in KINDS]
    show("1,000 candidates, encoded", ["one hyperparameter is", "ms", "ratio"], rows)
    for name, ratio in ratios.items():
        thresholds.hold(f"{name}: {ratio:.2f} times a float (2)", ratio <= 2.0)


def main() -> None:
    args = options(__doc__)
    thresholds = Thresholds()
    n = 10_000 if args.quick else 100_000
    asha_calls(thresholds, n)
    with tempfile.TemporaryDirectory() as folder:
        long_journal(thresholds, n, Path(folder))
    spaces(thresholds)
    thresholds.finish(check=args.check)


if __name__ == "__main__":
    main()
