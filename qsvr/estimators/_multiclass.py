"""Two-class problems of a classification, and the combination of their decisions.

One against one, as libsvm: for each pair of classes (i, j), i < j, a problem of their samples, 1
for class i and -1 for class j. One against rest: for each class a problem of all samples. Two
classes are one problem, in which the second class is 1, so that positive decisions mean it.

>>> import numpy as np
>>> [(each.positive, each.negative) for each in binary_tasks("ovo", 3)]
[(0, 1), (0, 2), (1, 2)]
>>> binary_tasks("ovr", 2) == binary_tasks("ovo", 2) == [BinaryTask(1, 0)]
True
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qsvr._typing import BoolArray, FloatArray, IntArray
from qsvr.model import Solutions
from qsvr.problem import Kernel, TrainingData
from qsvr.samplers import AccessPlan
from qsvr.solve import DualProblem, DualSolution

__all__ = [
    "BinaryTask",
    "SolvedTask",
    "Training",
    "binary_tasks",
    "check_class_weights",
    "dual_coefficients",
    "total_plan",
    "votes",
]


@dataclass(frozen=True, eq=False)
class Training:
    """Checked training data of a classifier.

    Attributes
    ----------
    X : {ndarray, sparse matrix} of shape (n_samples, n_features)
    codes : ndarray of shape (n_samples,)
        Index of each sample's class.
    weight : ndarray of shape (n_samples,)
        Factors on C, by sample and class.
    kernel : Kernel
    """

    X: Any
    codes: IntArray
    weight: FloatArray
    kernel: Kernel


@dataclass(frozen=True, eq=False)
class SolvedTask:
    """A two-class problem and its solutions."""

    data: TrainingData
    problem: DualProblem
    found: DualSolution
    solutions: Solutions


@dataclass(frozen=True)
class BinaryTask:
    """The classes that a two-class problem separates.

    Attributes
    ----------
    positive : int
        Index of the class with label 1.
    negative : int or None
        Index of the class with label -1; None for all other classes.
    """

    positive: int
    negative: int | None

    def takes(self, codes: IntArray) -> BoolArray:
        """Return which samples take part; ``codes`` are their classes, (n_samples,)."""
        if self.negative is None:
            return np.ones(codes.size, dtype=np.bool_)
        return np.asarray((codes == self.positive) | (codes == self.negative))

    def labels(self, codes: IntArray) -> FloatArray:
        """Return 1 for the positive class and -1 for the other samples, (n_samples,)."""
        return np.where(codes == self.positive, 1.0, -1.0)


def binary_tasks(multi_class: str, n_classes: int) -> list[BinaryTask]:
    """Return the problems of ``multi_class``, "ovo" or "ovr", in order."""
    if n_classes == 2:
        return [BinaryTask(1, 0)]
    if multi_class == "ovr":
        return [BinaryTask(i, None) for i in range(n_classes)]
    return [BinaryTask(i, j) for i, j in combinations(range(n_classes), 2)]


def dual_coefficients(
    tasks: list[BinaryTask], coefficients: FloatArray, codes: IntArray, n_classes: int
) -> FloatArray:
    """Return scikit-learn's ``dual_coef_`` of coefficients of shape (n_tasks, n_SV).

    One against one, each support vector takes part in n_classes - 1 problems: row j - 1 is that of
    classes i < j for a vector of class i, and row i for one of class j. ``codes`` are the classes
    of the support vectors.
    """
    if len(tasks) == 1 or tasks[0].negative is None:
        return coefficients
    result = np.zeros((n_classes - 1, codes.size))
    for task, row in zip(tasks, coefficients, strict=True):
        i, j = task.positive, task.negative
        assert j is not None  # noqa: S101
        result[j - 1, codes == i] = row[codes == i]
        result[i, codes == j] = row[codes == j]
    return result


def votes(tasks: list[BinaryTask], decisions: FloatArray, n_classes: int) -> IntArray:
    """Return how many pairs each class wins, (n_samples, n_classes)."""
    result = np.zeros((len(decisions), n_classes), dtype=np.intp)
    for task, decision in zip(tasks, decisions.T, strict=True):
        assert task.negative is not None  # noqa: S101
        result[:, task.positive] += decision > 0.0
        result[:, task.negative] += decision <= 0.0
    return result


def check_class_weights(
    owner: str,
    classes: NDArray[Any],
    class_weight: FloatArray,
    codes: IntArray,
    weight: FloatArray,
) -> None:
    """Check that every class has positive weight.

    Parameters
    ----------
    owner : str
        Name of the estimator, for the message.
    classes, class_weight : ndarray of shape (n_classes,)
        Labels of the classes, and factors on C.
    codes, weight : ndarray of shape (n_samples,)
        Index of each sample's class, and its factor on C.

    Raises
    ------
    ValueError
        If a class has a negative factor or no weight.
    """
    mass = np.bincount(codes, weights=weight)
    if (class_weight < 0.0).any() or not (mass > 0.0).all():
        raise ValueError(
            f"each class of y must have positive weight in {owner}; the weights of its samples "
            f"add up to {dict(zip(classes.tolist(), mass.tolist(), strict=True))}. "
            "Change class_weight or sample_weight, or leave the class out."
        )


def total_plan(plans: Sequence[AccessPlan | None]) -> AccessPlan:
    """Return one plan for all problems of several."""
    known = [plan for plan in plans if plan is not None]
    n_problems = sum(plan.n_problems for plan in known)
    seconds = sum(plan.seconds for plan in known)
    return AccessPlan(n_problems, seconds / max(n_problems, 1))
