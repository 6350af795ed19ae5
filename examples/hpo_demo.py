"""Tune a small network for handwritten digits with Hyperband, Swift-Hyperband and Swift-ASHA.

Hyperband is the baseline. Swift-Hyperband, the papers' method, tries the same
configurations, and predicts final losses to stop more of them early. Swift-ASHA, the default of
``hpo run``, decides by forecasts of learning curves and proposes configurations of its own. Each
search runs on two worker processes. The program prints progress and a table of what each search
spent and found, and writes figures to ``demo-output/``::

    python examples/hpo_demo.py
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from _steps import Steps, steps
from hpo.errors import InterruptedRunError, UsageError
from hpo.report import read_run
from hpo.report.plots import save_figures
from hpo.run.journal import read_journal
from hpo.run.progress import RichProgress
from hpo.run.results import Results
from hpo.run.skill import Skill
from hpo.run.spec import RunSpec
from hpo.run.trial_results import TrialResult
from hpo.run.tuner import Tuner
from hpo.space import SearchSpace

SKILL = """
The skill compares predictions with keeping the last known loss. Below 0, the last loss is the
better prediction. This small search has about ten complete curves to learn from. Among them, the
curve of a training that failed is predicted badly from the others, while its last loss is nearly
right. Searches with more trials have more curves to learn from: see "Skill" in
docs/guide/reports.md.
"""
HERE = Path(__file__).parent
CONSOLE = Console(width=None if sys.stdout.isatty() else 100)
NEXT = """
What to do next:
  hpo report demo-output/runs/swift-asha.jsonl --html report.html
      the report of the last search as one HTML file
  hpo run examples/digits_numpy.py:trainer --space examples/digits_numpy_space.toml \\
          --max-resource 16 --workers 2
      a trainer of 100 lines without PyTorch, to be copied and changed
  hpo simulate
      Hyperband and Swift-Hyperband on recorded learning curves, in seconds
  docs/start/quickstart.md
      your own data and your own model
"""


@dataclass(frozen=True)
class Entry:
    """One search of the comparison.

    Attributes
    ----------
    name : str
        Name of the search.
    results : Results
        Its results.
    best : TrialResult or None
        The best trial: of those trained to the maximum resource, that with the lowest last loss.
    start_up : float
        Seconds until the first loss: the workers start and import the trainer.
    wall_clock : float
        Seconds from the first loss to the end.
    """

    name: str
    results: Results
    best: TrialResult | None
    start_up: float
    wall_clock: float


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--predictor", default="qsvr", help="curve predictor of Swift-Hyperband")
    parser.add_argument("--max-resource", type=int, default=27, help="most epochs for one trial")
    parser.add_argument("--workers", type=int, default=2, help="worker processes")
    parser.add_argument("--seed", type=int, default=0, help="of the configurations")
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="for figures")
    return parser.parse_args()


def check_predictor(name: str) -> None:
    """Check, before anything is trained, that the annealing predictor can be used.

    What it compiles at its first use on a machine is compiled here, so that no search is measured
    with it.
    """
    if name != "qsvr":
        return
    try:
        from qsvr import warm_up

        warm_up(verbose=0)
    except ImportError as error:
        raise UsageError(
            f"predictor 'qsvr' cannot be imported ({error}); try --predictor nusvr"
        ) from None


def specification(scheduler: str, args: argparse.Namespace) -> RunSpec:
    """Describe one search; Swift-ASHA takes its own predictor and searcher."""
    return RunSpec(
        trainer=f"{HERE / 'digits_cnn.py'}:trainer",
        space=SearchSpace.from_toml(HERE / "digits_space.toml").to_dict(),
        max_resource=args.max_resource,
        scheduler=scheduler,
        scheduler_options={"min_curves": 8} if scheduler == "swift-hyperband" else {},
        predictor="auto" if scheduler == "swift-asha" else args.predictor,
        n_workers=args.workers,
        seed=args.seed,
    )


def journal_of(scheduler: str, args: argparse.Namespace) -> Path:
    """Return the journal of a search."""
    return args.output / "runs" / f"{scheduler}.jsonl"


def search(name: str, scheduler: str, args: argparse.Namespace) -> Entry:
    """Run one search from its beginning; what an earlier demo left is removed."""
    journal = journal_of(scheduler, args)
    journal.unlink(missing_ok=True)
    shutil.rmtree(journal.with_suffix(".checkpoints"), ignore_errors=True)
    tuner = Tuner.from_spec(
        specification(scheduler, args), journal=journal, progress=RichProgress(console=CONSOLE)
    )
    begun = time.time()
    results = tuner.run()
    ended = time.time()
    entries = read_journal(journal).entries
    first_loss = next(entry.time for entry in entries if entry.kind == "reported")
    return Entry(name, results, results.incumbent, first_loss - begun, ended - first_loss)


def table_of(entries: list[Entry]) -> Table:
    """Set the searches side by side."""
    table = Table(
        title="Digits: what each search spent and found",
        caption=(
            "best error: lowest last error of a trial that was trained to the maximum resource. "
            "Start-up is the time until the first loss, wall-clock the time from then to the end."
        ),
    )
    for heading in ("search", "trials", "epochs", "best error", "trial", "start-up", "wall-clock"):
        table.add_column(heading, justify="left" if heading == "search" else "right")
    for entry in entries:
        best = entry.best
        table.add_row(
            entry.name,
            str(len(entry.results.trials)),
            str(entry.results.epochs),
            "-" if best is None else f"{best.value:.2%}",
            "-" if best is None else str(best.trial_id),
            f"{entry.start_up:.1f} s",
            f"{entry.wall_clock:.1f} s",
        )
    return table


def main() -> int:
    """Run the comparison."""
    args = arguments()
    with steps() as demo:
        return compare(demo, args)


def compare(demo: Steps, args: argparse.Namespace) -> int:
    """Run the three searches and show them side by side; return the exit status."""
    demo.announce("Part 2 of 2: tuning a small network on two worker processes", "about 90 s")
    runs = {}
    try:
        demo.announce("Preparing the predictor", "about 5 s")
        check_predictor(args.predictor)
        for scheduler, name, usual in (
            ("hyperband", "Hyperband, the baseline", "about 30 s"),
            ("swift-hyperband", f"Swift-Hyperband + {args.predictor}", "about 30 s"),
            ("swift-asha", "Swift-ASHA", "about 30 s"),
        ):
            demo.announce(name, usual)
            runs[scheduler] = search(name.partition(",")[0], scheduler, args)
    except UsageError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    except InterruptedRunError as stop:
        print(stop, file=sys.stderr)
        print(f"Resume it with: hpo resume {stop.journal}", file=sys.stderr)
        return stop.exit_code
    CONSOLE.print(table_of(list(runs.values())))
    for scheduler, name in (("swift-hyperband", "Swift-Hyperband"), ("swift-asha", "Swift-ASHA")):
        CONSOLE.print(f"\n[bold]{name} in detail[/bold]")
        for line in read_run(journal_of(scheduler, args)).summary_lines():
            CONSOLE.print(line, highlight=False, markup=False)
        skill = Skill.of(runs[scheduler].results.events)
        if scheduler == "swift-hyperband" and skill is not None and skill.median <= 0:
            CONSOLE.print(SKILL.strip(), highlight=False, markup=False, soft_wrap=True)
    demo.announce("Drawing the figures", "about 5 s")
    for path in save_figures({name: entry.results for name, entry in runs.items()}, args.output):
        CONSOLE.print(f"Figure: {path}", highlight=False)
    activate = Path(sys.prefix, "bin", "activate")
    if shutil.which("hpo") is None and activate.is_file():
        activation = f"\nActivate the environment, so that hpo is found:\n  source {activate}"
        CONSOLE.print(activation, highlight=False, markup=False, soft_wrap=True)
    CONSOLE.print(NEXT, highlight=False, markup=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
