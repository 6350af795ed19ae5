"""The commands of ``hpo``. Each imports its modules when it is called, so ``--help`` is quick."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hpo.cli.options import (
    PATH,
    WORKERS,
    examples,
    pairs_option,
    parse_options,
)
from hpo.cli.output import (
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    print_out,
    show,
    warn,
)
from hpo.cli.searching import resume, run, work
from hpo.errors import (
    UsageError,
    import_optional,
    usage_checked,
)

if TYPE_CHECKING:
    from hpo.searchers.installed import Catalogue

T = TypeVar("T")


_MAX_LINE = 1500
"""Maximum length of a message, since the values in it may be very long."""

_AUTO = {
    "searcher": "curves if the scheduler makes forecasts, otherwise random",
    "predictor": "mixed if the scheduler makes forecasts, otherwise nusvr",
}
"""What the name ``auto`` stands for."""


def _version(context: click.Context, _: click.Parameter, value: bool) -> None:
    """Print the version and exit."""
    from qsvr import __version__

    if value and not context.resilient_parsing:
        print_out(f"hpo {__version__}")
        context.exit()


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "hpo run train.py:train --max-resource 27 --workers 4 --journal run.jsonl",
        "hpo status run.jsonl",
        "hpo report run.jsonl --html report.html",
        "hpo resume run.jsonl",
    ),
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """Search hyperparameters, and stop unpromising trials early.

    A search is started by 'hpo run'. Its journal, a file, records everything, so that 'hpo resume'
    continues it after any interruption and 'hpo report' shows it at any time.
    """


for _command in (run, resume, work):
    cli.add_command(_command)


@cli.command(
    epilog=examples(
        "hpo report run.jsonl",
        "hpo report run.jsonl --csv trials.csv --html report.html",
        "hpo report hyperband.jsonl swift-asha.jsonl",
        guide="reports",
    ),
)
@click.argument("journals", type=PATH, nargs=-1, required=True, metavar="JOURNAL...")
@click.option(
    "--top",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="Number of trials in the table, the best first.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="Further metric in the table; repeatable.  [default: all]",
)
@click.option("--wide", is_flag=True, help="Show whole reasons and all columns, however wide.")
@click.option(
    "--csv", type=PATH, metavar="FILE", help="Write all trials (or searches) to this new file."
)
@click.option("--figures", type=PATH, metavar="DIRECTORY", help="Draw figures into this directory.")
@click.option(
    "--html", type=PATH, metavar="FILE", help="Write an interactive page to this new file."
)
@click.option("--overwrite", is_flag=True, help="Allow --html to replace an existing file.")
@click.option("--follow", is_flag=True, help="Rewrite the page of --html until the search ends.")
@click.option("--salvage", is_flag=True, help="Show the intact lines of a damaged journal.")
def report(journals: Sequence[Path], *, top: int, **options: Any) -> None:
    """Show the results of a search, or compare several.

    The search may be running. Nothing is changed. Several journals are shown side by side.
    """
    from hpo.report import Comparison, read_run, write_report

    if options["follow"]:
        _follow(journals, options)
    runs = [read_run(journal, salvage=options["salvage"]) for journal in journals]
    files = []  # before anything is shown: the output may be a pipe that is closed
    shown = runs[0].results if len(runs) == 1 else Comparison(runs)
    if options["csv"] is not None:
        shown.write_csv(options["csv"])
    if (page := options["html"]) is not None and not options["follow"]:
        overwrite = options["overwrite"]
        if isinstance(shown, Comparison):
            page = shown.write_page(page, overwrite=overwrite)
        else:
            page = write_report(runs[0], page, overwrite=overwrite)
        files.append(f"Page: {page}")
    if options["figures"] is not None:
        from hpo.report.plots import save_figures

        names = [runs[0].name] if len(runs) == 1 else Comparison(runs).names
        named = dict(zip(names, runs, strict=True))
        paths = usage_checked(save_figures, named, options["figures"])
        files += [f"Figure: {path}" for path in paths]
    if isinstance(shown, Comparison):
        print_out(*shown.lines(), *files, table=shown.table())
    else:
        show(
            shown,
            journals[0],
            top,
            files,
            options["metrics"] or None,
            wide=options["wide"],
            run=runs[0],
        )


def _follow(journals: Sequence[Path], options: dict[str, Any]) -> None:
    """Write the page of a run until the run ends; Ctrl-C stops that."""
    from hpo.report.live import follow

    if options["html"] is None or len(journals) > 1:
        raise UsageError("--follow needs the page of one run; give one JOURNAL and --html FILE")
    try:
        follow(journals[0], options["html"], overwrite=options["overwrite"], say=warn)
    except KeyboardInterrupt:
        warn("Stopped; the run goes on.")
        raise SystemExit(EXIT_INTERRUPTED) from None


@cli.command(
    epilog=examples(
        "hpo watch run.jsonl", "hpo watch run.jsonl --port 8080 --no-open", guide="reports"
    ),
)
@click.argument("journal", type=PATH)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default="any that is free",
    help="Port on 127.0.0.1.",
)
@click.option(
    "--open/--no-open",
    "opens",
    default=None,
    help="Open a browser, or not.  [default: on a desktop]",
)
@click.option("--exit-when-done", is_flag=True, help="End when the search has ended.")
def watch(journal: Path, *, port: int, opens: bool | None, exit_when_done: bool) -> None:
    """Show a search in the browser while it runs.

    The page is served on this machine only. The search is not disturbed, and Ctrl-C ends the
    server, not the search.
    """
    from hpo.cli.watching import serve

    serve(journal, port, opens=opens, exit_when_done=exit_when_done)


@cli.command(
    epilog=examples("hpo status run.jsonl", "hpo status run.jsonl --json", guide="runs"),
)
@click.argument("journal", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def status(journal: Path, *, as_json: bool) -> None:
    """Show what the search of JOURNAL is doing now.

    The search is not disturbed: no lock is taken, and nothing is changed.
    """
    from hpo.report import read_status

    state = read_status(journal)
    print_out(*(json.dumps(state.to_json(), indent=2).splitlines() if as_json else state.lines()))


@cli.command(
    epilog=examples(
        "hpo export run.jsonl sqlite:///runs.db",
        "optuna-dashboard sqlite:///runs.db",
        guide="integrations",
    ),
)
@click.argument("journal", type=PATH)
@click.argument("storage")
@click.option(
    "--study", metavar="NAME", help="Name of the study.  [default: named after the journal]"
)
def export(journal: Path, storage: str, study: str | None) -> None:
    """Write the search of JOURNAL into an Optuna storage.

    STORAGE is a database URL such as sqlite:///FILE, or a file for Optuna's journal storage. If the
    command is repeated while the search goes on, trials are updated and none is written twice.
    """
    import_optional("optuna", "hpo export", "optuna")
    from hpo.integrations.optuna import export_journal

    done = usage_checked(export_journal, journal, storage, study_name=study)
    print_out(
        f"Study {done.study}: {done.added} trials added, {done.updated} updated, "
        f"{done.unchanged} unchanged"
    )


@cli.command(
    epilog=examples(
        "hpo simulate",
        "hpo simulate --scheduler hyperband --scheduler swift-asha",
        "hpo simulate curves.csv --scheduler hyperband --scheduler asha --workers 4",
        guide="schedulers",
    ),
)
@click.argument("table", type=PATH, required=False)
@click.option(
    "--scheduler",
    "schedulers",
    multiple=True,
    default=("hyperband", "swift-hyperband"),
    show_default=True,
    metavar="NAME",
    help="Scheduler; repeatable. The first one is the reference of the comparison.",
)
@click.option(
    "--predictor",
    metavar="NAME",
    default="auto",
    show_default=True,
    help="Learning curve predictor (hpo list predictors).",
)
@click.option(
    "--max-resource",
    type=int,
    help="Maximum number of epochs per trial, R.  [default: all in the table]",
)
@click.option(
    "--reduction-factor", type=int, default=2, show_default=True, help="Halving rate, eta."
)
@click.option(
    "--min-resource",
    type=int,
    default=1,
    show_default=True,
    help="Epochs that each trial is trained before it may be stopped.",
)
@click.option(
    "--seeds",
    type=click.IntRange(max=10_000),
    default=10,
    show_default=True,
    help="Number of simulated searches per scheduler.",
)
@click.option(
    "--workers",
    "n_workers",
    type=WORKERS,
    default=1,
    show_default=True,
    help="Number of simulated workers.",
)
@click.option(
    "--mode",
    type=click.Choice(["min", "max"]),
    default="min",
    show_default=True,
    help="Whether lower (min) or higher (max) values of the table are better.",
)
@pairs_option("--predictor-option", "Option of the predictor")
def simulate(table: Path | None, predictor_option: Sequence[str], **options: Any) -> None:
    """Compare schedulers on recorded learning curves.

    TABLE is a CSV or NPZ file of recorded curves. Without it, the sample that ships with hpo is
    used: 256 trainings of a two-layer network on handwritten digits, 50 epochs each. Nothing is
    trained.
    """
    from hpo.simulation.compare import Setting, simulate_all, table_of

    if table is None:
        print_out("Sample table: 256 trainings on handwritten digits, 50 epochs each")

    setting = Setting(predictor_options=parse_options(predictor_option), **options)
    rows = simulate_all(table, setting)
    print_out(table=table_of(rows, setting))


@cli.command("list", epilog=examples("hpo list", "hpo list schedulers"))
@click.argument(
    "kind",
    type=click.Choice(["schedulers", "searchers", "predictors", "executors"]),
    required=False,
)
def list_parts(kind: str | None) -> None:
    """List schedulers, searchers, predictors and executors.

    With KIND, list those of one kind. The default of 'hpo run' is marked.
    """
    from hpo.predictors.registry import CATALOGUE as PREDICTORS
    from hpo.run.executors.registry import CATALOGUE as EXECUTORS
    from hpo.schedulers.registry import CATALOGUE as SCHEDULERS
    from hpo.searchers.installed import PluginWarning
    from hpo.searchers.registry import CATALOGUE as SEARCHERS

    with warnings.catch_warnings(record=True) as broken:
        warnings.simplefilter("always", PluginWarning)
        for each in (SCHEDULERS, SEARCHERS, PREDICTORS, EXECUTORS):
            if kind in (None, f"{each.kind}s"):
                if kind is None:
                    print_out(f"{each.kind.capitalize()}s")
                print_out(*_described(each))
    for warning in broken:
        warn(f"Warning: {warning.message}")


def _described(parts: Catalogue) -> list[str]:
    """Return a line on each part of a kind; the default of ``hpo run`` is marked."""
    from hpo.run.spec import RunSpec

    default = getattr(RunSpec, parts.kind)
    lines = parts.described()
    if default == "auto":
        lines = [("auto", _AUTO[parts.kind]), *lines]
    width = max(len(name) for name, _ in lines)
    return [
        f"  {name:{width}}  {line}{' (default)' if name == default else ''}" for name, line in lines
    ]


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
        message = error.format_message()
        if isinstance(error, click.UsageError) and error.ctx is not None:
            message = f"{message.rstrip('.')}; {error.ctx.command_path} --help lists what it takes"
        code = _complain(message)
    except UsageError as error:
        code = _complain(str(error))
    except click.Abort:
        warn("Stopped.")
        code = EXIT_INTERRUPTED
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str) -> int:
    line = " ".join(message.split())
    warn(f"Error: {line if len(line) <= _MAX_LINE else line[: _MAX_LINE - 3] + '...'}")
    return EXIT_USAGE
