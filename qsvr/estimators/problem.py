"""The problem of a fit as an object that can be solved elsewhere and read back.

>>> import numpy as np
>>> from dimod import ExactSolver
>>> from qsvr import QSVR
>>> X, y = np.array([[0.0], [1.0], [2.0]]), np.array([0.0, 1.0, 2.0])
>>> model = QSVR(C=0.5, n_bits=2, random_state=0)
>>> problem = model.make_problem(X, y)
>>> sampleset = ExactSolver().sample(problem.to_bqm())  # or any annealer, anywhere
>>> problem.decode(sampleset).shape
(4096, 2, 3)
>>> model.fit_samples(X, y, sampleset).predict([[1.0]]).round(1)
array([1.])
"""

from __future__ import annotations

from dataclasses import dataclass

import dimod

from qsvr._typing import FloatArray
from qsvr.problem import Samples, SVRQubo
from qsvr.samplers.given import samples_of

__all__ = ["QSVRProblem"]


@dataclass(frozen=True, eq=False)
class QSVRProblem:
    """Problem of a fit as one QUBO, returned by `QSVR.make_problem` and `QSVC.make_problems`.

    Attributes
    ----------
    qubo : SVRQubo
        The QUBO with its dual (``qubo.dual``) and encoding (``qubo.encoding``). With
        ``normalize_y`` both are in units of the standard deviation of y.

    See Also
    --------
    QSVR.fit_samples : Fit the model from samples of the problem.

    Examples
    --------
    >>> from qsvr import QSVR
    >>> problem = QSVR(C=0.5, n_bits=2).make_problem([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])
    >>> problem
    QSVRProblem(n_samples=3, n_variables=12)
    >>> problem.to_bqm().num_variables
    12
    """

    qubo: SVRQubo

    def __repr__(self) -> str:
        return f"QSVRProblem(n_samples={self.n_samples}, n_variables={self.n_variables})"

    @property
    def n_samples(self) -> int:
        """Number of samples of positive weight that are not held out."""
        return self.qubo.dual.n_samples

    @property
    def n_variables(self) -> int:
        """Number of bits: 2 * n_bits * n_samples, half of that in classification."""
        return self.qubo.n_variables

    def to_bqm(self) -> dimod.BinaryQuadraticModel:
        """Return the binary quadratic model; see `SVRQubo.to_bqm`."""
        return self.qubo.to_bqm()

    def to_cqm(self) -> dimod.ConstrainedQuadraticModel:
        """Return the model over integer levels with sum(b) = 0; see `SVRQubo.to_cqm`."""
        return self.qubo.to_cqm()

    def decode(self, sampleset: dimod.SampleSet) -> FloatArray:
        """Return the dual coefficients of samples.

        Parameters
        ----------
        sampleset : dimod.SampleSet
            Samples of this problem; see `to_samples`.

        Returns
        -------
        coefficients : ndarray of shape (n_reads, 2, n_samples)
            The coefficients a and a-hat.
        """
        return self.qubo.encoding.decode(self.to_samples(sampleset).bits)

    def to_samples(self, sampleset: dimod.SampleSet) -> Samples:
        """Return bits and dual energies, one row per read, in the order of the sample set.

        Parameters
        ----------
        sampleset : dimod.SampleSet
            Samples of `to_bqm`, over bits or spins, or of `to_cqm`, over levels. The variables may
            be in any order, labelled by their number or by text that ends in it. If some reads over
            levels have sum(b) = 0, only these are kept.

        Returns
        -------
        samples : Samples
            Bits and energies.

        Raises
        ------
        TypeError
            If ``sampleset`` is not a sample set.
        ValueError
            If it is empty, or if its variables or values do not belong to this problem.
        """
        return samples_of(self.qubo, sampleset)
