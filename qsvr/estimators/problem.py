"""The problem of a fit as a value: to be solved elsewhere, and read back.

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
    """What `QSVR.make_problem` returns, and several of them `QSVC.make_problems`: one QUBO.

    Attributes
    ----------
    qubo : SVRQubo
        The dual (``qubo.dual``) and its encoding (``qubo.encoding``). With ``normalize_y`` both are
        in units of the standard deviation of y.

    Examples
    --------
    >>> import numpy as np
    >>> from qsvr import QSVR
    >>> X, y = np.arange(4.0)[:, None], np.array([0.0, 1.0, 0.0, 1.0])
    >>> problem = QSVR(n_bits=2).make_problem(X, y)
    >>> problem.n_samples, problem.n_variables
    (4, 16)
    >>> len(problem.to_bqm().variables)
    16
    """

    qubo: SVRQubo

    def __repr__(self) -> str:
        return f"QSVRProblem(n_samples={self.n_samples}, n_variables={self.n_variables})"

    @property
    def n_samples(self) -> int:
        """Number of samples that take part: those of positive weight that are not held out."""
        return self.qubo.dual.n_samples

    @property
    def n_variables(self) -> int:
        """Number of binary variables: 2 * n_bits * n_samples, half of it in classification."""
        return self.qubo.n_variables

    def to_bqm(self) -> dimod.BinaryQuadraticModel:
        """Return the binary quadratic model; see `SVRQubo.to_bqm`."""
        return self.qubo.to_bqm()

    def to_cqm(self) -> dimod.ConstrainedQuadraticModel:
        """Return the model over integer levels with sum(b) = 0; see `SVRQubo.to_cqm`."""
        return self.qubo.to_cqm()

    def decode(self, sampleset: dimod.SampleSet) -> FloatArray:
        """Return dual coefficients, shape (n_reads, 2, n_samples): a and a-hat.

        Parameters
        ----------
        sampleset : dimod.SampleSet
            See `to_samples`.
        """
        return self.qubo.encoding.decode(self.to_samples(sampleset).bits)

    def to_samples(self, sampleset: dimod.SampleSet) -> Samples:
        """Return bits and dual energies, one row per read, in the order of the sample set.

        Parameters
        ----------
        sampleset : dimod.SampleSet
            Of `to_bqm`, over bits or spins, or of `to_cqm`, over levels; the variables in any
            order, labelled by their number or by text that ends in it. Of levels those with
            sum(b) = 0 are kept, where there are any.

        Raises
        ------
        TypeError
            If it is no sample set.
        ValueError
            If it is empty, of another problem's variables, or has values that none of them can
            take.
        """
        return samples_of(self.qubo, sampleset)
