"""The dual over bits: a quadratic unconstrained binary optimisation (QUBO) problem.

`SVRQubo` joins an `SVRDual` with a `FixedPointEncoding`. With M = [[K', -K'], [-K', K']] (plus
the overlap penalty), W the weights of the bits and o the offsets, the matrix is ``1/2 W'MW`` plus
the diagonal ``W' grad E(o)``; energies of bit strings equal the dual's of what they encode. Rows
and columns of coefficients without bits are left out.

>>> import numpy as np
>>> from qsvr.problem.dual import SVRDual
>>> from qsvr.problem.encoding import FixedPointEncoding
>>> dual = SVRDual(np.eye(2), np.array([1.0, -1.0]), epsilon=0.1, C=np.ones(2))
>>> qubo = SVRQubo(dual, FixedPointEncoding.for_box(dual.C, n_bits=1))
>>> bits = np.array([[1, 0, 0, 1]])
>>> float((bits @ qubo.matrix @ bits.T).item()), float(qubo.energies(bits)[0])
(-0.8, -0.8)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import dimod
import numpy as np
from numpy.typing import NDArray

from qsvr._typing import FloatArray
from qsvr.problem.dual import SVRDual
from qsvr.problem.encoding import FixedPointEncoding

__all__ = ["SVRQubo"]


@dataclass(frozen=True, eq=False)
class SVRQubo:
    """Dual of a support vector machine as a QUBO.

    Parameters
    ----------
    dual : SVRDual
        The dual.
    encoding : FixedPointEncoding
        Encoding of its coefficients, for the same number of samples.

    Raises
    ------
    ValueError
        If dual and encoding have different numbers of samples.

    See Also
    --------
    QSVR.make_problem : The QUBO of a fit.

    Examples
    --------
    >>> import numpy as np
    >>> from qsvr import FixedPointEncoding, SVRDual, SVRQubo
    >>> dual = SVRDual(np.eye(2), np.array([1.0, -1.0]), epsilon=0.1, C=np.ones(2))
    >>> qubo = SVRQubo(dual, FixedPointEncoding.for_box(dual.C, n_bits=1))
    >>> qubo.n_variables, qubo.to_bqm().num_interactions
    (4, 2)
    """

    dual: SVRDual
    encoding: FixedPointEncoding

    def __post_init__(self) -> None:
        if self.dual.n_samples != self.encoding.n_samples:
            raise ValueError(
                f"encoding is for {self.encoding.n_samples} samples and the dual has "
                f"{self.dual.n_samples}; build both from the same data."
            )

    @property
    def n_variables(self) -> int:
        """Number of bits: 2 * n_bits * n_samples in regression, half of that in classification."""
        return self.encoding.n_variables

    @property
    def constant(self) -> float:
        """Energy of the string of zeros, with every coefficient at its offset."""
        return float(self.dual.energy(self.encoding.offset))

    @property
    def matrix(self) -> FloatArray:
        """Symmetric matrix Q, shape (n_variables, n_variables): E(x) = x'Qx + constant.

        It is built at each access, so store it if you need it more than once.
        """
        n, n_bits, active = self.dual.n_samples, self.encoding.n_bits, self.encoding.active
        kernel, weights = self.dual.penalised_kernel, self.encoding.weights  # (2, n, n_bits)
        # Samples, weights of their bits, and rows of Q, of a and of a-hat.
        samples = [active[active < n], active[active >= n] - n]
        signed = [weights[0, samples[0]], -weights[1, samples[1]]]
        middle = samples[0].size * n_bits
        rows = [slice(0, middle), slice(middle, None)]
        Q = np.empty((self.n_variables, self.n_variables))
        for other in range(2):
            # K with every column repeated per bit: a small part of Q.
            right = np.repeat(kernel[:, samples[other]], n_bits, axis=1)
            right *= signed[other].reshape(-1)
            for side in range(2):
                left = 0.5 * signed[side]  # (n_side, n_bits)
                block = Q[rows[side], rows[other]].reshape(*left.shape, right.shape[1])
                part = right if samples[side].size == n else right[samples[side]]
                np.multiply(left[..., None], part[:, None, :], out=block)
        if self.dual.overlap_penalty:
            self._add_overlap(Q)
        gradient = self.dual.gradient(self.encoding.offset)
        linear = (weights * gradient[:, :, None]).reshape(-1, n_bits)[active]
        np.einsum("ii->i", Q)[:] += linear.reshape(-1)
        return Q

    def _add_overlap(self, Q: FloatArray) -> None:
        n, n_bits, active = self.dual.n_samples, self.encoding.n_bits, self.encoding.active
        both = np.flatnonzero(self.encoding.side == 0)
        both = both[np.isin(both, active)]
        a, ah = self.encoding.weights[:, both]  # (n_both, n_bits) each
        block = 0.5 * self.dual.overlap_penalty * a[:, :, None] * ah[:, None, :]
        view = Q.reshape(active.size, n_bits, active.size, n_bits)
        first, second = np.searchsorted(active, both), np.searchsorted(active, both + n)
        view[first, :, second, :] += block
        view[second, :, first, :] += block.transpose(0, 2, 1)

    def energies(self, bits: NDArray[Any]) -> FloatArray:
        """Return the dual's energies of bits of shape (n_reads, n_variables)."""
        return self.dual.energy(self.encoding.decode(bits))

    def to_bqm(self) -> dimod.BinaryQuadraticModel:
        """Return the problem as a dimod model over the variables 0 to n_variables - 1.

        Returns
        -------
        bqm : dimod.BinaryQuadraticModel
            The model, whose energies are those of the dual.
        """
        matrix = self.matrix
        linear = matrix.diagonal().copy()
        np.fill_diagonal(matrix, 0.0)
        bqm = dimod.BinaryQuadraticModel(dimod.BINARY)
        bqm.add_linear_from_array(linear)  # type: ignore[arg-type]
        bqm.add_quadratic_from_dense(matrix)
        bqm.offset = self.constant
        return bqm

    def to_cqm(self) -> dimod.ConstrainedQuadraticModel:
        """Return the exact dual over integer levels, with the constraint sum(b) = 0.

        Variable ``side * n_samples + sample`` is the level of that coefficient, from 0 to
        ``2**n_bits - 1``. Coefficients without bits are left out of the numbering. If the
        constraint ``"sum_b"`` holds, the objective equals the energy of the QUBO.

        Returns
        -------
        cqm : dimod.ConstrainedQuadraticModel
            The model.

        Raises
        ------
        ValueError
            If the levels are not equally spaced, or not multiples of one step for all samples,
            because sum(b) = 0 could then hold for hardly any levels.
        """
        n, top = self.encoding.active.size, self.encoding.grid.size - 1
        step, linear, square, constant = self._over_levels("CQM")
        objective = dimod.QuadraticModel()
        for i in range(n):
            objective.add_variable("INTEGER", i, lower_bound=0, upper_bound=top)
        objective.add_linear_from(enumerate(linear.tolist()))
        objective.add_quadratic_from(
            (i, j, float(square[i, j] if i != j else 0.5 * square[i, i]))
            for i in range(n)
            for j in range(i + 1)
        )
        objective.offset = constant
        cqm = dimod.ConstrainedQuadraticModel()
        cqm.set_objective(objective)
        # A name that LP files take.
        cqm.add_constraint_from_iterable(*self._equation(step, "CQM"), label="sum_b")
        return cqm

    def to_nl(self) -> Any:
        """Return the exact dual as a locked nonlinear model of dwave-optimization.

        Its only decision is an integer array of levels, in the order of `to_cqm`, with the
        constraint sum(b) = 0. If that holds, the objective equals the energy of the QUBO.

        Returns
        -------
        model : dwave.optimization.Model
            The model.

        Raises
        ------
        ValueError
            As in `to_cqm`.
        """
        from dwave.optimization.model import Model

        n, top = self.encoding.active.size, self.encoding.grid.size - 1
        step, linear, square, constant = self._over_levels("nonlinear model")
        terms, _, right = self._equation(step, "nonlinear model")
        model = Model()
        levels = model.integer(n, lower_bound=0, upper_bound=top)
        rows, columns = np.triu_indices(n)
        values = np.where(rows == columns, 0.5, 1.0) * square[rows, columns]
        quadratic = model.quadratic_model(levels, (values, (rows, columns)), linear)
        model.minimize(quadratic + model.constant(constant))
        factors = np.zeros(n)
        for i, factor in terms:
            factors[i] = factor
        model.add_constraint((model.constant(factors) * levels).sum() == model.constant(right))
        model.lock()
        return model

    def _over_levels(self, name: str) -> tuple[FloatArray, FloatArray, FloatArray, float]:
        """Return the dual without its penalty over levels l: step, c, S of c'l + 1/2 l'Sl + r, r.

        ``step`` has shape (n_active,): what a level adds to each coefficient that has bits.
        """
        if not self.encoding.is_uniform:
            raise ValueError(
                f"a {name} needs equally spaced levels; set base=None, so that the weights are "
                "powers of two."
            )
        top, active = self.encoding.grid.size - 1, self.encoding.active
        step: FloatArray = (self.encoding.width / top).reshape(-1)[active]
        exact = replace(self.dual, equality_penalty=0.0)
        linear = step * exact.gradient(self.encoding.offset).reshape(-1)[active]
        square = np.asarray(np.kron([[1.0, -1.0], [-1.0, 1.0]], exact.kernel_matrix), np.float64)
        if exact.overlap_penalty:
            swap = np.array([[0.0, 1.0], [1.0, 0.0]])
            square += exact.overlap_penalty * np.kron(swap, np.eye(self.dual.n_samples))
        square = square[np.ix_(active, active)]
        square *= np.outer(step, step)
        return step, linear, square, float(exact.energy(self.encoding.offset))

    def _equation(self, step: FloatArray, name: str) -> tuple[list[tuple[int, int]], str, int]:
        """Return sum(b) = 0 over levels, in whole multiples of the smallest step."""
        positive = step[step > 0.0]
        unit = float(positive.min()) if positive.size else 1.0
        signs = np.repeat([1.0, -1.0], self.dual.n_samples)
        factors = signs[self.encoding.active] * step / unit
        right = -float(signs @ self.encoding.offset.reshape(-1)) / unit
        whole, whole_right = factors.round(), round(right)
        if np.abs(factors - whole).max() > 1e-6 or abs(right - whole_right) > 1e-6:
            raise ValueError(
                f"a {name} needs levels that are multiples of one step for all samples, so that "
                "sum(b) = 0 can hold exactly; use sample weights that are whole multiples of the "
                "smallest one, or another sampler."
            )
        return [(i, int(f)) for i, f in enumerate(whole) if f], "==", whole_right
