"""Runs a scheduler's jobs as cross-validation: each trial is trained on all folds.

The models of a trial stay in memory between its jobs. Jobs run in batches of as many trials as
there are workers, so that a search repeats itself exactly on any number of workers of one count.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.metrics._scorer import _MultimetricScorer
from sklearn.model_selection._validation import _score
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_method_params

from hpo._typing import IntArray
from hpo.integrations.sklearn.parameters import ParameterSpace
from hpo.integrations.sklearn.resources import (
    Resource,
    Samples,
    Trained,
    configured,
    learner_of,
    prepared,
)
from hpo.run.forecasting import ModelRunner
from hpo.text import say
from hpo.trial import Config, Job, ModelJob, Report, TrainFailure, TrainJob, TrainReport

Scores = Any
"""A score, or a dict of scores by metric."""


@dataclass(frozen=True)
class Problem:
    """What all folds of all trials share.

    Attributes
    ----------
    estimator : estimator
        Unfitted, with the parameters that are not searched.
    X, y : array-like
        All rows; y may be None.
    resource : Resource
    scorer : callable
        As `sklearn.model_selection.BaseSearchCV` makes it.
    fit_params, score_params : Mapping
        Parameters of ``fit`` and of the scorer; those with one value per row are split.
    error_score : "raise" or float
        Score of a fold whose training fails.
    return_train_score : bool
    """

    estimator: Any
    X: Any
    y: Any
    resource: Resource
    scorer: Any
    fit_params: Mapping[str, Any]
    score_params: Mapping[str, Any]
    error_score: Any
    return_train_score: bool


@dataclass(frozen=True)
class Fold:
    """One split into training and test rows.

    Attributes
    ----------
    train, test : ndarray of int
        Rows. If the resource is the number of samples, the first training rows are used first.
    shared : tuple or None, default=None
        Fitted first steps of a pipeline and transformed training rows, for all trials.
    """

    train: IntArray
    test: IntArray
    shared: Any = None


@dataclass
class FoldState:
    """One fold of a trial.

    Attributes
    ----------
    trained : Trained or None, default=None
        The model; None before the first job, after a failure, and if it is trained anew each time.
    scores : Scores, default=None
        Latest score on the test rows.
    train_scores : Scores, default=None
        The same on the training rows, if asked for.
    fit_time, score_time : float, default=0.0
        Seconds so far.
    error : str or None, default=None
        Traceback of a failure.
    """

    trained: Trained | None = None
    scores: Scores = None
    train_scores: Scores = None
    fit_time: float = 0.0
    score_time: float = 0.0
    error: str | None = None


def prepare_fold(problem: Problem, fold: Fold) -> Fold:
    """Fit the first steps of a pipeline, which all trials share; without success, each fits them.

    Parameters
    ----------
    problem : Problem
    fold : Fold
    """
    estimator = configured(problem.estimator, {})
    X, y = _safe_split(estimator, problem.X, problem.y, fold.train)
    params = _check_method_params(problem.X, params=problem.fit_params, indices=fold.train)
    try:
        return Fold(fold.train, fold.test, prepared(estimator, X, y, params))
    except Exception:  # noqa: BLE001 - each trial fails in turn, and says why
        return fold


def train_fold(
    problem: Problem, fold: Fold, state: FoldState, params: Mapping[str, Any], points: Sequence[int]
) -> tuple[FoldState, list[Scores]]:
    """Train one fold of a trial on, and score it after each step.

    Parameters
    ----------
    problem : Problem
    fold : Fold
    state : FoldState
        As the job before left it.
    params : Mapping
        Parameters of the trial.
    points : sequence of int
        Resource before the job, and after each step.

    Returns
    -------
    state : FoldState
    scores : list
        One for each step.
    """
    steps = list(pairwise(points))
    rows = fold.train[: points[-1]] if isinstance(problem.resource, Samples) else fold.train
    estimator = configured(problem.estimator, params)
    X, y = _safe_split(estimator, problem.X, problem.y, rows)
    X_test, y_test = _safe_split(estimator, problem.X, problem.y, fold.test, rows)
    fit_params = _check_method_params(problem.X, params=problem.fit_params, indices=rows)
    score_params = _check_method_params(problem.X, params=problem.score_params, indices=fold.test)
    scores: list[Scores] = []
    for start, stop in steps:
        if state.error is None:
            begin = time.perf_counter()
            try:
                _advance(
                    problem.resource, fold, state, estimator, (X, y), (start, stop), fit_params
                )
            except Exception:
                if problem.error_score == "raise":
                    raise
                state.error = traceback.format_exc()
                state.trained = None
                state.scores = state.train_scores = _error_scores(problem)
            state.fit_time += time.perf_counter() - begin
        if state.error is None and not (scores and _is_finished(state)):
            begin = time.perf_counter()
            model = estimator if state.trained is None else state.trained.model
            state.scores = _score(
                model, X_test, y_test, problem.scorer, score_params, problem.error_score
            )
            state.score_time += time.perf_counter() - begin
        scores.append(state.scores)
    if problem.return_train_score and state.error is None:
        model = estimator if state.trained is None else state.trained.model
        train_params = _check_method_params(problem.X, params=problem.score_params, indices=rows)
        state.train_scores = _score(model, X, y, problem.scorer, train_params, problem.error_score)
    return state, scores


def _advance(
    resource: Resource,
    fold: Fold,
    state: FoldState,
    estimator: Any,
    rows: tuple[Any, Any],
    steps: tuple[int, int],
    fit_params: Mapping[str, Any],
) -> None:
    X, y = rows
    start, stop = steps
    if isinstance(resource, Samples):
        resource.advance(estimator, X, y, start, stop, fit_params)
        return
    trained = state.trained
    if trained is None:
        trained = Trained.begin(estimator, X, y, fit_params, fold.shared)
    shared = X if fold.shared is None else fold.shared[1]
    trained.advance(resource, shared, y, start, stop, fit_params)
    state.trained = trained


def _is_finished(state: FoldState) -> bool:
    return state.trained is not None and state.trained.is_finished


def _error_scores(problem: Problem) -> Scores:
    if isinstance(problem.scorer, _MultimetricScorer):
        return dict.fromkeys(problem.scorer._scorers, problem.error_score)  # noqa: SLF001
    return problem.error_score


@dataclass
class Trial:
    """One configuration in training.

    Attributes
    ----------
    params : dict
        Parameters of the estimator.
    folds : list of FoldState
    resource : int, default=0
        Resource that it was trained for.
    losses : list of float, default=[]
        Negative mean score after each unit.
    """

    params: dict[str, Any]
    folds: list[FoldState]
    resource: int = 0
    losses: list[float] = field(default_factory=list)


class FoldsRunner:
    """Trains trials on all folds (see `hpo.loop.Runner`).

    Parameters
    ----------
    problem : Problem
    folds : sequence of Fold
    space : ParameterSpace
    points : sequence of int
        Resource after each unit of the scheduler, from 0 on.
    model : ModelRunner
        Answers prediction jobs.
    parallel : Parallel
        Runs the folds.
    n_concurrent : int
        Number of trials in training at a time.
    metric : str or None
        Metric to maximise, of several; None for the only one, or the first.
    every_unit : bool
        Whether to score after each unit, or only after each job; then the losses of the units
        between lie on a line.
    verbose : int, default=0
        1 prints nothing here; above, a line for each job.

    Attributes
    ----------
    problem : Problem
    folds : sequence of Fold
    trials : dict of int to Trial
    """

    def __init__(  # noqa: PLR0913 - what it runs, all by keyword
        self,
        problem: Problem,
        folds: Sequence[Fold],
        space: ParameterSpace,
        *,
        points: Sequence[int],
        model: ModelRunner,
        parallel: Parallel,
        n_concurrent: int,
        metric: str | None,
        every_unit: bool,
        verbose: int = 0,
    ) -> None:
        self.trials: dict[int, Trial] = {}
        self.problem = problem
        self.folds = folds
        self._space = space
        self._points = points
        self._model = model
        self._parallel = parallel
        self._n_concurrent = n_concurrent
        self._metric = metric
        self._every_unit = every_unit and problem.resource.continues
        self._verbose = verbose
        self._jobs: list[TrainJob] = []
        self._reports: list[Report] = []

    @property
    def free(self) -> int:
        """Number of further trials in the next batch."""
        return self._n_concurrent - len(self._jobs)

    def submit(self, job: Job) -> None:
        """Take a training job into the next batch, or answer a prediction job at once."""
        if isinstance(job, ModelJob):
            self._reports.append(self._model.start(job, None).result())
        else:
            self._jobs.append(job)

    def wait(self) -> list[Report]:
        """Return the answered predictions, or run the batch and return its reports.

        Raises
        ------
        RuntimeError
            If nothing was submitted.
        """
        if not self._reports:
            if not self._jobs:
                raise RuntimeError("nothing runs, so no report will come")
            jobs, self._jobs = self._jobs, []
            self._reports = self._run(jobs)
        reports, self._reports = self._reports, []
        return reports

    def _run(self, jobs: Sequence[TrainJob]) -> list[Report]:
        outcomes = iter(
            self._parallel(
                delayed(train_fold)(
                    self.problem, fold, state, self._trial(job.trial_id, job.config).params, points
                )
                for job in jobs
                for points in [self._steps(job)]
                for fold, state in zip(
                    self.folds, self._trial(job.trial_id, job.config).folds, strict=True
                )
            )
        )
        return [self._report(job, [next(outcomes) for _ in self.folds]) for job in jobs]

    def _trial(self, trial_id: int, config: Config) -> Trial:
        if trial_id not in self.trials:
            folds = [FoldState() for _ in self.folds]
            self.trials[trial_id] = Trial(self._space.params(config), folds)
        return self.trials[trial_id]

    def _steps(self, job: TrainJob) -> tuple[int, ...]:
        """Return the resource before a job and wherever it is scored."""
        if self._every_unit:
            return tuple(self._points[job.start : job.stop + 1])
        return self._points[job.start], self._points[job.stop]

    def _report(
        self, job: TrainJob, outcomes: Sequence[tuple[FoldState, list[Scores]]]
    ) -> TrainReport | TrainFailure:
        trial = self.trials[job.trial_id]
        trial.folds = [state for state, _ in outcomes]
        trial.resource = self._points[job.stop]
        scores = [[self._value(each) for each in steps] for _, steps in outcomes]
        losses = -np.mean(np.array(scores, dtype=float), axis=0)  # (n_steps,)
        if self._verbose > 1:
            say(
                f"[SwiftSearchCV] trial {job.trial_id}: {trial.params}, "
                f"{self.problem.resource.name}={trial.resource}, score={-losses[-1]:.4f}"
            )
        errors = [state.error for state in trial.folds if state.error is not None]
        is_over = job.stop == len(self._points) - 1
        if errors and (len(errors) == len(trial.folds) or not np.isfinite(losses[-1])):
            is_over = True
        if is_over:
            for state in trial.folds:
                state.trained = None  # never trained on
        if errors and is_over and not np.isfinite(losses[-1]):
            reason = errors[0].strip().splitlines()[-1]
            return TrainFailure(job.trial_id, job.start, job.stop, reason)
        if len(losses) < job.stop - job.start:
            known = [job.start, job.stop] if trial.losses else [job.stop]
            values = [*trial.losses[-1:], losses[-1]]
            losses = np.interp(np.arange(job.start + 1, job.stop + 1), known, values)
        reported = tuple(map(float, losses))
        trial.losses += reported
        return TrainReport(job.trial_id, job.start, job.stop, reported)

    def _value(self, scores: Scores) -> float:
        if not isinstance(scores, Mapping):
            return float(scores)
        return float(scores[next(iter(scores)) if self._metric is None else self._metric])


def results_of(runner: FoldsRunner) -> list[dict[str, Any]]:
    """Return the outcomes of all folds of all trials as scikit-learn's searches keep them.

    Parameters
    ----------
    runner : FoldsRunner
        After the search.
    """
    outcomes = []
    for number in sorted(runner.trials):
        for fold, state in zip(runner.folds, runner.trials[number].folds, strict=True):
            outcome = {
                "test_scores": state.scores,
                "n_test_samples": len(fold.test),
                "fit_time": state.fit_time,
                "score_time": state.score_time,
                "fit_error": state.error,
            }
            if runner.problem.return_train_score:
                outcome["train_scores"] = state.train_scores
            outcomes.append(outcome)
    return outcomes


def ordered(rows: IntArray, y: Any, rng: np.random.Generator, *, is_classifier: bool) -> IntArray:
    """Return training rows in the order in which they are used, the classes in proportion.

    Parameters
    ----------
    rows : ndarray of int
    y : array-like or None
        Targets of all rows.
    rng : numpy.random.Generator
    is_classifier : bool
    """
    rows = rng.permutation(rows)
    if not is_classifier or y is None or np.ndim(y) != 1:
        return rows
    _, labels = np.unique(np.asarray(y)[rows], return_inverse=True)
    place = np.empty(len(rows))
    for label in range(int(labels.max(initial=-1)) + 1):
        members = np.flatnonzero(labels == label)
        place[members] = np.arange(len(members)) / len(members)
    ordered_rows: IntArray = rows[np.argsort(place, kind="stable")]
    return ordered_rows


def shares_first_steps(estimator: Any, searched: Sequence[str], resource: Resource) -> bool:
    """Return whether all trials have the same first steps of a pipeline.

    Parameters
    ----------
    estimator : estimator
    searched : sequence of str
        Parameters that the search chooses.
    resource : Resource
    """
    _, prefix = learner_of(estimator)
    if not prefix or isinstance(resource, Samples):
        return False
    return all(name.startswith(prefix) for name in searched)
