"""Running methods on tables: one measured run, the cache of runs, and several processes."""

from __future__ import annotations

import hashlib
import inspect
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

import hpo
from _curve_methods import METHODS, Method, Setup
from _curve_tables import Task
from hpo.files import write_atomically
from hpo.loop import drive
from hpo.simulation import SimulatedRunner
from hpo.trial import Job, Report, SchedulerSummary, TrainJob, TrainReport, finite_or_worst

Steps = list[tuple[int, float]]
"""Epochs and the regret from there on, both changing at every step."""

_PARTS = (
    "schedulers",
    "searchers",
    "predictors",
    "surrogates",
    "simulation",
    "loop.py",
    "brackets.py",
)


@dataclass(frozen=True)
class Run:
    """One search, measured.

    Attributes
    ----------
    epochs : int
        Units trained.
    regret : float
        Of the best trial among those fully trained: how far its final loss is from the table's
        best, where the table's median is 1 away.
    complete : bool
        Whether there was a fully trained trial; if not, the best of the others stands for it.
    trained, measured : list of (epochs, regret)
        In the course of the search: of the best fully trained trial, and of the trial with the
        lowest loss measured at any unit (by its final loss in the table).
    seconds : float
        Processor time of the search, which trains nothing: what deciding takes.
    """

    epochs: int
    regret: float
    complete: bool
    trained: Steps
    measured: Steps
    seconds: float


class Trace:
    """Records which row each trial is, and how the incumbents' regret falls.

    Parameters
    ----------
    task : Task
        Whose regret.
    setup : Setup
        Its searcher maps jobs to rows; its recorder receives every job and report first.
    """

    def __init__(self, task: Task, setup: Setup) -> None:
        self._task = task
        self._setup = setup
        self._final = task.table.losses[:, -1]
        self._best = {"trained": float("inf"), "measured": float("inf")}
        self.rows: dict[int, int] = {}
        self.epochs = 0
        self.steps: dict[str, Steps] = {"trained": [], "measured": []}

    def decided(self, job: Job) -> None:
        """Note the row of a trial."""
        if self._setup.recorder is not None:
            self._setup.recorder.decided(job)
        if isinstance(job, TrainJob):
            self.rows[job.trial_id] = self._setup.searcher.row_of(job)

    def reported(self, report: Report) -> None:
        """Note losses."""
        if self._setup.recorder is not None:
            self._setup.recorder.reported(report)
        if not isinstance(report, TrainReport):
            return
        self.epochs += len(report.losses)
        self._update("measured", report.trial_id, min(map(finite_or_worst, report.losses)))
        if report.stop == self._task.table.max_resource:
            self._update("trained", report.trial_id, finite_or_worst(report.losses[-1]))

    def _update(self, kind: str, trial: int, loss: float) -> None:
        if loss < self._best[kind]:
            self._best[kind] = loss
            regret = self._task.regret(float(self._final[self.rows[trial]]))
            self.steps[kind].append((self.epochs, regret))


def measure(task: Task, method: Method, seed: int) -> Run:
    """Run a method once, on one worker."""
    start = time.process_time()
    setup = method.build(task.table, seed)
    trace = Trace(task, setup)
    runner = SimulatedRunner(
        task.table, setup.searcher.row_of, predictor=setup.predictor, searcher=setup.searcher
    )
    drive(setup.scheduler, runner, trace)
    summary = setup.scheduler.summary()
    return Run(
        epochs=trace.epochs,
        regret=final_regret(task, summary, trace.rows),
        complete=bool(trace.steps["trained"]),
        trained=trace.steps["trained"],
        measured=trace.steps["measured"],
        seconds=time.process_time() - start,
    )


def final_regret(task: Task, summary: SchedulerSummary, rows: dict[int, int]) -> float:
    """Return the regret of the trial that a search ends with, by its row's final loss."""
    final = task.table.losses[:, -1]
    best = summary.best
    return task.regret(float(final[rows[best.trial_id]] if best else final.max()))


# -- the cache -------------------------------------------------------------------------------


class Cache:
    """Runs in files, one for each method version, table and seed.

    Parameters
    ----------
    folder : Path
        Made where it is not there.
    fresh : frozenset of str
        Methods whose runs are not read, only written.
    """

    def __init__(self, folder: Path, fresh: frozenset[str] = frozenset()) -> None:
        self._folder = folder
        self._fresh = fresh

    def get(self, name: str, task: Task, seed: int) -> Run | None:
        """Return a run, None where there is none yet."""
        path = self._path(name, task, seed)
        if name in self._fresh or not path.exists():
            return None
        return Run(**json.loads(path.read_text(encoding="utf-8")))

    def put(self, name: str, task: Task, seed: int, run: Run) -> None:
        """Write a run; a reader finds all of it or nothing."""
        path = self._path(name, task, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(asdict(run)).encode())

    def _path(self, name: str, task: Task, seed: int) -> Path:
        table = f"{task.name.replace(' ', '-')}-{task.fingerprint}"
        return self._folder / f"{name}-{version(name)}" / table / f"{seed}.json"


@cache
def version(name: str) -> str:
    """Return the key of a method's results: its own version, or a digest of the code."""
    method = METHODS[name]
    if method.version is not None:
        return f"v{method.version}"
    digest = hashlib.sha256(code_of_hpo())
    digest.update(code_of(method.build))
    return digest.hexdigest()[:12]


@cache
def code_of_hpo() -> bytes:
    """Return the sources that a search depends on."""
    root = Path(inspect.getfile(hpo)).parent
    paths = [root / part for part in _PARTS]
    files = [f for path in paths for f in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    return b"".join(file.read_bytes() for file in files)


def code_of(function: Callable[..., Any]) -> bytes:
    """Return the source of a function and what it closes over."""
    held = inspect.getclosurevars(function).nonlocals
    parts = [inspect.getsource(function).encode()]
    for name, value in sorted(held.items()):
        parts.append(name.encode())
        parts.append(code_of(value) if inspect.isfunction(value) else repr(value).encode())
    return b"".join(parts)


# -- several processes -----------------------------------------------------------------------

Key = tuple[str, str, int]  # method, table, seed
Work = tuple[str, Task, list[int]]  # method, table, seeds


def run_all(
    names: Sequence[str], tasks: Sequence[Task], n_seeds: int, cache: Cache, n_jobs: int
) -> dict[Key, Run]:
    """Run every method on every table with every seed, what is cached aside."""
    runs: dict[Key, Run] = {}
    missing: list[Work] = []
    for name in names:
        for task in tasks:
            seeds = range(min(n_seeds, METHODS[name].max_seeds or n_seeds))
            known = {seed: cache.get(name, task, seed) for seed in seeds}
            runs |= {(name, task.name, seed): run for seed, run in known.items() if run}
            if left := [seed for seed in seeds if known[seed] is None]:
                missing.append((name, task, left))
    missing = _possible(missing)
    total = len(runs) + sum(len(seeds) for _, _, seeds in missing)
    print(f"{total} runs, {len(runs)} of them from the cache", flush=True)
    shown = time.monotonic()
    for key, run in _computed(missing, cache, n_jobs):
        runs[key] = run
        if time.monotonic() > shown + 60:
            shown = time.monotonic()
            print(f"  {len(runs)} of {total} runs, now {key[0]} on {key[1]}", flush=True)
    return runs


def _possible(missing: Sequence[Work]) -> list[Work]:
    """Leave out what needs a package that is not installed, and say so."""
    possible: list[Work] = []
    counts: Counter[str] = Counter()
    for name, task, seeds in missing:
        if METHODS[name].available():
            possible.append((name, task, seeds))
        else:
            counts[name] += len(seeds)
    for name, count in counts.items():
        print(f"{name}: {METHODS[name].needs} is not installed, so {count} runs are left out")
    return possible


def _computed(missing: Sequence[Work], cache: Cache, n_jobs: int) -> Iterator[tuple[Key, Run]]:
    if n_jobs == 1:
        with threadpool_limits(1):
            for name, task, seeds in missing:
                yield from _series(name, task, seeds, cache)
        return
    with ProcessPoolExecutor(n_jobs, initializer=_one_thread) as pool:
        futures = [pool.submit(_listed, *each, cache) for each in missing]
        for future in as_completed(futures):
            yield from future.result()


def _one_thread() -> None:
    threadpool_limits(1)


def _listed(name: str, task: Task, seeds: list[int], cache: Cache) -> list[tuple[Key, Run]]:
    return list(_series(name, task, seeds, cache))


def _series(name: str, task: Task, seeds: list[int], cache: Cache) -> Iterator[tuple[Key, Run]]:
    for seed in seeds:
        run = measure(task, METHODS[name], seed)
        cache.put(name, task, seed, run)
        yield (name, task.name, seed), run
