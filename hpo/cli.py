"""The command line: ``hpo run``, ``resume``, ``simulate``, ``report`` and ``export``.

A usage error prints one line to standard error and exits with status 2, a failed run exits with
status 1, and Ctrl-C with 130 after printing the command that resumes the run.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from hpo.errors import (
    ExecutorBrokenError,
    InterruptedRunError,
    JournalWriteError,
    UsageError,
    usage_checked,
)

if TYPE_CHECKING:
    from rich.console import Console

    from hpo.run.results import Results

_EXIT_FAILED = 1
_EXIT_USAGE = 2
_EXIT_INTERRUPTED = 130
_PATH = click.Path(path_type=Path)


def parse_options(pairs: Sequence[str]) -> dict[str, Any]:
    """Read ``name=value`` pairs; values are JSON where they can be, else text.

    Raises
    ------
    UsageError
        If a pair has no ``=``.

    Examples
    --------
    >>> parse_options(["min-curves=5", "kernel=rbf"])
    {'min_curves': 5, 'kernel': 'rbf'}
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"options are given as NAME=VALUE, got {pair!r}")
        try:
            options[name.replace("-", "_")] = json.loads(value)
        except json.JSONDecodeError:
            options[name.replace("-", "_")] = value
    return options


def _pairs(name: str, text: str) -> Callable[..., Any]:
    """Return an option that is given as ``--name NAME=VALUE``, any number of times."""
    return click.option(name, multiple=True, metavar="NAME=VALUE", help=f"{text}; repeatable.")


def _version(context: click.Context, _: click.Parameter, value: bool) -> None:
    """Print the version and exit."""
    from importlib.metadata import PackageNotFoundError, version

    if value and not context.resilient_parsing:
        try:
            click.echo(f"hpo {version('qsvr')}")
        except PackageNotFoundError:
            click.echo("hpo (not installed, run from its source)")
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version)
def cli() -> None:
    """Multi-fidelity hyperparameter optimisation: Hyperband, ASHA and Swift-Hyperband."""


@cli.command()
@click.argument("trainer")
@click.option("--space", type=_PATH, help="Search space, TOML [default: beside the trainer].")
@click.option("--max-resource", type=int, required=True, help="Maximum epochs per trial (R).")
@click.option(
    "--scheduler", default="swift-asha", show_default=True, help="swift-asha, hyperband, asha, ..."
)
@click.option("--predictor", default="auto", show_default=True, help="Learning curve predictor.")
@click.option(
    "--reduction-factor", type=int, default=2, show_default=True, help="Halving rate (eta)."
)
@click.option("--searcher", default="auto", show_default=True, help="curves, tpe, random or grid.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Seed of the random number generators."
)
@click.option(
    "--workers",
    "n_workers",
    type=int,
    help="Workers [default: all of a cluster, 1 here].",
)
@click.option(
    "--executor",
    default="process",
    show_default=True,
    help="process, inline (reproducible), dask, mpi or ray.",
)
@click.option(
    "--min-improvement",
    type=float,
    help="End once so little improvement of the best loss is expected of the remaining epochs.",
)
@click.option("--timeout", type=float, help="Time limit of a training job, in seconds.")
@click.option("--predict-timeout", type=float, help="Time limit of a prediction, in seconds.")
@click.option(
    "--max-retries",
    type=int,
    default=1,
    show_default=True,
    help="Retries of a failed job.",
)
@click.option("--journal", type=_PATH, help="New journal file [default: by trainer's name].")
@click.option(
    "--checkpoint-dir", type=_PATH, help="Directory of checkpoints [default: beside the journal]."
)
@click.option(
    "--allow-duplicates",
    is_flag=True,
    help="Let configurations be tried more than once, for a trainer with noise.",
)
@_pairs("--searcher-option", "Option of the searcher")
@_pairs("--scheduler-option", "Option of the scheduler")
@_pairs("--predictor-option", "Option of the predictor")
@_pairs("--executor-option", "Option of the executor, such as devices=0,1")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def run(trainer: str, space: Path | None, journal: Path | None, **options: Any) -> None:
    """Tune TRAINER, named FILE.py:name or package.module:name."""
    from hpo.run.spec import RunSpec
    from hpo.run.tuner import Tuner
    from hpo.space.search_space import SearchSpace
    from hpo.trainers.loading import default_space

    _see_working_directory()
    settings = {
        "progress": _progress(quiet=options.pop("quiet")),
        "checkpoint_dir": options.pop("checkpoint_dir"),
    }
    scheduler_options = parse_options(options.pop("scheduler_option"))
    if (least := options.pop("min_improvement")) is not None:
        scheduler_options["min_improvement"] = least
    spec = RunSpec(
        trainer=trainer,
        space=usage_checked(SearchSpace.from_toml, space or default_space(trainer)).to_dict(),
        searcher_options=parse_options(options.pop("searcher_option")),
        scheduler_options=scheduler_options,
        predictor_options=parse_options(options.pop("predictor_option")),
        executor_options=parse_options(options.pop("executor_option")),
        **options,
    )
    if journal is None:
        target = trainer.rpartition(":")[0]
        stem = Path(target).stem if target.endswith(".py") else target.rpartition(".")[2]
        journal = Path(f"{stem or 'run'}-{spec.scheduler}.jsonl")
    tuner = Tuner.from_spec(spec, journal=journal, **settings)
    _show(_watched(tuner.run, journal), journal)


@cli.command()
@click.argument("journal", type=_PATH)
@click.option("--workers", "n_workers", type=int, help="Number of workers [as before].")
@click.option("--executor", help="Executor [as before].")
@_pairs("--executor-option", "Option of the executor [as before]")
@click.option("--timeout", type=float, help="Time limit of a training job, in s [as before].")
@click.option("--max-retries", type=int, help="Further attempts of a failed job [as before].")
@click.option("--checkpoint-dir", type=_PATH, help="Directory of the checkpoints [as before].")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def resume(journal: Path, *, quiet: bool, **options: Any) -> None:
    """Resume the run of JOURNAL, which was stopped or killed."""
    from hpo.run.tuner import Tuner

    _see_working_directory()
    executor_options = parse_options(options.pop("executor_option"))
    given = {name: value for name, value in options.items() if value is not None}
    if executor_options or "executor" in given:  # another executor has other options
        given["executor_options"] = executor_options
    progress = _progress(quiet=quiet)
    _show(_watched(lambda: Tuner.resume(journal, progress=progress, **given), journal), journal)


@cli.command()
@click.argument("journal", type=_PATH)
@click.option("--top", type=int, default=10, show_default=True, help="Number of trials to list.")
@click.option("--csv", type=_PATH, help="Write all trials to this new file.")
@click.option("--figures", type=_PATH, help="Draw figures into this directory.")
@click.option("--html", type=_PATH, help="Write an interactive page to this new file.")
@click.option("--overwrite", is_flag=True, help="Let --html replace a file.")
def report(journal: Path, *, top: int, csv: Path | None, figures: Path | None, **page: Any) -> None:
    """Show the results of the run of JOURNAL so far, without changing it."""
    from hpo.report import read_run, write_report

    run = read_run(journal)
    if csv is not None:
        run.results.write_csv(csv)
    _show(run.results, journal, top)
    if page["html"] is not None:
        click.echo(f"Page: {write_report(run, page['html'], overwrite=page['overwrite'])}")
    if figures is not None:
        from hpo.report.plots import save_figures

        for path in usage_checked(save_figures, {journal.stem: run.results}, figures):
            click.echo(f"Figure: {path}")


@cli.command()
@click.argument("journal", type=_PATH)
@click.argument("storage")
@click.option("--study", help="Name of the study [default: the journal's].")
def export(journal: Path, storage: str, study: str | None) -> None:
    """Write the run of JOURNAL into Optuna's STORAGE (sqlite:///FILE, or a file); repeatable."""
    from hpo.integrations.optuna import export_journal

    done = usage_checked(export_journal, journal, storage, study_name=study)
    click.echo(
        f"Study {done.study}: {done.added} trials added, {done.updated} updated, "
        f"{done.unchanged} unchanged"
    )


@cli.command()
@click.argument("table", type=_PATH)
@click.option(
    "--scheduler",
    "schedulers",
    multiple=True,
    default=("hyperband", "swift-hyperband"),
    show_default=True,
    help="Scheduler, repeatable; the first is the reference of the comparison.",
)
@click.option("--predictor", default="nusvr", show_default=True, help="Curve predictor.")
@click.option("--max-resource", type=int, help="Maximum epochs per trial (R) [default: all].")
@click.option(
    "--reduction-factor", type=int, default=2, show_default=True, help="Halving rate (eta)."
)
@click.option("--seeds", type=int, default=10, show_default=True, help="Runs of each scheduler.")
@click.option(
    "--workers", "n_workers", type=int, default=1, show_default=True, help="Simulated workers."
)
@_pairs("--predictor-option", "Option of the predictor")
def simulate(table: Path, predictor_option: Sequence[str], **options: Any) -> None:
    """Compare schedulers on TABLE, a CSV or NPZ file of recorded learning curves."""
    from hpo.simulation.compare import Setting, simulate_all, table_of

    setting = Setting(predictor_options=parse_options(predictor_option), **options)
    rows = simulate_all(table, setting)
    _console().print(table_of(rows, setting))


def _see_working_directory() -> None:
    """Let modules of the working directory be imported, as ``python -m`` does; workers follow."""
    try:
        here = str(Path.cwd())
    except OSError:  # it was deleted
        return
    if not sys.flags.safe_path and not {here, ""} & set(sys.path):
        sys.path.insert(0, here)


def _console() -> Console:
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=120)


def _progress(*, quiet: bool) -> Any:
    from hpo.run.progress import Progress, RichProgress

    return Progress() if quiet else RichProgress()


def _watched(work: Callable[[], Results], journal: Path) -> Results:
    """Do the work; if it is stopped or fails, say what was kept and how to resume."""
    try:
        return work()
    except InterruptedRunError as stop:
        _stopped(str(stop), journal, stop.exit_code)
    except KeyboardInterrupt:
        _stopped("Stopped at once.", journal, _EXIT_INTERRUPTED)
    except (ExecutorBrokenError, JournalWriteError) as error:
        _stopped(f"Error: {error}", journal, _EXIT_FAILED)


def _stopped(message: str, journal: Path, code: int) -> NoReturn:
    click.echo(message, err=True)
    if journal.exists():
        command = "python -m hpo" if Path(sys.argv[0]).name == "__main__.py" else "hpo"
        if "mpi4py.futures" in sys.orig_argv:
            command = "mpiexec -n N python -m mpi4py.futures -m hpo"
        click.echo(f"Go on with: {command} resume {shlex.quote(str(journal))}", err=True)
    raise SystemExit(code)


def _show(results: Results, journal: Path, top: int = 10) -> None:
    """Print the table of the best trials, the cost and the savings."""
    console = _console()
    console.print(results.table(top))
    for line in results.summary_lines():
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    click.echo(f"Journal: {journal}")
    if results.finished and results.best is None:
        click.echo("Error: no trial ended with a finite loss; see the reasons above", err=True)
        raise SystemExit(_EXIT_FAILED)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Parameters
    ----------
    args : sequence of str, optional
        Arguments; default: those of the process.
    """
    try:
        code = cli.main(args, prog_name="hpo", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = _EXIT_USAGE
    except click.ClickException as error:
        code = _complain(error.format_message())
    except UsageError as error:
        code = _complain(str(error))
    except click.Abort:
        click.echo("Stopped.", err=True)
        code = _EXIT_INTERRUPTED
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str) -> int:
    click.echo("Error: " + " ".join(message.split()), err=True)
    return _EXIT_USAGE
