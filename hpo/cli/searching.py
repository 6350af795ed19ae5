"""The commands that train: ``hpo run``, ``hpo resume`` and ``hpo work``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from hpo.cli.output import print_out, progress_of, show, warn, watched
from hpo.errors import UsageError, usage_checked
from hpo.text import shell_word

if TYPE_CHECKING:
    from hpo.run.results import Results
    from hpo.run.spec import RunSpec


@click.command(
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
    for name in ("min_resource", "min_improvement"):
        if (least := options.pop(name)) is not None:
            scheduler_options[name] = least
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
    """Remove the options of a script from those of a run; return them as parameters."""
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


@click.command(
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
@click.option("--retry-failed", is_flag=True, help="Train failed trials again.")
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
            f"The search is over; to continue: hpo resume {shell_word(journal)} --extend NAME=VALUE"
        )


@click.command(
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
    """Join a search, and show its results if this process led it in the end."""
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


def _see_working_directory() -> None:
    """Make modules of the working directory importable, as ``python -m`` does, also in workers."""
    try:
        here = str(Path.cwd())
    except OSError:  # it was deleted
        return
    if not sys.flags.safe_path and not {here, ""} & set(sys.path):
        sys.path.insert(0, here)
