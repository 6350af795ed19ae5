"""Cost of each executor: time per job, and the time of a search relative to that of its epochs.

    python benchmarks/executors.py [--quick] [--check] [--executors process,dask,mpi]

The search is Swift-Hyperband over 200 trials (four iterations of its brackets at
``max_resource=50``, ``reduction_factor=3``) with epochs that sleep for 50 ms, on 2 workers. Ideal
is the work that was done, divided by the workers: ``epochs * 0.05 s / 2``. Starting the executor
counts, and so do decisions, predictions and the journal with its checkpoints. ``inline`` on one
worker is the baseline without any executor.

MPI runs under ``mpiexec`` with one rank more than there are workers. Executors that are not
installed are named and left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from _harness import Thresholds, argument_parser, print_table
from hpo.run.executors import make_pool
from hpo.run.journal import read_journal
from hpo.run.results import Results
from hpo.run.spec import RunSpec
from hpo.run.tuner import Tuner
from hpo.trainers import NamedTrainer, Segment

WORKERS = 2
EPOCH = 0.05
EXECUTORS = ("inline", "process", "dask", "mpi", "ray")
NEED_EFFICIENCY = ("process", "dask", "mpi")
THRESHOLD = 0.9

TRAINER = f"""
import time

def train(config, start, stop, checkpoint):
    time.sleep({EPOCH} * (stop - start))
    lr = config["lr"]
    return [(lr - 0.3) ** 2 + (1 + lr) / (unit + 1) for unit in range(start, stop)]

def nothing(config, start, stop, checkpoint):
    return [0.0] * (stop - start)
"""


def workers_of(executor: str) -> int:
    return 1 if executor == "inline" else WORKERS


def overhead(executor: str, place: Path, jobs: int) -> float:
    """Return the median time in seconds of an empty job, sent and answered, one at a time."""
    trainer = NamedTrainer(f"{place / 'work.py'}:nothing")
    segment = Segment({}, 0, 1, place / "trial" / "checkpoint")
    pool = make_pool(executor, workers_of(executor))
    times = []
    try:
        for _ in range(jobs + 2 * WORKERS):  # the first ones start processes and import
            begun = time.perf_counter()
            outcome = pool.submit(trainer, segment, None).result()
            times.append(time.perf_counter() - begun)
            if outcome.reason:
                sys.exit(f"{executor}: {outcome.reason}")
    finally:
        pool.close()
    return median(times[2 * WORKERS :])


def search(executor: str, place: Path, iterations: int) -> dict[str, float]:
    """Run the search; return its figures."""
    spec = RunSpec(
        trainer=f"{place / 'work.py'}:train",
        space={"lr": {"type": "float", "low": 0.0, "high": 1.0}},
        scheduler="swift-hyperband",
        max_resource=50,
        reduction_factor=3,
        scheduler_options={"iterations": iterations, "min_curves": 4},
        executor=executor,
        n_workers=workers_of(executor),
    )
    journal = place / f"{executor}.jsonl"
    begun = time.time()
    results = Tuner.from_spec(spec, journal=journal).run()
    wall = time.time() - begun
    return figures(results, journal, begun, wall, workers_of(executor))


def figures(
    results: Results, journal: Path, begun: float, wall: float, n_workers: int
) -> dict[str, float]:
    first = next(e.time for e in read_journal(journal).entries if e.kind == "reported")
    earliest = min(report.stop for _, report in results.reports[:1])
    overlap = results.overlap
    return {
        "trials": len(results.trials),
        "epochs": results.epochs,
        "jobs": len(results.reports),
        "start": max(0.0, first - begun - earliest * EPOCH),
        "wall": wall,
        "ideal": results.epochs * EPOCH / n_workers,
        "predicting": overlap.predicting,
        "utilisation": overlap.utilisation or 0.0,
        "best": results.best.last_loss if results.best else float("nan"),
    }


def measured(executor: str, place: Path, args: argparse.Namespace) -> dict[str, float]:
    """Return all figures of an executor."""
    found = search(executor, place, args.iterations)
    found["overhead"] = overhead(executor, place, args.jobs)
    return found


def under_mpi(place: Path, args: argparse.Namespace) -> dict[str, float]:
    """Measure MPI: this script again, led by rank 0."""
    answer = place / "mpi.json"
    environment = {
        **os.environ,
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
    }
    command = ["mpiexec", "-n", str(WORKERS + 1), sys.executable, "-m", "mpi4py.futures", __file__]
    options = ["--place", str(place), "--jobs", str(args.jobs), "--iterations"]
    subprocess.run([*command, *options, str(args.iterations)], env=environment, check=True)  # noqa: S603
    found: dict[str, float] = json.loads(answer.read_text())
    return found


def missing(executor: str) -> str:
    """Return what an executor lacks on this machine; empty if nothing."""
    package = {"dask": "distributed", "mpi": "mpi4py", "ray": "ray"}.get(executor)
    if package is not None and importlib.util.find_spec(package) is None:
        return f'pip install ".[{executor}]"'
    if executor == "mpi" and shutil.which("mpiexec") is None:
        return "mpiexec (Debian: openmpi-bin)"
    return ""


def arguments() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--executors", default=",".join(EXECUTORS), help="separated by commas")
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)  # set under mpiexec
    parser.add_argument("--jobs", type=int, default=200, help="empty jobs to time")
    parser.add_argument("--iterations", type=int, default=4, help="of Hyperband's brackets")
    args = parser.parse_args()
    if args.quick:
        args.jobs, args.iterations = 50, 1
        args.executors = "process,dask"
    return args


def row(executor: str, found: dict[str, Any]) -> list[str]:
    return [
        executor,
        str(workers_of(executor)),
        f"{found['overhead'] * 1e3:.1f}",
        f"{found['trials']:.0f}",
        f"{found['epochs']:.0f}",
        f"{found['jobs']:.0f}",
        f"{found['ideal']:.1f}",
        f"{found['wall']:.1f}",
        f"{found['start']:.1f}",
        f"{found['ideal'] / found['wall']:.3f}",
        f"{found['ideal'] / (found['wall'] - found['start']):.3f}",
        f"{found['predicting']:.1f}",
        f"{found['utilisation']:.2f}",
    ]


HEADER = ["executor", "workers", "ms a job", "trials", "epochs", "jobs", "ideal s", "wall s"]
HEADER += ["start s", "efficiency", "without start", "predicting s", "utilisation"]


def main() -> None:
    args = arguments()
    if args.place is not None:
        found = measured("mpi", args.place, args)
        (args.place / "mpi.json").write_text(json.dumps(found))
        return
    thresholds, rows, bests = Thresholds(), [], {}
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        (place / "work.py").write_text(TRAINER)
        for executor in args.executors.split(","):
            if lack := missing(executor):
                print(f"{executor} is left out, it needs {lack}")
                continue
            found = under_mpi(place, args) if executor == "mpi" else measured(executor, place, args)
            rows.append(row(executor, found))
            bests[executor] = found["best"]
            if executor in NEED_EFFICIENCY:
                # one iteration is too short to make up for a start of seconds
                whole = found["wall"] - (found["start"] if args.quick else 0.0)
                thresholds.at_least(f"efficiency of {executor}", found["ideal"] / whole, THRESHOLD)
    print_table(HEADER, rows)
    thresholds.hold("the same best loss on every executor", len(set(bests.values())) == 1)
    thresholds.finish(check=args.check)


if __name__ == "__main__":
    main()
