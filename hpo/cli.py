"""The command line: ``hpo run``, ``resume``, ``work``, ``status``, ``report``, ``export``, ...

A usage error prints one line to standard error and exits with status 2, a failed run exits with
status 1. A run that is stopped in good order prints the command that resumes it, and exits with
status 128 plus the signal (130 for Ctrl-C), or 75 at its deadline. A closed pipe of the output
(``hpo report RUN | head``) gives 141. All text is printed by `hpo.text`.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from hpo.errors import (
    AllTrialsFailedWarning,
    InterruptedRunError,
    MissingCheckpointError,
    StoppedRunError,
    UsageError,
    import_optional,
    usage_checked,
)
from hpo.text import say, shell_word, write

if TYPE_CHECKING:
    from rich.table import Table

    from hpo.run.results import Results
    from hpo.run.spec import RunSpec

T = TypeVar("T")

_EXIT_FAILED = 1
_EXIT_USAGE = 2
_EXIT_INTERRUPTED = 130
_EXIT_CLOSED_PIPE = 141
"""By the convention of shells: 128 plus the number of SIGPIPE."""


_MAX_LINE = 1500
"""Characters of a message: values in it may have thousands."""


class _FilePath(click.Path):
    """A path that the system can have, whether a file is there or not."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what no file can be named."""
        try:
            os.lstat(value)
        except ValueError:  # among them what cannot be encoded
            self.fail(
                f"{value!r} must be a path: without zero bytes, and text that can be encoded",
                param,
                ctx,
            )
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                self.fail(
                    f"{str(value)[:40]!r}... is too long for a file name (on most systems, 255 "
                    "bytes); give a shorter one",
                    param,
                    ctx,
                )
        return super().convert(value, param, ctx)


_PATH = _FilePath()
_WORKERS = click.IntRange(max=100_000)


def parse_options(pairs: Sequence[str]) -> dict[str, Any]:
    """Read ``name=value`` pairs; values are JSON where they can be, else text.

    Raises
    ------
    UsageError
        If a pair has no ``=``, a name is given twice, or a value is beyond all measure.

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
        name = name.replace("-", "_")
        if name in options:
            raise UsageError(f"option {name!r} is given twice; give it once")
        try:
            options[name] = json.loads(value)
        except json.JSONDecodeError:
            options[name] = value
        except (ValueError, RecursionError):  # an integer of thousands of digits; "[[[[..."
            raise UsageError(
                f"option {name!r} must be a number, a short list or text, got {len(value)} "
                f"characters: {value[:40]!r}...; give a simpler value"
            ) from None
    return options


def _pairs(name: str, text: str) -> Callable[..., Any]:
    """Return an option that is given as ``--name NAME=VALUE``, any number of times."""
    return click.option(name, multiple=True, metavar="NAME=VALUE", help=f"{text}; repeatable.")


_deadline = click.option(
    "--deadline",
    metavar="TIME",
    help="Stop in good order by then: HH:MM:SS from now, 55m, a date and time, or slurm.",
)


_LIMITS = (
    click.option("--max-time", metavar="TIME", help="Stop after this time: 55m, HH:MM:SS, s."),
    click.option("--max-epochs", type=int, help="Stop after this many epochs in all."),
    click.option("--max-trials", type=int, help="Start no more trials than this in all."),
    click.option("--target", type=float, help="Stop once the objective is this good."),
)
"""Options of `Tuner.run` and `Tuner.resume`."""


_NAMES_OF_LIMITS = ("max_time", "max_epochs", "max_trials", "target")


def _limited(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the limits of a run to a command, in their order."""
    for option in reversed(_LIMITS):
        command = option(command)
    return command


def _version(context: click.Context, _: click.Parameter, value: bool) -> None:
    """Print the version and exit."""
    from importlib.metadata import PackageNotFoundError, version

    if value and not context.resilient_parsing:
        try:
            _print(f"hpo {version('qsvr')}")
        except PackageNotFoundError:
            _print("hpo (not installed, run from its source)")
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version)
def cli() -> None:
    """Multi-fidelity hyperparameter optimisation: Hyperband, ASHA and Swift-Hyperband."""


@cli.command()
@click.argument("trainer", required=False, default="")
@click.option("--script", help="Command to tune, as 'python train.py --lr {lr} --epochs {stop}'.")
@click.option("--metric", help="Number of the script to optimise [default: loss].")
@_pairs("--script-option", "Option of the script, such as epoch=step")
@click.option("--space", type=_PATH, help="Search space, TOML [default: beside the trainer].")
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
    type=_WORKERS,
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
@_deadline
@_limited
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
@click.option("--journal", type=_PATH, help="New journal file [default: by trainer's name].")
@click.option(
    "--checkpoint-dir", type=_PATH, help="Directory of checkpoints [default: beside the journal]."
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
    type=_PATH,
    help="Configurations to try first: .json, .jsonl or .csv (also that of hpo report --csv).",
)
@click.option(
    "--warm-start",
    type=_PATH,
    multiple=True,
    metavar="JOURNAL",
    help="Journal of an earlier search to learn from; repeatable.",
)
@_pairs("--searcher-option", "Option of the searcher")
@_pairs("--scheduler-option", "Option of the scheduler")
@_pairs("--predictor-option", "Option of the predictor")
@_pairs("--executor-option", "Option of the executor, such as devices=0,1")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def run(trainer: str, space: Path | None, journal: Path | None, **options: Any) -> None:
    """Tune TRAINER, named FILE.py:name or package.module:name, or a script (--script)."""
    from hpo.run.going_on import read_configs
    from hpo.run.spec import RunSpec
    from hpo.run.tuner import Tuner
    from hpo.space.search_space import SearchSpace

    _see_working_directory()
    settings = {
        "progress": _progress(quiet=options.pop("quiet")),
        "checkpoint_dir": options.pop("checkpoint_dir"),
        "deadline": options.pop("deadline"),
        "warm_start": options.pop("warm_start"),
    }
    script = _script(options)
    domains = usage_checked(SearchSpace.from_toml, space or _default_space(trainer, script))
    if (initial := options.pop("initial")) is not None:
        settings["initial"] = read_configs(initial, domains)
    limits = {name: options.pop(name) for name in _NAMES_OF_LIMITS}
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
    _show(_watched(lambda: tuner.run(**limits), journal), journal)


def _script(options: dict[str, Any]) -> dict[str, Any]:
    """Take the options of a script out of those of a run; return them as parameters."""
    command, metric = options.pop("script"), options.pop("metric")
    given = parse_options(options.pop("script_option"))
    if metric is not None:
        given["metric"] = metric
    if command is None:
        if given:
            raise UsageError(
                f"{', '.join(given)}: of a script (--metric, --script-option), and there is none; "
                "give its command by --script"
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
@click.argument("journal", type=_PATH)
@click.option("--workers", "n_workers", type=_WORKERS, help="Number of workers [as before].")
@click.option("--executor", help="Executor [as before].")
@_pairs("--executor-option", "Option of the executor [as before]")
@click.option("--timeout", type=float, help="Time limit of a training job, in s [as before].")
@_deadline
@_limited
@click.option("--max-retries", type=int, help="Further attempts of a failed job [as before].")
@click.option("--max-lost", type=int, help="Segments lost in a row that end the run [as before].")
@click.option("--retry-failed", is_flag=True, help="Train the trials again that failed.")
@_pairs("--extend", "Go on beyond the end, by a larger max-resource, iterations, n-trials, ...")
@click.option("--checkpoint-dir", type=_PATH, help="Directory of the checkpoints [as before].")
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
    progress = _progress(quiet=quiet)
    _show(_watched(lambda: Tuner.resume(journal, progress=progress, **given), journal), journal)


@cli.command()
@click.argument("journal", type=_PATH)
@click.option("--workers", "n_workers", type=_WORKERS, help="Number of workers [as before].")
@_deadline
@_limited
@click.option("--checkpoint-dir", type=_PATH, help="Directory of the checkpoints [as before].")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def work(journal: Path, *, quiet: bool, **options: Any) -> None:
    """Join the search of JOURNAL: train for the process that leads it, or lead it if none does."""
    _see_working_directory()
    limits = {name: options.pop(name) for name in _NAMES_OF_LIMITS}
    given = {name: value for name, value in options.items() if value is not None}
    _work(journal, limits=limits, progress=_progress(quiet=quiet), **given)


def _work(journal: Path, spec: RunSpec | None = None, **settings: Any) -> None:
    """Train for a search beside other processes, and show its results if this one led it last."""
    from hpo.run.work import Contribution, work

    done: list[Contribution] = []

    def joined() -> Results | None:
        done.append(work(journal, spec, say=_warn, **settings))
        return done[0].results

    results = _watched(joined, journal, "work")
    if results is not None:
        _show(results, journal)
    else:
        _print(
            f"The search is over; this process trained {done[0].n_trained} segments for it.",
            f"Results: hpo report {shell_word(journal)}",
        )


@cli.command()
@click.argument("journals", type=_PATH, nargs=-1, required=True, metavar="JOURNAL...")
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
@click.option("--csv", type=_PATH, help="Write all trials, or searches, to this new file.")
@click.option("--figures", type=_PATH, help="Draw figures into this directory.")
@click.option("--html", type=_PATH, help="Write an interactive page to this new file.")
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
        _print(*shown.lines(), *files, table=shown.table())
    else:
        _show(shown, journals[0], top, files, options["metrics"] or None)


@cli.command()
@click.argument("journal", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def status(journal: Path, *, as_json: bool) -> None:
    """Show what the run of JOURNAL does at this moment, without disturbing it."""
    from hpo.report import read_status

    state = read_status(journal)
    _print(*(json.dumps(state.to_json(), indent=2).splitlines() if as_json else state.lines()))


@cli.command()
@click.argument("journal", type=_PATH)
@click.argument("storage")
@click.option("--study", help="Name of the study [default: the journal's].")
def export(journal: Path, storage: str, study: str | None) -> None:
    """Write the run of JOURNAL into Optuna's STORAGE (sqlite:///FILE, or a file); repeatable."""
    import_optional("optuna", "hpo export", "optuna")
    from hpo.integrations.optuna import export_journal

    done = usage_checked(export_journal, journal, storage, study_name=study)
    _print(
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
    "--workers", "n_workers", type=_WORKERS, default=1, show_default=True, help="Simulated workers."
)
@click.option(
    "--mode",
    type=click.Choice(["min", "max"]),
    default="min",
    show_default=True,
    help="Whether lower or higher values of the table are better.",
)
@_pairs("--predictor-option", "Option of the predictor")
def simulate(table: Path, predictor_option: Sequence[str], **options: Any) -> None:
    """Compare schedulers on TABLE, a CSV or NPZ file of recorded learning curves."""
    from hpo.simulation.compare import Setting, simulate_all, table_of

    setting = Setting(predictor_options=parse_options(predictor_option), **options)
    rows = simulate_all(table, setting)
    _print(table=table_of(rows, setting))


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
                    _print(f"{each.kind.capitalize()}s")
                width = max(map(len, each.names()))
                _print(*(f"  {name:{width}}  {line}" for name, line in each.described()))
    for warning in broken:
        _warn(f"Warning: {warning.message}")


def _see_working_directory() -> None:
    """Let modules of the working directory be imported, as ``python -m`` does; workers follow."""
    try:
        here = str(Path.cwd())
    except OSError:  # it was deleted
        return
    if not sys.flags.safe_path and not {here, ""} & set(sys.path):
        sys.path.insert(0, here)


def _print(*lines: str, table: Table | None = None) -> None:
    """Print a table and lines; end the command where the output cannot be written."""
    with _output():
        if table is not None:
            from rich.console import Console

            console = Console()
            console = console if console.is_terminal else Console(width=120)
            with console.capture() as capture:
                console.print(table)
            write(capture.get(), sys.stdout)
        for line in lines:
            say(line)


@contextlib.contextmanager
def _output() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            # What is left in the buffer, Python would try to write again at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise SystemExit(_EXIT_CLOSED_PIPE) from None
        _warn(f"Error: cannot write to standard output: {error.strerror}")
        raise SystemExit(_EXIT_FAILED) from None


def _warn(line: str) -> None:
    """Print a line to standard error, where there is one."""
    with contextlib.suppress(OSError):
        say(line, err=True)


def _progress(*, quiet: bool) -> Any:
    from hpo.run.progress import Progress, RichProgress

    return Progress() if quiet else RichProgress()


def _watched(work: Callable[[], T], journal: Path, then: str = "resume") -> T:
    """Do the work; if it is stopped or fails, say what was kept and which command goes on."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AllTrialsFailedWarning)  # `_show` says it
            return work()
    except InterruptedRunError as stop:
        _stopped(str(stop), journal, stop.exit_code, then)
    except KeyboardInterrupt:
        _stopped("Stopped at once.", journal, _EXIT_INTERRUPTED, then)
    except StoppedRunError as error:
        _stopped(f"Error: {error}", journal, _EXIT_FAILED, then)


def _stopped(message: str, journal: Path, code: int, then: str) -> NoReturn:
    _warn(message)
    if journal.exists():
        command = "python -m hpo" if Path(sys.argv[0]).name == "__main__.py" else "hpo"
        if "mpi4py.futures" in sys.orig_argv:
            command = "mpiexec -n N python -m mpi4py.futures -m hpo"
        name = f"./{journal}" if str(journal).startswith("-") else journal
        _warn(f"Go on with: {command} {then} {shell_word(name)}")
    raise SystemExit(code)


def _show(
    results: Results,
    journal: Path,
    top: int = 10,
    files: Sequence[str] = (),
    metrics: Sequence[str] | None = None,
) -> None:
    """Print the table of the best trials, the cost, the savings and the files."""
    lines = [*results.summary_lines(), f"Journal: {journal}"]
    if results.incumbent is not None:
        with contextlib.suppress(MissingCheckpointError):
            lines.append(f"Checkpoint of the best trial: {_relative(results.best_checkpoint)}")
    lines += files
    _print(*lines, table=results.table(top, metrics))
    if results.finished and results.incumbent is None:
        name = results.objective.title
        _warn(f"Error: no trial ended with a finite {name}; see the reasons above")
        raise SystemExit(_EXIT_FAILED)


def _relative(path: Path) -> Path:
    """Return a path as seen from the working directory, if it lies below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


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
        _warn("Stopped.")
        code = _EXIT_INTERRUPTED
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str) -> int:
    line = " ".join(message.split())
    _warn(f"Error: {line if len(line) <= _MAX_LINE else line[: _MAX_LINE - 3] + '...'}")
    return _EXIT_USAGE
