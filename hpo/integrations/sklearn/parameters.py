"""Parameter distributions as scikit-learn's users write them, as a `hpo.SearchSpace`.

A choice may be any object, such as an estimator or a function. A search space holds plain values
only, so that such a choice stands in it under a text, and `ParameterSpace.params` restores it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hpo.brackets import brief
from hpo.searchers.distinct import all_points
from hpo.space.search_space import SearchSpace
from hpo.space.values import equal, plain_value
from hpo.trial import Config


@dataclass(frozen=True)
class ParameterSpace:
    """A search space, and the objects that its values stand for.

    Attributes
    ----------
    space : SearchSpace
    choices : Mapping of str to tuple of (plain value, object), default={}
        For each parameter that is a list of choices.
    """

    space: SearchSpace
    choices: Mapping[str, tuple[tuple[Any, Any], ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, param_distributions: Any) -> ParameterSpace:
        """Return the space of a search's parameter ``param_distributions``.

        Parameters
        ----------
        param_distributions : Mapping or SearchSpace
            As `SwiftSearchCV` takes it.

        Raises
        ------
        ValueError
            If it is empty, of another type, or a distribution is invalid.
        """
        if isinstance(param_distributions, SearchSpace):
            return cls(param_distributions)
        if not isinstance(param_distributions, Mapping):
            raise ValueError(
                "param_distributions of SwiftSearchCV must be a dict of parameters or a "
                f"SearchSpace, got {brief(param_distributions)}; write alternatives as one dict in "
                "which a parameter has a condition, 'when'"
            )
        choices = {
            str(name): tuple(_with_plain(list(spec)))
            for name, spec in param_distributions.items()
            if isinstance(spec, list) or (isinstance(spec, np.ndarray) and spec.ndim == 1)
        }
        spec = {str(name): each for name, each in param_distributions.items()}
        for name, pairs in choices.items():
            spec[name] = [plain for plain, _ in pairs]
        return cls(SearchSpace.from_dict(spec), choices)

    @property
    def n_points(self) -> int | None:
        """Number of configurations; None if there are infinitely many, or more than is counted."""
        points = all_points(self.space)
        return None if points is None else len(points)

    def params(self, config: Config) -> dict[str, Any]:
        """Return a configuration as parameters of the estimator.

        Parameters
        ----------
        config : Config
        """
        return {name: self._object(name, value) for name, value in config.items()}

    def _object(self, name: str, value: Any) -> Any:
        return next(
            (each for plain, each in self.choices.get(name, ()) if equal(plain, value)), value
        )


def _with_plain(values: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Return each value behind a plain one that stands for it: itself, or a text."""
    return [
        (plain, value)
        if _is_plain(plain := plain_value(value))
        else (f"{place}: {brief(value)}", value)
        for place, value in enumerate(values)
    ]


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or (isinstance(value, float | int | str) and value == value)
