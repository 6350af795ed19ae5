"""A path over C and epsilon: one kernel, and each solution starts from the previous one.

>>> import numpy as np
>>> from sklearn.datasets import make_friedman1
>>> from qsvr import QSVR, C_path
>>> X, y = make_friedman1(80, random_state=0)
>>> path = C_path(X[:60], y[:60], Cs=np.geomspace(1, 100, 5), estimator=QSVR(random_state=0))
>>> path.energies.shape, path.predict(X[60:]).shape
((1, 5), (1, 5, 20))
>>> errors = np.abs(path.predict(X[60:]) - y[60:]).mean(axis=2)
>>> model = path.model(0, int(np.argmin(errors[0])))
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array

from qsvr._typing import FloatArray
from qsvr._validation import check_integer
from qsvr.estimators._prepared import PreparedFit
from qsvr.estimators.svr import QSVR
from qsvr.model import combine
from qsvr.problem import LargeDual, SVRDual
from qsvr.samplers import StructuredAnnealer
from qsvr.solve import DirectSolver, DualSolution, RefinementSolver, WarmStart

__all__ = ["C_path", "QSVRPath"]

# Width of the first windows around the previous solution: one level of 3 bits.
_WARM_WIDTH = 0.125
# In such windows a few short reads, polished, give distinct solutions of low energy.
_READS, _SWEEPS = 4, 8
_RTOL = 1e-4


@dataclass(frozen=True, eq=False)
class QSVRPath:
    """Solutions for all values of epsilon and C, returned by `C_path`.

    Attributes
    ----------
    epsilons : ndarray of shape (n_epsilons,)
        Values of epsilon.
    Cs : ndarray of shape (n_Cs,)
        Values of C, in ascending order.
    coefficients : ndarray of shape (n_epsilons, n_Cs, n_samples)
        Combined dual coefficients of the training samples of positive weight.
    intercepts : ndarray of shape (n_epsilons, n_Cs)
        Offsets.
    energies, bounds : ndarray of shape (n_epsilons, n_Cs)
        Lowest energy found, and lower bound on the energy; see `QSVR`.
    n_qubos : ndarray of shape (n_epsilons, n_Cs)
        Number of QUBOs solved.

    See Also
    --------
    C_path : Computes the path.

    Examples
    --------
    >>> import numpy as np
    >>> from qsvr import C_path
    >>> X, y = np.linspace(0, 1, 12)[:, None], np.linspace(0, 1, 12) ** 2
    >>> path = C_path(X, y, Cs=[0.1, 1.0], epsilons=[0.01])
    >>> path
    QSVRPath(n_epsilons=1, n_Cs=2)
    >>> path.predict(X).shape
    (1, 2, 12)
    >>> path.model(0, 1).C
    1.0
    """

    epsilons: FloatArray
    Cs: FloatArray
    coefficients: FloatArray
    intercepts: FloatArray
    energies: FloatArray
    bounds: FloatArray
    n_qubos: NDArray[np.int64]
    _solved: tuple[tuple[QSVR, PreparedFit, DualSolution], ...]

    def __repr__(self) -> str:
        return f"QSVRPath(n_epsilons={self.epsilons.size}, n_Cs={self.Cs.size})"

    def predict(self, X: ArrayLike) -> FloatArray:
        """Return the predictions of all models, with one kernel matrix.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples, as for `QSVR.predict`.

        Returns
        -------
        predictions : ndarray of shape (n_epsilons, n_Cs, n_samples)
            Predicted targets.
        """
        model, fit, _ = self._solved[0]
        data = fit.data
        rows = check_array(
            X, accept_sparse=False if model.kernel == "precomputed" else "csr", dtype=np.float64
        )
        if rows.shape[1] != model.n_features_in_:
            raise ValueError(
                f"X has {rows.shape[1]} features; the path was fitted with {model.n_features_in_}."
            )
        if data.kernel.function == "precomputed":
            kernel = np.asarray(rows[:, data.train])
        else:
            kernel = data.kernel(rows, data.X[data.train])
        return np.asarray(self.coefficients @ kernel.T + self.intercepts[..., None])

    def model(self, epsilon: int, C: int) -> QSVR:
        """Return the fitted model for one epsilon and one C.

        Parameters
        ----------
        epsilon : int
            Index in ``epsilons``.
        C : int
            Index in ``Cs``.

        Returns
        -------
        model : QSVR
            The fitted model.
        """
        place = range(self.epsilons.size)[epsilon] * self.Cs.size + range(self.Cs.size)[C]
        model, fit, found = self._solved[place]
        return model._solved(fit, found)  # noqa: SLF001


def C_path(
    X: ArrayLike,
    y: ArrayLike,
    *,
    Cs: ArrayLike | None = None,
    epsilons: ArrayLike | None = None,
    n_Cs: int = 30,
    estimator: QSVR | None = None,
    sample_weight: ArrayLike | None = None,
) -> QSVRPath:
    """Fit models for many values of C and epsilon, each starting from the previous solution.

    The kernel matrix is computed once. After the first value, the QUBO covers narrow windows around
    the previous solution, so that one short round is mostly enough. Data that exceed one QUBO are
    solved by decomposition that starts from the previous solution. Without refinement, which is the
    default for samplers that cost money, each value is one full QUBO.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Training data, as for `QSVR.fit`.
    y : array-like of shape (n_samples,)
        Targets.
    Cs : array-like of shape (n_Cs,), default=None
        Values of C. None means ``n_Cs`` values from 0.1 to 100 standard deviations of y.
    epsilons : array-like of shape (n_epsilons,), default=None
        Values of epsilon. None means that of the estimator.
    n_Cs : int, default=30
        Number of values of C, if ``Cs`` is None.
    estimator : QSVR, default=None
        Model with all other parameters, which is not fitted itself. None means ``QSVR()``.
    sample_weight : array-like of shape (n_samples,), default=None
        Factors on C per sample.

    Returns
    -------
    path : QSVRPath
        The solutions, with ``predict`` and ``model``.

    Raises
    ------
    ValueError
        If the values, parameters or data are invalid.
    TypeError
        If the estimator is not a `QSVR`.
    SamplerError
        If the sampler fails.

    See Also
    --------
    fit_many : Fit any list of models together.
    sklearn.linear_model.lasso_path : The same for the lasso.

    Examples
    --------
    >>> import numpy as np
    >>> from qsvr import QSVR, C_path
    >>> X, y = np.linspace(0, 1, 12)[:, None], np.linspace(0, 1, 12) ** 2
    >>> path = C_path(X, y, n_Cs=4, estimator=QSVR(epsilon=0.01, random_state=0))
    >>> path.energies.shape
    (1, 4)
    """
    template = QSVR() if estimator is None else estimator
    if not isinstance(template, QSVR):
        raise TypeError(
            f"estimator of C_path must be a QSVR; got {type(estimator).__name__}. Use "
            "sklearn.model_selection.GridSearchCV for other estimators."
        )
    check_integer("C_path", "n_Cs", n_Cs, low=1)
    if template.base is not None:
        raise ValueError(
            f"base of C_path's estimator must be None, because its weights determine C; got "
            f"{template.base!r}. Set base=None."
        )
    first = _with(template, C=1.0)
    fit = first._prepared(X, y, sample_weight)  # noqa: SLF001
    if isinstance(fit.problem.dual, SVRDual):
        # Computed once, and kept in the duals of all values.
        _ = fit.problem.dual.penalised_kernel, fit.problem.dual.smallest_curvature
    if isinstance(fit.problem.dual, SVRDual) and fit.data.matrix is None:
        fit = replace(fit, data=replace(fit.data, matrix=fit.problem.dual.kernel_matrix))
    unit = 1.0 if template.normalize_y else float(np.std(fit.data.y)) or 1.0
    chosen = np.geomspace(0.1, 100.0, n_Cs) * unit if Cs is None else Cs
    C_values = np.sort(_values("Cs", chosen, low=0.0, strict=True))
    tubes = _values("epsilons", [template.epsilon] if epsilons is None else epsilons, low=0.0)
    models = [[_with(first, C=C, epsilon=e) for C in C_values.tolist()] for e in tubes.tolist()]
    fits, found, combined = [], [], []
    first_place: _Place | None = None
    for row in models:
        place = first_place  # of the epsilon before
        for model in row:
            one, solution, place = _step(fit, model, place)
            solutions, _ = combine(
                one.problem.dual, solution, fit.data, combination=model.combination,
                intercept=model.intercept,
            )  # fmt: skip
            fits.append(one)
            found.append(solution)
            combined.append(solutions.combined)
            first_place = first_place or place
    shape = len(models), C_values.size
    data = fit.data
    b = np.array([data.predicting(each) * data.unit for each, _ in combined])
    return QSVRPath(
        tubes,
        C_values,
        b.reshape(*shape, -1),
        np.array([data.centre + offset * data.unit for _, offset in combined]).reshape(shape),
        np.array([each.energies[0] for each in found]).reshape(shape),
        np.array([_bound(*pair) for pair in zip(found, fits, strict=True)]).reshape(shape),
        np.array([each.n_qubos for each in found]).reshape(shape),
        tuple(zip((model for row in models for model in row), fits, found, strict=True)),
    )


def _with(template: QSVR, **values: float) -> QSVR:
    """Return an unfitted copy with other values. Not `clone`, which would copy a live sampler."""
    model: QSVR = type(template)(**{**template.get_params(deep=False), **values})
    if hasattr(template, "n_features_in_"):
        model.n_features_in_ = template.n_features_in_
    if hasattr(template, "feature_names_in_"):
        model.feature_names_in_ = template.feature_names_in_
    return model


def _values(name: str, values: Any, *, low: float, strict: bool = False) -> FloatArray:
    array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    is_good = (array > low if strict else array >= low) & np.isfinite(array)
    if array.ndim != 1 or not array.size or not is_good.all():
        rule = "positive" if strict else "not negative"
        raise ValueError(
            f"{name} of C_path must be a list of finite numbers that are {rule}; got {values!r}."
        )
    return array


def _bound(found: DualSolution, fit: PreparedFit) -> float:
    return fit.problem.dual.bound if found.bound is None else found.bound


@dataclass(frozen=True, eq=False)
class _Place:
    """State of the path that the next value starts from."""

    C: FloatArray  # (n_samples,)
    b: FloatArray  # (n_samples,)
    relaxed: FloatArray | None = None  # (2, n_samples)
    centre: float = 0.0
    beta_range: tuple[float, float] | None = None
    before: tuple[FloatArray, FloatArray] | None = None  # b of the relaxation, and C, before this

    def relaxation_at(self, C: FloatArray) -> FloatArray | None:
        """Return a point, (2, n_samples), near the relaxation for another C.

        Between values at which a coefficient reaches or leaves its bound, solutions are linear in C
        (Hastie, Rosset, Tibshirani and Zhu 2004).
        """
        if self.relaxed is None:
            return None
        b = self.relaxed[0] - self.relaxed[1]
        moved = _moved(b, self.C, C)
        if self.before is not None:
            old, old_C = self.before
            ratio = float((C.max() - self.C.max()) / (self.C.max() - old_C.max()))
            moved = np.clip(b + ratio * (b - old), -C, C)
        return np.stack([np.maximum(moved, 0.0), np.maximum(-moved, 0.0)])


def _step(
    fit: PreparedFit, model: QSVR, before: _Place | None
) -> tuple[PreparedFit, DualSolution, _Place]:
    """Solve for the values of one model; ``fit`` is the fit with C = 1."""
    given = fit.problem
    encoding = replace(given.encoding, width=given.encoding.width * float(model.C))
    C: FloatArray = encoding.width[0]
    dual: Any = given.dual
    if isinstance(dual, LargeDual):
        start = None if before is None else _moved(before.b, before.C, C)
        dual = replace(dual, C=C, epsilon=model.epsilon)
        fit = replace(fit, problem=replace(given, dual=dual, encoding=encoding, start=start))
        found = fit.solve()
        return fit, found, _Place(C, found.b[0])
    begin = None if before is None else before.relaxation_at(C)
    dual = dual.with_box(C, model.epsilon, begin)
    fit = replace(fit, problem=replace(given, dual=dual, encoding=encoding))
    n_rounds = fit.strategy.rounds(fit.direct.sampler)
    centre, known = 0.0, dual
    if before is None or n_rounds == 0:
        found = fit.solve()
    else:
        centre, known = before.centre, dual.recentred(before.centre)
        start = vars(known).get("_start")
        vars(known)["relaxation"] = known.relax(start=start, rtol=_RTOL)
        direct = fit.direct if n_rounds is not None else _brief(fit.direct, before, C)
        solver = RefinementSolver(direct, n_rounds, fit.strategy.tol, fit.strategy.deadline)
        found = solver.solve(
            dual, encoding, n_solutions=fit.n_solutions, seed=fit.seed,
            start=WarmStart(known, centre, _WARM_WIDTH),
        )  # fmt: skip
    history = found.info.get("refinement_history")
    centre = history[-1].centre if history else centre
    beta_range = found.info.get("beta_range") if before is not None else None
    earlier = None
    if before is not None and before.relaxed is not None and before.C.max() < C.max():
        earlier = before.relaxed[0] - before.relaxed[1], before.C
    relaxed = known.relaxation.coefficients
    return fit, found, _Place(C, found.b[0], relaxed, centre, beta_range, earlier)


def _brief(direct: DirectSolver, before: _Place, C: FloatArray) -> DirectSolver:
    """Return a solver of little effort, for narrow windows around a nearly exact solution."""
    options = dict(direct.options)
    if isinstance(direct.sampler, StructuredAnnealer):
        options.setdefault("num_sweeps", _SWEEPS)
        if before.beta_range is not None:  # energies grow with the square of the windows
            ratio = float((before.C.max() / C.max()) ** 2)
            cold = before.beta_range[1] * ratio
            options.setdefault("beta_range", (cold / 8.0, cold))
    return replace(direct, num_reads=min(direct.num_reads, _READS), options=options)


def _moved(b: FloatArray, old: FloatArray, new: FloatArray) -> FloatArray:
    """Return coefficients in another box. Those at a bound move with it; the others stay.

    ``b`` has shape (..., n_samples), and the bounds (n_samples,).
    """
    at_bound = np.abs(b) > (1.0 - 1e-9) * old
    return np.where(at_bound, np.sign(b) * new, np.clip(b, -new, new))
