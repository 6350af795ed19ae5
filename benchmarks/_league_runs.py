"""The runs of `league.py`: other packages in processes of their own, on one virtual clock.

Every search writes a `Log` of its epochs in the order of virtual time. One rule gives the trial
that a search recommends after some epochs: the one with the lowest loss among those trained to the
end, or, if there is none, the one with the lowest last loss. It is the rule of
`hpo.trial.best_of`.
"""

from __future__ import annotations

import atexit
import hashlib
import heapq
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from _curve_baselines import NearestRow, PointSearcher, hyperband_epochs
from _curve_methods import Build, Setup, asha_for_hyperbands_epochs, forecasting, named
from _curve_runs import code_of, code_of_hpo
from _curve_tables import REDUCTION_FACTOR, Task
from hpo.files import write_atomically
from hpo.loop import drive
from hpo.schedulers import Hyperband
from hpo.simulation import CurveTable, SimulatedRunner
from hpo.trial import Job, Report, TrainJob, TrainReport, finite_or_worst
from wallclock import epoch_times

SHARES = (0.25, 0.45, 1.0)  # of Hyperband's epochs
AGENT = Path(__file__).parent / "peers_env" / "agent.py"
VERSION = "1"  # of the peers' runs: raise it when they change
ENVIRONMENTS = {"peers": "LEAGUE_PEERS_PYTHON", "dehb": "LEAGUE_DEHB_PYTHON"}


@dataclass(frozen=True)
class Entry:
    """One method of the league.

    Attributes
    ----------
    label : str
        For people.
    environment : str or None
        Of a peer: which Python runs it. None for ours.
    build : callable or None
        Of ours: ``build(table, seed)``, one search that is read at every share of the epochs.
    sized : bool
        Of ours: whether a search of its own is run for every share (``build`` is None).
    max_seeds : int or None
        At most so many seeds, for slow methods.
    """

    label: str
    environment: str | None = None
    build: Build | None = None
    sized: bool = False
    max_seeds: int | None = None


class NearestPoints(PointSearcher):
    """Proposes the untried rows that are nearest to random points, as the peers' points are taken.

    Parameters
    ----------
    table : CurveTable
        Whose rows.
    seed : int
        Of the points.
    """

    def __init__(self, table: CurveTable, seed: int) -> None:
        super().__init__(table, seed)
        self._rng = np.random.default_rng([seed, 3])

    def _next_row(self) -> int | None:
        return self._rows.nearest(self._rng.random(self._rows.points.shape[1]))


def hyperband_on_points(table: CurveTable, seed: int) -> Setup:
    """Hyperband on rows near random points: what the mapping alone costs."""
    searcher = NearestPoints(table, seed)
    scheduler = Hyperband(
        searcher, max_resource=table.max_resource, reduction_factor=REDUCTION_FACTOR
    )
    return Setup(scheduler, searcher)


OURS: Mapping[str, Entry] = {
    "hyperband": Entry("Hyperband (ours)", build=named("hyperband")),
    "hyperband-points": Entry("Hyperband (ours), rows near points", build=hyperband_on_points),
    "asha": Entry("ASHA (ours)", build=asha_for_hyperbands_epochs),
    "swift-asha": Entry("Swift-ASHA (ours)", sized=True),
}
PEERS: Mapping[str, Entry] = {
    "smac": Entry("SMAC3, Hyperband with random forest", "peers", max_seeds=1),
    "dehb": Entry("DEHB", "dehb"),
    "syne-tune-asha": Entry("Syne Tune, ASHA", "peers"),
    "syne-tune-bohb": Entry("Syne Tune, BOHB", "peers", max_seeds=1),
    "optuna": Entry("Optuna, TPE with HyperbandPruner", "peers"),
}
ENTRIES: Mapping[str, Entry] = {**OURS, **PEERS}


@dataclass
class Log:
    """The epochs of a search: when each ended, of which row, and which unit of it."""

    epochs: list[tuple[float, int, int]] = field(default_factory=list)

    def add(self, row: int, units: range, begin: float, end: float) -> None:
        """Note the units of one job, which share its time evenly; `units` are completed units."""
        for place, unit in enumerate(units, 1):
            self.epochs.append((begin + (end - begin) * place / len(units), row, unit))

    def read(self, task: Task, budget: int) -> tuple[float, float]:
        """Return the regret of the row recommended after so many epochs, and when they ended."""
        spent = sorted(self.epochs, key=lambda epoch: epoch[0])[:budget]
        trained: dict[int, int] = {}
        for _, row, unit in spent:
            trained[row] = max(trained.get(row, 0), unit)
        losses = task.table.losses
        complete = [row for row, unit in trained.items() if unit == task.table.max_resource]
        last = {row: finite_or_worst(float(losses[row, trained[row] - 1])) for row in trained}
        final = losses[:, -1]
        if not trained:
            return task.regret(float(final.max())), 0.0
        best = min(complete or trained, key=last.__getitem__)
        return task.regret(float(final[best])), spent[-1][0]


@dataclass(frozen=True)
class Result:
    """One search on one table with one seed.

    Attributes
    ----------
    regrets, times, epochs : list
        At each of `SHARES`: regret of the recommended row, virtual time, and epochs trained.
    """

    regrets: list[float]
    times: list[float]
    epochs: list[int]


def budgets(task: Task) -> list[int]:
    """Return the epochs of every share."""
    whole = hyperband_epochs(task.table.max_resource)
    return [int(share * whole) for share in SHARES]


def run(name: str, task: Task, seed: int, n_workers: int, pythons: Mapping[str, str]) -> Result:
    """Run one search, or one for each share where a search is sized by it."""
    entry = ENTRIES[name]
    if entry.environment is not None:
        agent = _agent(name, pythons[entry.environment])
        logs = [peer_log(agent, task, seed, n_workers)] * len(SHARES)
    elif entry.sized:
        searches = [forecasting(name, max_epochs=budget) for budget in budgets(task)]
        logs = [our_log(search(task.table, seed), task, seed, n_workers) for search in searches]
    else:
        assert entry.build is not None
        logs = [our_log(entry.build(task.table, seed), task, seed, n_workers)] * len(SHARES)
    pairs = list(zip(logs, budgets(task), strict=True))
    read = [log.read(task, budget) for log, budget in pairs]
    spent = [min(len(log.epochs), budget) for log, budget in pairs]
    return Result([r for r, _ in read], [t for _, t in read], spent)


# -- ours ---------------------------------------------------------------------------------------


class _Watch:
    """Notes in a log when the jobs of a simulated search ran."""

    def __init__(self, log: Log, setup: Setup, runner: SimulatedRunner) -> None:
        self._log = log
        self._setup = setup
        self._runner = runner
        self._begun: dict[int, tuple[int, float]] = {}  # trial -> row, beginning

    def decided(self, job: Job) -> None:
        """Note the beginning of a job."""
        if isinstance(job, TrainJob):
            self._begun[job.trial_id] = self._setup.searcher.row_of(job), self._runner.now

    def reported(self, report: Report) -> None:
        """Note the epochs of a job."""
        if isinstance(report, TrainReport):
            row, begin = self._begun[report.trial_id]
            units = range(report.start + 1, report.stop + 1)
            self._log.add(row, units, begin, self._runner.now)


def our_log(setup: Setup, task: Task, seed: int, n_workers: int) -> Log:
    """Run one of our schedulers in virtual time."""
    log = Log()
    runner = SimulatedRunner(
        task.table,
        setup.searcher.row_of,
        n_workers=n_workers,
        epoch_times=epoch_times(task.table, seed),
        predictor=setup.predictor,
        searcher=setup.searcher,
    )
    drive(setup.scheduler, runner, _Watch(log, setup, runner))
    return log


# -- peers --------------------------------------------------------------------------------------


class Agent:
    """A peer in a process of its own Python (see peers_env/agent.py)."""

    def __init__(self, name: str, python: str) -> None:
        threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - as long as the process
        # S603: the interpreter is the user's choice, the script is ours.
        self._process = subprocess.Popen(  # noqa: S603
            [python, str(AGENT), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,  # in a file, since nobody reads them while the process runs
            text=True,
            env={**_clean_environment(), **threads},
        )
        self._name = name
        atexit.register(self.close)

    def call(self, op: str, **request: Any) -> dict[str, Any]:
        """Send a request and return the answer.

        Raises
        ------
        RuntimeError
            If the process has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"op": op, **request}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._process.wait()
            self._errors.seek(0)
            said = self._errors.read()[-2000:]
            raise RuntimeError(f"the process of {self._name} has ended after {op!r}: {said}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(timeout=10)


@cache
def _agent(name: str, python: str) -> Agent:
    return Agent(name, python)


def _clean_environment() -> dict[str, str]:
    """Return the environment without what would lead the peer to our packages."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


def peer_log(agent: Agent, task: Task, seed: int, n_workers: int) -> Log:
    """Run a peer on simulated workers until Hyperband's epochs are trained.

    A new trial gets the untried row that is nearest to the peer's point. The search starts no
    further trials once the rows are used up.
    """
    table, log = task.table, Log()
    times = epoch_times(table, seed)
    rows, row_of = NearestRow(table, seed), dict[int, int]()
    trained: dict[int, int] = {}  # trial -> units
    queue: list[tuple[float, int, int, int]] = []  # end, count, trial, unit to report
    budget, count, now, free, over = budgets(task)[-1], 0, 0.0, n_workers, False
    agent.call(
        "start",
        n_features=rows.points.shape[1],
        max_resource=table.max_resource,
        epochs=budget,
        seed=seed,
    )

    def train(trial: int, stop: int) -> None:
        nonlocal count
        # A trial goes on from its checkpoint; what it has trained already costs nothing.
        start, row = trained.get(trial, 0), row_of[trial]
        end = now + float(times[row]) * max(stop - start, 0)
        log.add(row, range(start + 1, stop + 1), now, end)
        trained[trial] = max(start, stop)
        heapq.heappush(queue, (end, count, trial, stop))
        count += 1

    while True:
        while free and not over and len(log.epochs) < budget:
            answer = agent.call("ask")
            if "stop" not in answer:
                over = "done" in answer
                break
            trial = answer["trial"]
            if trial not in row_of:
                row = rows.nearest(np.array(answer["point"]))
                if row is None:
                    over = True
                    break
                row_of[trial] = row
            free -= 1
            train(trial, answer["stop"])
        if not queue:
            return log
        now, _, trial, unit = heapq.heappop(queue)
        loss = finite_or_worst(float(table.losses[row_of[trial], unit - 1]))
        loss = min(loss, _WORST)
        point = rows.points[row_of[trial]].tolist()
        answer = agent.call("tell", trial=trial, unit=unit, loss=loss, point=point)
        if "stop" in answer and len(log.epochs) < budget:
            train(trial, answer["stop"])
        else:
            free += 1


_WORST = 1e30  # for a loss that is not finite, which JSON and some peers do not take


# -- what is there, and the cache -----------------------------------------------------------------


def installed(name: str, pythons: Mapping[str, str]) -> str | None:
    """Return the version of a peer's package, None where it is not there."""
    environment = ENTRIES[name].environment
    assert environment is not None
    command = [pythons[environment], str(AGENT), name, "--version"]
    try:
        done = subprocess.run(  # noqa: S603 - as above
            command, capture_output=True, text=True, check=True, env=_clean_environment()
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


@cache
def version(name: str, package: str) -> str:
    """Return the key of a method's results: of a peer by its package, of ours by the code."""
    if ENTRIES[name].environment is not None:
        return f"v{VERSION}-{package}"
    build = forecasting if ENTRIES[name].build is None else ENTRIES[name].build
    assert build is not None
    return hashlib.sha256(code_of_hpo() + code_of(build)).hexdigest()[:12]


@dataclass(frozen=True)
class Work:
    """One method on one table and so many workers, with these seeds."""

    name: str
    package: str
    task: Task
    n_workers: int
    seeds: Sequence[int]
    cache: Path
    pythons: Mapping[str, str]

    def results(self) -> list[Result]:
        """Return the results, from the folder where they are there."""
        return [self._result(seed) for seed in self.seeds]

    def _result(self, seed: int) -> Result:
        folder = self.cache / f"{self.name}-{version(self.name, self.package)}"
        path = folder / f"{self.task.fingerprint}-{self.n_workers}-{seed}.json"
        if path.exists():
            return Result(**json.loads(path.read_text(encoding="utf-8")))
        result = run(self.name, self.task, seed, self.n_workers, self.pythons)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(asdict(result)).encode())
        return result
