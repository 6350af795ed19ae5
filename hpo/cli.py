"""The command line: ``hpo run``, ``resume``, ``simulate``, ``report`` and ``export``.

A mistake of the user is answered by one line on standard error and exit code 2; a run that failed
by exit code 1; Ctrl-C by 130 and the command that goes on.
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
    from hpo.run.results import Results

_PATH = click.Path(path_type=Path)

_RUN_OPTIONS = (
    click.option("--space", type=_PATH, help="Search space, TOML [default: beside the trainer]."),
    click.option("--max-resource", type=int, required=True, help="Most epochs for one trial."),
    click.option("--scheduler", default="swift", show_default=True, help="What decides."),
    click.option("--predictor", default="auto", show_default=True, help="What predicts curves."),
    click.option("--reduction-factor", type=int, default=2, show_default=True, help="1 of N stays"),
    click.option(
        "--searcher", default="auto", show_default=True, help="curves, tpe, gp, random or grid."
    ),
    click.option("--seed", type=int, default=0, show_default=True, help="Of all random choices."),
    click.option(
        "--workers", "n_workers", type=int, help="Workers [default: all of a cluster, 1 here]."
    ),
    click.option(
        "--executor",
        default="process",
        show_default=True,
        help="process, inline (repeatable), dask, mpi or ray.",
    ),
    click.option("--timeout", type=float, help="Seconds that one training job may take."),
    click.option("--predict-timeout", type=float, help="Seconds that a prediction may take."),
    click.option(
        "--max-retries", type=int, default=1, show_default=True, help="For a job that failed."
    ),
    click.option(
        "--journal", type=_PATH, help="New file for the run's state [default: by trainer's name]."
    ),
    click.option("--checkpoint-dir", type=_PATH, help="[default: beside the journal]"),
    click.option("--searcher-option", multiple=True, metavar="NAME=VALUE", help="May be repeated."),
    click.option(
        "--scheduler-option", multiple=True, metavar="NAME=VALUE", help="May be repeated."
    ),
    click.option(
        "--predictor-option", multiple=True, metavar="NAME=VALUE", help="May be repeated."
    ),
    click.option(
        "--executor-option",
        multiple=True,
        metavar="NAME=VALUE",
        help="address=..., devices=0,1, ...; may be repeated.",
    ),
    click.option("--quiet", is_flag=True, help="Show no progress."),
)


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of ``hpo run`` to a command."""
    for option in reversed(_RUN_OPTIONS):
        command = option(command)
    return command


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
        options[name.replace("-", "_")] = _value(value)
    return options


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


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
@run_options
def run(trainer: str, space: Path | None, journal: Path | None, **options: Any) -> None:
    """Tune TRAINER, named FILE.py:name or package.module:name."""
    from hpo.run.spec import RunSpec
    from hpo.run.tuner import Tuner
    from hpo.space.search_space import SearchSpace
    from hpo.trainers.loading import default_space

    settings = {"progress": _progress(quiet=options.pop("quiet"))}
    settings["checkpoint_dir"] = options.pop("checkpoint_dir")
    spec = RunSpec(
        trainer=trainer,
        space=usage_checked(SearchSpace.from_toml, space or default_space(trainer)).to_dict(),
        searcher_options=parse_options(options.pop("searcher_option")),
        scheduler_options=parse_options(options.pop("scheduler_option")),
        predictor_options=parse_options(options.pop("predictor_option")),
        executor_options=parse_options(options.pop("executor_option")),
        **options,
    )
    place = journal or _default_journal(spec.trainer, spec.scheduler)
    tuner = Tuner.from_spec(spec, journal=place, **settings)
    _show(_watched(tuner.run, place), place)


@cli.command()
@click.argument("journal", type=_PATH)
@click.option("--workers", "n_workers", type=int, help="Workers from now on [as before].")
@click.option("--executor", help="Engine from now on [as before].")
@click.option("--executor-option", multiple=True, metavar="NAME=VALUE", help="[as before]")
@click.option("--timeout", type=float, help="Seconds a training job may take [as before].")
@click.option("--max-retries", type=int, help="Further attempts for a failed job [as before].")
@click.option("--checkpoint-dir", type=_PATH, help="Where the checkpoints are now [as before].")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def resume(journal: Path, *, quiet: bool, **options: Any) -> None:
    """Go on with the run of JOURNAL, which was stopped or killed."""
    from hpo.run.tuner import Tuner

    engine_options = parse_options(options.pop("executor_option"))
    given = {name: value for name, value in options.items() if value is not None}
    if engine_options or "executor" in given:  # another engine has other options
        given["executor_options"] = engine_options
    progress = _progress(quiet=quiet)
    _show(_watched(lambda: Tuner.resume(journal, progress=progress, **given), journal), journal)


@cli.command()
@click.argument("journal", type=_PATH)
@click.option("--top", type=int, default=10, show_default=True, help="Best trials to list.")
@click.option("--csv", type=_PATH, help="Write all trials to this new file.")
@click.option("--figures", type=_PATH, help="Draw the figures into this directory.")
@click.option("--html", type=_PATH, help="Write an interactive page to this new file.")
@click.option("--overwrite", is_flag=True, help="Let --html replace a file.")
def report(journal: Path, *, top: int, csv: Path | None, figures: Path | None, **page: Any) -> None:
    """Show what the run of JOURNAL found so far; changes nothing in it."""
    from hpo.report import read_run, write_report

    run = read_run(journal)
    if csv is not None:
        run.results.write_csv(csv)
    _show(run.results, journal, top)
    if page["html"] is not None:
        click.echo(f"Page: {write_report(run, page['html'], overwrite=page['overwrite'])}")
    if figures is not None:
        _draw(run.results, journal.stem, figures)


@cli.command()
@click.argument("journal", type=_PATH)
@click.argument("storage")
@click.option("--study", help="Name of the study [default: the journal's].")
def export(journal: Path, storage: str, study: str | None) -> None:
    """Write the run of JOURNAL into Optuna's STORAGE (sqlite:///FILE, or a file); repeatable."""

    def exported() -> Any:
        from hpo.integrations.optuna import export_journal

        return export_journal(journal, storage, study_name=study)

    done = usage_checked(exported)
    click.echo(
        f"Study {done.study}: {done.added} trials added, {done.updated} brought up to date, "
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
    help="May be repeated; the others are compared with the first.",
)
@click.option("--predictor", default="nusvr", show_default=True, help="What predicts curves.")
@click.option("--max-resource", type=int, help="Most epochs for one trial [default: all].")
@click.option("--reduction-factor", type=int, default=2, show_default=True, help="1 of N stays.")
@click.option("--seeds", type=int, default=10, show_default=True, help="Runs of each scheduler.")
@click.option("--workers", "n_workers", type=int, default=1, show_default=True, help="Simulated.")
@click.option("--predictor-option", multiple=True, metavar="NAME=VALUE", help="May be repeated.")
def simulate(table: Path, predictor_option: Sequence[str], **options: Any) -> None:
    """Compare schedulers on TABLE, a CSV or NPZ file of recorded learning curves."""
    from rich.console import Console

    from hpo.simulation.compare import Setting, simulate_all, table_of

    setting = Setting(predictor_options=parse_options(predictor_option), **options)
    rows = simulate_all(table, setting)
    console = Console()
    console = console if console.is_terminal else Console(width=120)
    console.print(table_of(rows, setting))


def _draw(results: Results, name: str, directory: Path) -> None:
    from hpo.report.plots import save_figures

    for path in usage_checked(save_figures, {name: results}, directory):
        click.echo(f"Figure: {path}")


def _default_journal(trainer: str, scheduler: str) -> Path:
    target = trainer.rpartition(":")[0]
    stem = Path(target).stem if target.endswith(".py") else target.rpartition(".")[2]
    return Path(f"{stem or 'run'}-{scheduler}.jsonl")


def _progress(*, quiet: bool) -> Any:
    from hpo.run.progress import Progress, RichProgress

    return Progress() if quiet else RichProgress()


def _watched(work: Callable[[], Results], journal: Path) -> Results:
    """Do the work; when it is stopped or breaks down, say what was kept and how to go on."""
    try:
        return work()
    except InterruptedRunError as stop:
        _stopped(str(stop), journal, stop.exit_code)
    except KeyboardInterrupt:
        _stopped("Stopped at once.", journal, EXIT_INTERRUPTED)
    except (ExecutorBrokenError, JournalWriteError) as error:
        _stopped(f"Error: {error}", journal, EXIT_FAILED)


def _stopped(message: str, journal: Path, code: int) -> NoReturn:
    click.echo(message, err=True)
    if journal.exists():
        click.echo(f"Go on with: {_command()} resume {shlex.quote(str(journal))}", err=True)
    raise SystemExit(code)


def _command() -> str:
    """Return how this program was called."""
    if "mpi4py.futures" in sys.orig_argv:
        return "mpiexec -n N python -m mpi4py.futures -m hpo"
    return "python -m hpo" if Path(sys.argv[0]).name == "__main__.py" else "hpo"


def _show(results: Results, journal: Path, top: int = 10) -> None:
    """Print the final table and what was spent and saved."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    console.print(results.table(top))
    for line in results.summary_lines():
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    click.echo(f"Journal: {journal}")
    if results.finished and results.best is None:
        click.echo("Error: no trial ended with a finite loss; see the reasons above", err=True)
        raise SystemExit(EXIT_FAILED)


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
        code = EXIT_USAGE
    except click.ClickException as error:
        code = _complain(error.format_message())
    except UsageError as error:
        code = _complain(str(error))
    except click.Abort:
        click.echo("Stopped.", err=True)
        code = EXIT_INTERRUPTED
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str) -> int:
    click.echo("Error: " + " ".join(message.split()), err=True)
    return EXIT_USAGE
