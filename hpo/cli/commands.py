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
    NAMES_OF_LIMITS,
    PATH,
    WORKERS,
    SectionedCommand,
    deadline_option,
    examples,
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


@cli.command(
    cls=SectionedCommand,
    sections={
        "What to train": "script metric script_option space initial warm_start allow_duplicates",
        "How to search": "max_resource scheduler predictor reduction_factor min_resource searcher "
        "seed objective mode scheduler_option predictor_option searcher_option",
        "Where to train": "executor n_workers executor_option timeout predict_timeout max_retries "
        "max_lost",
        "When to stop": "max_time max_epochs max_trials target deadline min_improvement",
        "Files and output": "journal checkpoint_dir keep_checkpoints quiet",
    },
    epilog=examples(
        "hpo run train.py:train --max-resource 27 --workers 4",
        "hpo run train.py:train --max-resource 27 --scheduler hyperband --max-time 2h",
        "hpo run --script 'python train.py --lr {lr} --epochs {stop}' \\",
        "    --metric val_loss --space space.toml --max-resource 27",
        guide="runs, trainers and executors",
    ),
)
@click.argument("trainer", required=False, default="")
@click.option(
    "--script",
    metavar="COMMAND",
    help="Train by this command instead of a TRAINER; it may contain {NAME} of a hyperparameter, "
    "{start}, {stop}, {checkpoint} and others.",
)
@click.option("--metric", metavar="NAME", help="Metric of the script to optimise.  [default: loss]")
@pairs_option("--script-option", "Option of the script, such as epoch=step")
@click.option(
    "--space",
    type=PATH,
    metavar="FILE",
    help="Search space, a TOML file.  [default: train.toml for train.py:train]",
)
@click.option(
    "--max-resource",
    type=int,
    required=True,
    help="Maximum number of epochs per trial, R.",
)
@click.option(
    "--scheduler",
    metavar="NAME",
    default="swift-asha",
    show_default=True,
    help="Scheduler, which decides how far each trial is trained (hpo list schedulers).",
)
@click.option(
    "--predictor",
    metavar="NAME",
    default="auto",
    show_default=True,
    help="Learning curve predictor (hpo list predictors).",
)
@click.option(
    "--reduction-factor",
    type=int,
    default=2,
    show_default=True,
    help="Halving rate, eta: the best 1/eta of the trials survive a rung.",
)
@click.option(
    "--min-resource",
    type=int,
    help="Epochs that each trial is trained before it may be stopped.  [default: 1]",
)
@click.option(
    "--searcher",
    metavar="NAME",
    default="auto",
    show_default=True,
    help="Searcher, which proposes configurations (hpo list searchers).",
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
    metavar="N",
    help="Number of workers.  [default: 1 on this machine, all of a cluster]",
)
@click.option(
    "--executor",
    metavar="NAME",
    default="process",
    show_default=True,
    help="Executor, where trials are trained (hpo list executors).",
)
@click.option(
    "--min-improvement",
    type=float,
    help="End the search once the expected improvement of the best loss is below this.",
)
@click.option("--timeout", type=float, help="Time limit of a segment, in seconds.  [default: none]")
@click.option(
    "--predict-timeout", type=float, help="Time limit of a prediction, in seconds.  [default: none]"
)
@click.option(
    "--objective",
    metavar="NAME",
    help="Metric to optimise.  [default: the only one, or loss]",
)
@click.option(
    "--mode",
    type=click.Choice(["min", "max"]),
    default="min",
    show_default=True,
    help="Whether lower (min) or higher (max) values of the objective are better.",
)
@deadline_option
@limited
@click.option(
    "--max-retries",
    type=int,
    default=1,
    show_default=True,
    help="Retries of a segment that failed.",
)
@click.option(
    "--max-lost",
    type=int,
    help="Number of lost segments in a row that ends the run.  [default: 10, or 3 per worker if "
    "that is more]",
)
@click.option(
    "--journal",
    type=PATH,
    metavar="FILE",
    help="New journal file.  [default: named after the trainer and the scheduler]",
)
@click.option(
    "--checkpoint-dir",
    type=PATH,
    metavar="DIRECTORY",
    help="Directory of the checkpoints.  [default: beside the journal]",
)
@click.option(
    "--keep-checkpoints",
    is_flag=True,
    help="Keep the checkpoints of all trials. Without it, only those of the best trial and of "
    "trials that may be trained further are kept.",
)
@click.option(
    "--allow-duplicates",
    is_flag=True,
    help="Let the searcher propose a configuration more than once, for a trainer with noise.",
)
@click.option(
    "--initial",
    type=PATH,
    metavar="FILE",
    help="Configurations to try first: a .json, .jsonl or .csv file.",
)
@click.option(
    "--warm-start",
    type=PATH,
    multiple=True,
    metavar="JOURNAL",
    help="Journal of an earlier search to learn from; repeatable.",
)
@pairs_option("--searcher-option", "Option of the searcher")
@pairs_option("--scheduler-option", "Option of the scheduler, such as budget_fraction=0.5")
@pairs_option("--predictor-option", "Option of the predictor, such as min_curves=20")
@pairs_option("--executor-option", "Option of the executor, such as devices=0,1")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def run(trainer: str, space: Path | None, journal: Path | None, **options: Any) -> None:
    """Start a search of the hyperparameters of TRAINER.

    TRAINER names a Python function or object as FILE.py:name or package.module:name. To tune a
    script in any language, give its command by --script instead.
    """
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


@cli.command(
    cls=SectionedCommand,
    sections={
        "What to do": "extend retry_failed salvage",
        "Where to train": "executor n_workers executor_option timeout max_retries max_lost",
        "When to stop": "max_time max_epochs max_trials target deadline",
        "Files and output": "checkpoint_dir keep_checkpoints quiet",
    },
    epilog=examples(
        "hpo resume run.jsonl",
        "hpo resume run.jsonl --workers 8 --max-time 2h",
        "hpo resume run.jsonl --extend max-resource=81",
        guide="runs",
    ),
)
@click.argument("journal", type=PATH)
@click.option("--workers", "n_workers", type=WORKERS, metavar="N", help="Number of workers.")
@click.option("--executor", metavar="NAME", help="Executor (hpo list executors).")
@pairs_option("--executor-option", "Option of the executor")
@click.option("--timeout", type=float, help="Time limit of a segment, in seconds.")
@deadline_option
@limited
@click.option("--max-retries", type=int, help="Retries of a segment that failed.")
@click.option("--max-lost", type=int, help="Number of lost segments in a row that ends the run.")
@click.option("--retry-failed", is_flag=True, help="Train the trials again that failed.")
@pairs_option(
    "--extend",
    "Continue beyond the end with a larger max-resource, iterations, n-trials, max-epochs or "
    "budget-fraction",
)
@click.option(
    "--checkpoint-dir", type=PATH, metavar="DIRECTORY", help="Directory of the checkpoints."
)
@click.option(
    "--keep-checkpoints/--remove-checkpoints",
    default=None,
    help="Whether to keep the checkpoints of all trials.",
)
@click.option(
    "--salvage",
    is_flag=True,
    help="Continue from the intact lines of a damaged journal; the damaged file is kept.",
)
@click.option("--quiet", is_flag=True, help="Show no progress.")
def resume(journal: Path, *, quiet: bool, **options: Any) -> None:
    """Continue the search of JOURNAL.

    The search may have been stopped, killed or finished (--extend). Settings that are not given are
    those of before; limits of an earlier session no longer apply.
    """
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


@cli.command(
    epilog=examples("hpo work run.jsonl", guide="executors"),
)
@click.argument("journal", type=PATH)
@click.option(
    "--workers",
    "n_workers",
    type=WORKERS,
    metavar="N",
    help="Number of workers.  [default: as before]",
)
@deadline_option
@limited
@click.option(
    "--checkpoint-dir",
    type=PATH,
    metavar="DIRECTORY",
    help="Directory of the checkpoints.  [default: as before]",
)
@click.option("--quiet", is_flag=True, help="Show no progress.")
def work(journal: Path, *, quiet: bool, **options: Any) -> None:
    """Add this process to the search of JOURNAL.

    If another process leads the search with --executor shared, this one trains for it. If no
    process leads it, this one does, as 'hpo resume' would.
    """
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
@click.option("--salvage", is_flag=True, help="Show the intact lines of a damaged journal.")
def report(journals: Sequence[Path], *, top: int, **options: Any) -> None:
    """Show the results of a search, or compare several.

    The search may be running. Nothing is changed. Several journals are shown side by side.
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
    default="nusvr",
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
