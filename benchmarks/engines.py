"""Searches on real worker processes whose epochs take unequally long: utilisation and makespan.

    python benchmarks/engines.py [--quick] [--check] [--workers 2 4 8] [--epoch 0.2]
        [--seeds 3]

Epochs sleep: 0.2 s on average, the longest seven times as long as the shortest. Each search of
Swift-ASHA, with the budget that it takes by default, is compared with Hyperband with the same R =
27 and its brackets side by side.

Utilisation is the time in which workers slept in an epoch, by their own clocks, divided by all of
their time from the first report to the last start. What a decision, a forecast, the journal or the
way to a worker and back takes counts as idle. The makespan is the time from the first start to the
last end. Figures are means over seeds: which configurations are trained for long, and how slow they
are, differs by a quarter between searches.

``first loss`` is the time from the command ``hpo run`` to its first report with a network in
PyTorch, where it is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from _harness import Thresholds, argument_parser, print_table
from hpo.run.journal import read_journal
from hpo.run.spec import RunSpec
from hpo.run.tuner import Tuner

WORKERS = (2, 4, 8)
MAX_RESOURCE = 27
LEAST_UTILISATION = 0.9
LARGEST_MAKESPAN = 0.5
NETWORK = "hpo.examples.mlp:trainer"
TRAINER = """
import time
from pathlib import Path

def train(config, start, stop, checkpoint):
    losses = []
    for unit in range(start, stop):
        begun = time.time()
        time.sleep({epoch} * (0.25 + 1.5 * config["width"]))
        losses.append((config["lr"] - 0.3) ** 2 + (0.2 + config["decay"]) / (unit + 1) ** 0.7)
        with (Path(__file__).parent / "spans.txt").open("a") as file:
            file.write(f"{{begun}} {{time.time()}}\\n")
    return losses
"""
SPACE = {name: {"type": "float", "low": 0.0, "high": 1.0} for name in ("lr", "decay", "width")}


@dataclass(frozen=True)
class Search:
    """One search.

    Attributes
    ----------
    epochs : int
        Epochs trained.
    makespan : float
        Seconds from the first start to the last end.
    utilisation : float
        From the first report to the last start.
    best : float
        Lowest last loss.
    """

    epochs: int
    makespan: float
    utilisation: float
    best: float


def searches(scheduler: str, n_workers: int, epoch: float, seeds: int) -> Search:
    """Return the means over several searches."""
    found = [search(scheduler, n_workers, epoch, seed) for seed in range(seeds)]
    return Search(
        epochs=round(mean(each.epochs for each in found)),
        makespan=mean(each.makespan for each in found),
        utilisation=mean(each.utilisation for each in found),
        best=mean(each.best for each in found),
    )


def search(scheduler: str, n_workers: int, epoch: float, seed: int) -> Search:
    """Run a search and measure it."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        (place / "work.py").write_text(TRAINER.format(epoch=epoch), encoding="utf-8")
        spec = RunSpec(
            f"{place / 'work.py'}:train",
            SPACE,
            max_resource=MAX_RESOURCE,
            scheduler=scheduler,
            seed=seed,
            n_workers=n_workers,
        )
        journal = place / "run.jsonl"
        results = Tuner.from_spec(spec, journal=journal).run()
        rows = (place / "spans.txt").read_text(encoding="utf-8").splitlines()
        spans = [(float(a), float(b)) for a, b in map(str.split, rows)]
        entries = [e for e in read_journal(journal).entries if "start" in e.data]
    first = next(e.time for e in entries if e.kind == "reported")
    last = max(e.time for e in entries if e.kind == "decided")
    busy = sum(max(0.0, min(end, last) - max(begun, first)) for begun, end in spans)
    assert results.best is not None
    return Search(
        epochs=results.epochs,
        makespan=max(end for _, end in spans) - min(begun for begun, _ in spans),
        utilisation=busy / (n_workers * (last - first)),
        best=results.best.last_loss,
    )


def first_loss(n_workers: int) -> float:
    """Return the seconds from the command to the first report of a network in PyTorch."""
    with tempfile.TemporaryDirectory() as directory:
        journal = Path(directory) / "run.jsonl"
        command = [sys.executable, "-m", "hpo", "run", NETWORK, "--max-resource", "3"]
        begun = time.time()
        subprocess.run(  # noqa: S603
            [*command, "--workers", str(n_workers), "--journal", str(journal)],
            check=True,
            capture_output=True,
        )
        reports = (e for e in read_journal(journal).entries if e.kind == "reported")
        return next(reports).time - begun


def options() -> argparse.Namespace:
    parser = argument_parser(__doc__)
    parser.add_argument("--workers", nargs="+", type=int, default=list(WORKERS))
    parser.add_argument("--epoch", type=float, default=0.2, help="mean seconds of an epoch")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    if args.quick:
        args.workers, args.seeds = args.workers[-1:], 1
    return args


def main() -> None:
    args = options()
    torch = importlib.util.find_spec("torch") is not None
    thresholds, rows = Thresholds(), []
    for n in args.workers:
        theirs = searches("hyperband", n, args.epoch, args.seeds)
        ours = searches("swift-asha", n, args.epoch, args.seeds)
        ratio = ours.makespan / theirs.makespan
        loss = f"{first_loss(n):.1f}" if torch else "-"
        for name, found in (("hyperband", theirs), ("swift-asha", ours)):
            cells = [f"{found.epochs}", f"{found.makespan:.1f}", f"{found.utilisation:.3f}"]
            same = name == "hyperband"
            cells += [f"{found.best:.4f}", "" if same else f"{ratio:.2f}", "" if same else loss]
            rows.append([str(n), name, *cells])
        what = f"swift-asha on {n} workers"
        thresholds.at_least(f"{what}, utilisation", ours.utilisation, LEAST_UTILISATION)
        thresholds.at_most(f"{what}, makespan / Hyperband's", ratio, LARGEST_MAKESPAN)
    header = ["workers", "search", "epochs", "makespan s", "utilisation", "best loss"]
    print_table([*header, "of Hyperband's", "first loss s"], rows)
    thresholds.finish(args.check)


if __name__ == "__main__":
    main()
