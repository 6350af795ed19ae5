"""The commands; each imports what it needs when it is called, so that ``hpo --help`` is quick."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hpo.cli.options import (
    NAMES_OF_LIMITS,
    PATH,
    WORKERS,
    deadline_option,
    limited,
    pairs_option,
    parse_options,
)
from hpo.cli.output import (
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    print_out,
    progress_of,
    show,
    warn,
    watched,
)
from hpo.errors import (
    UsageError,
    import_optional,
    usage_checked,
)
from hpo.text import shell_word

if TYPE_CHECKING:
    from hpo.run.results import Results
    from hpo.run.spec import RunSpec

T = TypeVar("T")


_MAX_LINE = 1500
"""Characters of a message: values in it may have thousands."""


def _version(context: click.Context, _: click.Parameter, value: bool) -> None:
    """Print the version and exit."""
    from qsvr import __version__

    if value and not context.resilient_parsing:
        print_out(f"hpo {__version__}")
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version)
def cli() -> None:
    """Multi-fidelity hyperparameter optimisation: Hyperband, ASHA and Swift-Hyperband."""


@cli.command()
@click.argument("trainer", required=False, default="")
@click.option("--script", help="Command to tune, as 'python train.py --lr {lr} --epochs {stop}'.")
@click.option("--metric", help="Number of the script to optimise [default: loss].")
@pairs_option("--script-option", "Option of the script, such as epoch=step")
@click.option("--space", type=PATH, help="Search space, TOML [default: beside the trainer].")
@click.option("--max-resource", type=int, required=True, help="Maximum epochs per trial (R).")
@click.option(
    "--scheduler",
    default="swift-asha",
    show_default=True,
    help="Scheduler (see hpo list schedulers).",
)
@click.option(
    "--predictor",
    default="auto",
    show_default=True,
    help="Learning curve predictor (hpo list predictors).",
)
@click.option(
    "--reduction-factor", type=int, default=2, show_default=True, help="Halving rate (eta)."
)
@click.option("--min-resource", type=int, help="Epochs before which no trial is given up.")
@click.option(
    "--searcher", default="auto", show_default=True, help="Searcher (hpo list searchers)."
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Seed of the random number generators.",
)
@click.option(
    "--workers",
    "n_workers",
    type=WORKERS,
    help="Workers [default: all of a cluster, 1 here].",
)
@click.option(
    "--executor",
    default="process",
    show_default=True,
    help="Where trials run (hpo list executors).",
)
@click.option(
    "--min-improvement",
    type=float,
    help="End once so little improvement of the best loss is expected of the remaining epochs.",
)
@click.option("--timeout", type=float, help="Time limit of a training job, in seconds.")
@click.option("--predict-timeout", type=float, help="Time limit of a prediction, in seconds.")
@click.option("--objective", help="Metric to optimise [default: the only one, or loss].")
@click.option(
    "--mode",
    type=click.Choice(["min", "max"]),
    default="min",
    show_default=True,
    help="Whether a lower or a higher objective is better.",
)
@deadline_option
@limited
@click.option(
    "--max-retries",
    type=int,
    default=1,
    show_default=True,
    help="Retries of a failed job.",
)
@click.option(
    "--max-lost",
    type=int,
    help="Segments lost in a row, with their workers, that end the run [default: 10].",
)
@click.option("--journal", type=PATH, help="New journal file [default: by trainer's name].")
@click.option(
    "--checkpoint-dir", type=PATH, help="Directory of checkpoints [default: beside the journal]."
)
@click.option(
    "--keep-checkpoints",
    is_flag=True,
    help="Keep the checkpoints of all trials, not only the best one's and those still needed.",
)
@click.option(
    "--allow-duplicates",
    is_flag=True,
    help="Let configurations be tried more than once, for a trainer with noise.",
)
@click.option(
    "--initial",
    type=PATH,
    help="Configurations to try first: .json, .jsonl or .csv (also that of hpo report --csv).",
)
@click.option(
    "--warm-start",
    type=PATH,
    multiple=True,
    metavar="JOURNAL",
    help="Journal of an earlier search to learn from; repeatable.",
)
@pairs_option("--searcher-option", "Option of the searcher")
@pairs_option("--scheduler-option", "Option of the scheduler")
@pairs_option("--predictor-option", "Option of the predictor")
@pairs_option("--executor-option", "Option of the executor, such as devices=0,1")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def run(trainer: str, space: Path | None, journal: Path | None, **options: Any) -> None:
    """Tune TRAINER, named FILE.py:name or package.module:name, or a script (--script)."""
    from hpo.run.going_on import read_configs
    from hpo.run.spec import RunSpec
    from hpo.run.tuner import Tuner
    from hpo.space.search_space import SearchSpace

    _see_working_directory()
    settings = {
        "progress": progress_of(quiet=options.pop("quiet")),
        "checkpoint_dir": options.pop("checkpoint_dir"),
        "deadline": options.pop("deadline"),
        "warm_start": options.pop("warm_start"),
    }
    script = _script(options)
    domains = usage_checked(SearchSpace.from_toml, space or _default_space(trainer, script))
    if (initial := options.pop("initial")) is not None:
        settings["initial"] = read_configs(initial, domains, options["mode"])
    limits = {name: options.pop(name) for name in NAMES_OF_LIMITS}
    scheduler_options = parse_options(options.pop("scheduler_option"))
    if (least := options.pop("min_resource")) is not None:
        scheduler_options["min_resource"] = least
    if (least := options.pop("min_improvement")) is not None:
        scheduler_options["min_improvement"] = least
    spec = RunSpec(
        trainer=trainer,
        script=script,
        space=domains.to_dict(),
        searcher_options=parse_options(options.pop("searcher_option")),
        scheduler_options=scheduler_options,
        predictor_options=parse_options(options.pop("predictor_option")),
        executor_options=parse_options(options.pop("executor_option")),
        **options,
    )
    if journal is None:
        target = trainer.rpartition(":")[0]
        stem = Path(target).stem if target.endswith(".py") else target.rpartition(".")[2]
        journal = Path(f"{stem or ('script' if script else 'run')}-{spec.scheduler}.jsonl")
    if journal.is_dir():
        raise UsageError(f"journal must be a file, got the directory {journal}; name a file in it")
    if spec.executor == "shared":
        _work(journal, spec, limits=limits, **settings)
        return
    tuner = Tuner.from_spec(spec, journal=journal, **settings)
    show(watched(lambda: tuner.run(**limits), journal), journal)


def _script(options: dict[str, Any]) -> dict[str, Any]:
    """Take the options of a script out of those of a run; return them as parameters."""
    command, metric = options.pop("script"), options.pop("metric")
    given = parse_options(options.pop("script_option"))
    if metric is not None:
        given["metric"] = metric
    if command is None:
        if given:
            raise UsageError(
                f"{', '.join(given)} (--metric, --script-option) must belong to a script, and "
                "there is none; give its command by --script (a trainer's metric is --objective)"
            )
        return {}
    if options["objective"] is not None:
        given.setdefault("metric", options["objective"])
    return {"command": command, **given}


def _default_space(trainer: str, script: dict[str, Any]) -> Path:
    """Return the search space beside a trainer."""
    from hpo.trainers.loading import default_space

    if script:
        raise UsageError("--script needs a search space; name its TOML file by --space FILE")
    if not trainer:
        raise UsageError("name a TRAINER (FILE.py:name), or the command of a script by --script")
    return default_space(trainer)


@cli.command()
@click.argument("journal", type=PATH)
@click.option("--workers", "n_workers", type=WORKERS, help="Number of workers [as before].")
@click.option("--executor", help="Executor [as before].")
@pairs_option("--executor-option", "Option of the executor [as before]")
@click.option("--timeout", type=float, help="Time limit of a training job, in s [as before].")
@deadline_option
@limited
@click.option("--max-retries", type=int, help="Further attempts of a failed job [as before].")
@click.option("--max-lost", type=int, help="Segments lost in a row that end the run [as before].")
@click.option("--retry-failed", is_flag=True, help="Train the trials again that failed.")
@pairs_option(
    "--extend", "Go on beyond the end, by a larger max-resource, iterations, n-trials, ..."
)
@click.option("--checkpoint-dir", type=PATH, help="Directory of the checkpoints [as before].")
@click.option(
    "--keep-checkpoints/--remove-checkpoints",
    default=None,
    help="Keep the checkpoints of all trials [as before].",
)
@click.option(
    "--salvage", is_flag=True, help="Go on from what is left of a damaged journal, which is kept."
)
@click.option("--quiet", is_flag=True, help="Show no progress.")
def resume(journal: Path, *, quiet: bool, **options: Any) -> None:
    """Resume the run of JOURNAL, which was stopped or killed."""
    from hpo.run.tuner import Tuner

    _see_working_directory()
    executor_options = parse_options(options.pop("executor_option"))
    options["extend"] = parse_options(options.pop("extend")) or None
    given = {name: value for name, value in options.items() if value is not None}
    if executor_options or "executor" in given:  # another executor has other options
        given["executor_options"] = executor_options
    progress = progress_of(quiet=quiet)
    results = watched(lambda: Tuner.resume(journal, progress=progress, **given), journal)
    show(results, journal)
    if results.finished:
        print_out(
            f"The search is over; to go on: hpo resume {shell_word(journal)} --extend NAME=VALUE"
        )


@cli.command()
@click.argument("journal", type=PATH)
@click.option("--workers", "n_workers", type=WORKERS, help="Number of workers [as before].")
@deadline_option
@limited
@click.option("--checkpoint-dir", type=PATH, help="Directory of the checkpoints [as before].")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def work(journal: Path, *, quiet: bool, **options: Any) -> None:
    """Join the search of JOURNAL: train for the process that leads it, or lead it if none does."""
    _see_working_directory()
    limits = {name: options.pop(name) for name in NAMES_OF_LIMITS}
    given = {name: value for name, value in options.items() if value is not None}
    _work(journal, limits=limits, progress=progress_of(quiet=quiet), **given)


def _work(journal: Path, spec: RunSpec | None = None, **settings: Any) -> None:
    """Train for a search beside other processes, and show its results if this one led it last."""
    from hpo.run.work import Contribution, work

    done: list[Contribution] = []

    def joined() -> Results | None:
        done.append(work(journal, spec, say=warn, **settings))
        return done[0].results

    results = watched(joined, journal, "work")
    if results is not None:
        show(results, journal)
    else:
        print_out(
            f"The search is over; this process trained {done[0].n_trained} segments for it.",
            f"Results: hpo report {shell_word(journal)}",
        )


@cli.command()
@click.argument("journals", type=PATH, nargs=-1, required=True, metavar="JOURNAL...")
@click.option(
    "--top",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="Number of trials to list.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="Further metric to list; repeatable [default: all].",
)
@click.option("--wide", is_flag=True, help="Show whole reasons and all columns, however wide.")
@click.option("--csv", type=PATH, help="Write all trials, or searches, to this new file.")
@click.option("--figures", type=PATH, help="Draw figures into this directory.")
@click.option("--html", type=PATH, help="Write an interactive page to this new file.")
@click.option("--overwrite", is_flag=True, help="Let --html replace a file.")
@click.option("--salvage", is_flag=True, help="Show what is left of a damaged journal.")
def report(journals: Sequence[Path], *, top: int, **options: Any) -> None:
    """Show the results of the run of JOURNAL so far; of several, show them side by side.

    Nothing is changed.
    """
    from hpo.report import Comparison, read_run, write_report

    runs = [read_run(journal, salvage=options["salvage"]) for journal in journals]
    files = []  # before anything is shown: the output may be a pipe that is closed
    shown = runs[0].results if len(runs) == 1 else Comparison(runs)
    if options["csv"] is not None:
        shown.write_csv(options["csv"])
    if (page := options["html"]) is not None:
        overwrite = options["overwrite"]
        if isinstance(shown, Comparison):
            page = shown.write_page(page, overwrite=overwrite)
        else:
            page = write_report(runs[0], page, overwrite=overwrite)
        files.append(f"Page: {page}")
    if options["figures"] is not None:
        from hpo.report.plots import save_figures

        names = [runs[0].name] if len(runs) == 1 else Comparison(runs).names
        named = {name: run.results for name, run in zip(names, runs, strict=True)}
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


@cli.command()
@click.argument("journal", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def status(journal: Path, *, as_json: bool) -> None:
    """Show what the run of JOURNAL does at this moment, without disturbing it."""
    from hpo.report import read_status

    state = read_status(journal)
    print_out(*(json.dumps(state.to_json(), indent=2).splitlines() if as_json else state.lines()))


@cli.command()
@click.argument("journal", type=PATH)
@click.argument("storage")
@click.option("--study", help="Name of the study [default: the journal's].")
def export(journal: Path, storage: str, study: str | None) -> None:
    """Write the run of JOURNAL into Optuna's STORAGE (sqlite:///FILE, or a file); repeatable."""
    import_optional("optuna", "hpo export", "optuna")
    from hpo.integrations.optuna import export_journal

    done = usage_checked(export_journal, journal, storage, study_name=study)
    print_out(
        f"Study {done.study}: {done.added} trials added, {done.updated} updated, "
        f"{done.unchanged} unchanged"
    )


@cli.command()
@click.argument("table", type=PATH, required=False)
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
@click.option(
    "--min-resource",
    type=int,
    default=1,
    show_default=True,
    help="Epochs before which no trial is given up.",
)
@click.option(
    "--seeds",
    type=click.IntRange(max=10_000),
    default=10,
    show_default=True,
    help="Runs of each scheduler.",
)
@click.option(
    "--workers", "n_workers", type=WORKERS, default=1, show_default=True, help="Simulated workers."
)
@click.option(
    "--mode",
    type=click.Choice(["min", "max"]),
    default="min",
    show_default=True,
    help="Whether lower or higher values of the table are better.",
)
@pairs_option("--predictor-option", "Option of the predictor")
def simulate(table: Path | None, predictor_option: Sequence[str], **options: Any) -> None:
    """Compare schedulers on TABLE, a CSV or NPZ file of recorded learning curves.

    Without TABLE, the sample that ships with hpo is used: 256 trainings of a two-layer network on
    handwritten digits, 50 epochs each.
    """
    from hpo.simulation.compare import Setting, simulate_all, table_of

    if table is None:
        print_out("Sample table: 256 trainings on handwritten digits, 50 epochs each")

    setting = Setting(predictor_options=parse_options(predictor_option), **options)
    rows = simulate_all(table, setting)
    print_out(table=table_of(rows, setting))


@cli.command("list")
@click.argument(
    "kind",
    type=click.Choice(["schedulers", "searchers", "predictors", "executors"]),
    required=False,
)
def list_parts(kind: str | None) -> None:
    """List schedulers, searchers, predictors and executors, or those of one KIND."""
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
                width = max(map(len, each.names()))
                print_out(*(f"  {name:{width}}  {line}" for name, line in each.described()))
    for warning in broken:
        warn(f"Warning: {warning.message}")


def _see_working_directory() -> None:
    """Let modules of the working directory be imported, as ``python -m`` does; workers follow."""
    try:
        here = str(Path.cwd())
    except OSError:  # it was deleted
        return
    if not sys.flags.safe_path and not {here, ""} & set(sys.path):
        sys.path.insert(0, here)


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
        warn("Stopped.")
        code = EXIT_INTERRUPTED
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str) -> int:
    line = " ".join(message.split())
    warn(f"Error: {line if len(line) <= _MAX_LINE else line[: _MAX_LINE - 3] + '...'}")
    return EXIT_USAGE
