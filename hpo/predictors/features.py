"""What a regression model sees of a learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo.space.search_space import SearchSpace
from hpo.trial import Curve


@dataclass(frozen=True)
class CurveFeatures:
    """The columns, chosen by the user.

    Attributes
    ----------
    values : bool
        The known losses.
    first_differences, second_differences : bool
        Their differences, and the differences of those (Baker et al., arXiv 1705.10823).
    space : SearchSpace or None
        Adds the hyperparameters, as this space turns them into numbers.

    Raises
    ------
    ValueError
        If none is chosen.
    """

    values: bool = True
    first_differences: bool = False
    second_differences: bool = False
    space: SearchSpace | None = None

    def __post_init__(self) -> None:
        chosen = (self.values, self.first_differences, self.second_differences, self.space)
        if not any(chosen):
            msg = "choose at least one of values, first_differences, second_differences, space"
            raise ValueError(msg)

    def __call__(self, curves: Sequence[Curve], known: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the features of some curves.

        Parameters
        ----------
        curves : sequence of Curve
            For their configurations.
        known : ndarray of shape (n_curves, n_known)
            Their losses.

        Returns
        -------
        ndarray of shape (n_curves, n_features)

        Raises
        ------
        ValueError
            If only differences are asked for and the curves are too short to have any.
        """
        blocks = []
        if self.values:
            blocks.append(known)
        if self.first_differences:
            blocks.append(np.diff(known, 1, axis=1))
        if self.second_differences:
            blocks.append(np.diff(known, 2, axis=1))
        if self.space is not None:
            blocks.append(np.array([self.space.to_features(curve.config) for curve in curves]))
        features = np.hstack(blocks)
        if features.shape[1] == 0:
            msg = f"{known.shape[1]} losses have no such differences; add values=True"
            raise ValueError(msg)
        return features
