"""Fit many models together: the folds and the grid of a search, or any list of small models.

A fit of 20 samples spends most of its time between calls of NumPy. Models of equal size are
therefore solved together, each round in one call of the annealer.

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
    """Fit many models together, which is faster for small data than one fit after the other.

    The models are bit for bit those of their ``fit``. Models with the structured annealer, without
    decomposition and without time limit are solved together, the others one by one. What is saved
    is the time between calls of NumPy: most of a fit of 20 samples, little of one of 200.

    Parameters
    ----------
    models : sequence of QSVR or QSVC
        Unfitted models, all distinct objects.
    Xs : sequence of {array-like, sparse matrix} of shape (n_samples, n_features)
        Training data of each model, as for their ``fit``.
    ys : sequence of array-like of shape (n_samples,)
        Targets of each model.
    sample_weights : sequence of array-like of shape (n_samples,), default=None
        Sample weights of each model.
    n_jobs : int, default=None
        Number of threads for annealing and polish. The results do not depend on it.

    Returns
    -------
    models : list of QSVR or QSVC
        The fitted models.

    Raises
    ------
    TypeError
        If a model is neither a `QSVR` nor a `QSVC`.
    ValueError
        If the numbers of models and data sets differ, or if parameters or data are invalid.
    SamplerError
        If a sampler fails.

    See Also
    --------
    C_path : Models for many values of C and epsilon of the same data.

    Examples
    --------
    Fit three models with different values of C to the same data:

    >>> import numpy as np
    >>> from qsvr import QSVR, fit_many
    >>> X, y = np.linspace(0, 1, 12)[:, None], np.linspace(0, 1, 12) ** 2
    >>> models = [QSVR(C=C, random_state=0) for C in (0.1, 1.0, 10.0)]
    >>> [model.n_iter_ >= 1 for model in fit_many(models, [X] * 3, [y] * 3)]
    [True, True, True]
    """
    check_n_jobs("fit_many", n_jobs)
    models = list(models)
    for model in models:
        if not isinstance(model, QSVR | QSVC):
            raise TypeError(
                f"models of fit_many must be QSVR or QSVC; got {type(model).__name__}. Fit other "
                "models, and pipelines, by their own fit."
            )
    weights = [None] * len(models) if sample_weights is None else sample_weights
    for name, values in (("Xs", Xs), ("ys", ys), ("sample_weights", weights)):
        if len(values) != len(models):
            raise ValueError(
                f"{name} of fit_many must hold one entry for each of {len(models)} models; got "
                f"{len(values)}. Repeat data that models share."
            )
    if len({id(model) for model in models}) < len(models):
        raise ValueError(
            "models of fit_many must be distinct objects, because each of them is fitted; got "
            "the same one more than once. Use sklearn.base.clone."
        )
    data = zip(models, Xs, ys, weights, strict=True)
    started = [model._started(X, y, weight) for model, X, y, weight in data]  # noqa: SLF001
    return solved_together(started, n_jobs=effective_n_jobs(n_jobs))
