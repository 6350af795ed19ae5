"""Permutation importance of the hyperparameters, measured on held-out trials.

A forest predicts the *rank* of a trial's loss after some number of units from its hyperparameters.
The importance of a hyperparameter is the decrease of the held-out R2 when its values are shuffled
(Breiman, Random Forests, Machine Learning 45, 2001). Ranks limit the influence of a diverged trial.
If the forest's own R2 is near zero, the importances mean nothing, so it is always reported too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpo._typing import FloatArray
from hpo.trial import Config, TrialSummary, finite_or_worst

LEAST_TRIALS = 20
"""Minimum number of trials."""
MOST_TRIALS = 1000
"""Maximum number of trials; of more, a subset is taken, evenly spread over the run."""
FOLDS = 5
"""Number of refits: folds of the cross-validation."""


@dataclass(frozen=True)
class Importance:
    """Importance of the hyperparameters for the loss after some units.

    Attributes
    ----------
    resource : int
        Units.
    n_trials : int
        Number of trials that were used.
    r2 : float
        R2 of the forest on held-out trials, 1 at best; at 0 or below nothing was learned.
    names : tuple of str
        Hyperparameters that vary, most important first.
    mean, std : tuple of float
        Decrease of R2 when a hyperparameter is shuffled, mean and standard deviation over the folds
        of the cross-validation.
    """

    resource: int
    n_trials: int
    r2: float
    names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def importance(
    trials: Sequence[TrialSummary], resource: int, *, seed: int = 0
) -> Importance | None:
    """Measure importances for the loss after `resource` units.

    Parameters
    ----------
    trials : sequence of TrialSummary
        Trials; those that were not trained that far are ignored, failed ones count as worst.
    resource : int
        Units.
    seed : int
        Seed of the random number generators.

    Returns
    -------
    Importance or None
        None if fewer than 20 trials were trained that far or nothing varies.
    """
    from scipy.stats import rankdata

    known = [trial for trial in trials if len(trial.losses) >= resource]
    if len(known) > MOST_TRIALS:
        picks = np.linspace(0, len(known) - 1, MOST_TRIALS).astype(int)
        known = [known[pick] for pick in picks]
    names, columns = _columns([trial.config for trial in known])
    if len(known) < LEAST_TRIALS or not names:
        return None
    losses = [finite_or_worst(trial.losses[resource - 1]) for trial in known]
    ranks = rankdata(losses) / len(losses)  # (n_trials,)
    r2, drops = _held_out(columns, ranks, seed)
    order = np.argsort(-drops.mean(axis=0), kind="stable")
    return Importance(
        resource=resource,
        n_trials=len(known),
        r2=r2,
        names=tuple(names[place] for place in order),
        mean=tuple(drops.mean(axis=0)[order].tolist()),
        std=tuple(drops.std(axis=0)[order].tolist()),
    )


def _held_out(columns: FloatArray, ranks: FloatArray, seed: int) -> tuple[float, FloatArray]:
    """Return the forest's R2 and its decrease by shuffling, of shape (n_folds, n_columns)."""
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.inspection import permutation_importance
    from sklearn.metrics import r2_score
    from sklearn.model_selection import KFold

    drops, predicted = [], np.empty_like(ranks)
    parts = KFold(FOLDS, shuffle=True, random_state=seed)
    for inside, outside in parts.split(columns):
        forest = ExtraTreesRegressor(30, min_samples_leaf=2, random_state=seed)
        forest.fit(columns[inside], ranks[inside])
        predicted[outside] = forest.predict(columns[outside])
        shuffled = permutation_importance(
            forest, columns[outside], ranks[outside], n_repeats=3, random_state=seed, scoring="r2"
        )
        drops.append(shuffled.importances_mean)
    return float(r2_score(ranks, predicted)), np.array(drops)


def _columns(configs: Sequence[Config]) -> tuple[list[str], FloatArray]:
    """Return the hyperparameters that vary, and one column of numbers for each.

    Trees depend on the order of values only, so no scale is needed; categories are numbered. A
    hyperparameter that is absent by its condition gets its median value; its absence is visible in
    the hyperparameter of the condition, and counts there.
    """
    names, columns = [], []
    for name in dict.fromkeys(name for config in configs for name in config):
        has = np.array([name in config for config in configs])
        known = _numbers([config[name] for config in configs if name in config])
        if len(np.unique(known)) > 1:
            column = np.full(len(configs), np.quantile(known, 0.5, method="lower"))
            column[has] = known
            names.append(name)
            columns.append(column)
    return names, np.array(columns, dtype=float).T.reshape(len(configs), len(names))


def _numbers(values: Sequence[Any]) -> FloatArray:
    if all(isinstance(value, int | float) for value in values):
        return np.array(values, dtype=float)
    codes = {value: code for code, value in enumerate(sorted(set(values), key=repr))}
    return np.array([codes[value] for value in values], dtype=float)
