"""Many models at once: the folds and the grid of a search, or any list of small models.

For 20 samples a fit spends most of its time between the calls of numpy that it makes. Models of
equal size are therefore solved together, round by round, each round in one call of the annealer.

>>> import numpy as np
>>> from sklearn.datasets import make_friedman1
>>> from sklearn.model_selection import KFold, ParameterGrid
>>> from qsvr import QSVR
>>> X, y = make_friedman1(60, random_state=0)
>>> grid = list(ParameterGrid({"C": [1.0, 10.0], "gamma": [0.1, 1.0]}))
>>> folds = list(KFold(3, shuffle=True, random_state=0).split(X))
>>> models = [QSVR(**point, random_state=0) for point in grid for _ in folds]
>>> fitted = fit_many(models, [X[train] for train, _ in folds] * len(grid),
...                   [y[train] for train, _ in folds] * len(grid))
>>> scores = [model.score(X[test], y[test])
...           for model, (_, test) in zip(fitted, folds * len(grid))]
>>> grid[int(np.argmax(np.reshape(scores, (len(grid), -1)).mean(axis=1)))]["C"]
10.0
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from joblib import effective_n_jobs
from numpy.typing import ArrayLike

from qsvr.estimators._parameters import check_n_jobs
from qsvr.estimators._prepared import solved_together
from qsvr.estimators.svc import QSVC
from qsvr.estimators.svr import QSVR

__all__ = ["fit_many"]

Model = TypeVar("Model", QSVR, QSVC)


def fit_many(
    models: Sequence[Model],
    Xs: Sequence[ArrayLike],
    ys: Sequence[ArrayLike],
    sample_weights: Sequence[ArrayLike | None] | None = None,
    *,
    n_jobs: int | None = None,
) -> list[Model]:
    """Fit models together: the results are those of their ``fit``, to the bit.

    Models with a sampler of this machine that takes many QUBOs in one call (the structured
    annealer), no working sets and no time limit are solved together. The others are fitted one by
    one. The time saved is that of the calls: most of it for 20 samples, little for 200.

    Parameters
    ----------
    models : sequence of QSVR or QSVC
        Of a classifier, the problems of all pairs of classes.
    Xs : sequence of {array-like, sparse matrix} of shape (n_samples, n_features)
        Training data of each model, as for their ``fit``.
    ys : sequence of array-like of shape (n_samples,)
        Targets of each model.
    sample_weights : sequence of array-like of shape (n_samples,) or None, optional
        Weights for each model.
    n_jobs : int, optional
        Threads that anneal and polish; the results do not depend on it.

    Returns
    -------
    list of QSVR or QSVC
        The models, fitted.

    Raises
    ------
    TypeError
        If a model is neither.
    ValueError
        If there are not as many data as models, or for parameters or data that cannot be used.
    SamplerError
        If a sampler fails.

    See Also
    --------
    QSVR : One fit.
    C_path : Fits of one data set for many values of C and epsilon.
    """
    check_n_jobs("fit_many", n_jobs)
    models = list(models)
    for model in models:
        if not isinstance(model, QSVR | QSVC):
            raise TypeError(
                f"models of fit_many must be QSVR or QSVC; got {type(model).__name__}. Fit others, "
                "and pipelines of these, by their own fit."
            )
    weights = [None] * len(models) if sample_weights is None else sample_weights
    for name, values in (("Xs", Xs), ("ys", ys), ("sample_weights", weights)):
        if len(values) != len(models):
            raise ValueError(
                f"{name} of fit_many must hold one entry for each of {len(models)} models; got "
                f"{len(values)}. Repeat what models have in common."
            )
    if len({id(model) for model in models}) < len(models):
        raise ValueError(
            "models of fit_many must be distinct objects, as each of them is fitted; got one more "
            "than once. Use sklearn.base.clone."
        )
    data = zip(models, Xs, ys, weights, strict=True)
    started = [model._started(X, y, weight) for model, X, y, weight in data]  # noqa: SLF001
    return solved_together(started, n_jobs=effective_n_jobs(n_jobs))
