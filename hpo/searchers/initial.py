"""Configurations that are tried first, before the searcher's own.

>>> from hpo import RandomSearcher, SearchSpace
>>> space = SearchSpace.from_dict({"lr": {"type": "float", "low": 0, "high": 1}, "layers": [1, 2]})
>>> searcher = with_initial(RandomSearcher(space, seed=0), [{"lr": 0.1, "layers": 2}, {"lr": 0.5}])
>>> searcher.propose(0), searcher.propose(1)["lr"], searcher.propose(2)["lr"] in (0.1, 0.5)
({'lr': 0.1, 'layers': 2}, 0.5, False)
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hpo.searchers.base import LearningSearcher, RewardedSearcher, Searcher
from hpo.searchers.distinct import config_key
from hpo.space.conditions import all_needs
from hpo.space.domains import Categorical, Constant, Domain, Float, Int
from hpo.space.search_space import SearchSpace
from hpo.space.values import among, equal, plain_value
from hpo.trial import Config, Curve

_MAX_COMPLETIONS = 20
"""Completions of one configuration that are tried to find a new one."""


class InitialSearcher:
    """Proposes given configurations first, then those of another searcher (see `with_initial`).

    Parameters
    ----------
    searcher : Searcher
        Proposes the rest.
    configs : sequence of Config
        Complete configurations.

    Attributes
    ----------
    searcher : Searcher
        The other searcher, without the given configurations.
    initial : tuple of Config
        The given configurations.

    See Also
    --------
    hpo.searchers.with_initial : Completes the configurations and builds this searcher.

    Examples
    --------
    >>> from hpo import RandomSearcher, SearchSpace
    >>> from hpo.searchers import InitialSearcher
    >>> space = SearchSpace.from_dict({"lr": {"type": "float", "low": 0.0, "high": 0.1}})
    >>> searcher = InitialSearcher(RandomSearcher(space, seed=0), [{"lr": 0.05}])
    >>> searcher.propose(0), searcher.propose(1) == RandomSearcher(space, seed=0).propose(0)
    ({'lr': 0.05}, True)
    """

    def __init__(self, searcher: Searcher, configs: Sequence[Config]) -> None:
        self.searcher = searcher
        self.initial = tuple(dict(config) for config in configs)
        self.allow_duplicates: bool = getattr(searcher, "allow_duplicates", True)
        self._keys = {config_key(config) for config in self.initial}
        self._numbers: list[int] = []  # of the other searcher's proposals, by trial after the first
        self._configs: list[Config | None] = []

    @property
    def space(self) -> SearchSpace | None:
        """The search space of the other searcher, if it has one."""
        return getattr(self.searcher, "space", None)

    def propose(self, trial_id: int) -> Config | None:
        """Return the configuration of trial `trial_id`, None if there are no more."""
        if trial_id < len(self.initial):
            return dict(self.initial[trial_id])
        place = trial_id - len(self.initial)
        while len(self._configs) <= place:
            following = self._numbers[-1] + 1 if self._numbers else 0
            for number in itertools.count(following):
                config = self.searcher.propose(number)
                if config is None:
                    return None
                if self.allow_duplicates or config_key(config) not in self._keys:
                    break
            self._numbers.append(number)
            self._configs.append(config)
        return self._configs[place]


class _LearningInitialSearcher(InitialSearcher):
    """One whose other searcher is a `LearningSearcher`, from which forecasts get proposals."""

    searcher: LearningSearcher

    def suggest(
        self, curves: Sequence[Curve], n: int, *, max_resource: int, seed: int
    ) -> list[Config]:
        """Return `n` new configurations of the other searcher."""
        return self.searcher.suggest(curves, n, max_resource=max_resource, seed=seed)


class _RewardedInitialSearcher(InitialSearcher):
    """One whose other searcher is a `RewardedSearcher`, which receives the losses of its own."""

    searcher: RewardedSearcher

    def observe(self, trial_id: int, loss: float) -> None:
        """Pass a final loss on, unless the trial's configuration was given."""
        place = trial_id - len(self.initial)
        if place >= 0:
            self.searcher.observe(self._numbers[place], loss)


def with_initial(searcher: Searcher, configs: Sequence[Config]) -> InitialSearcher:
    """Return a searcher that proposes given configurations first.

    A configuration may name only some of the hyperparameters. The others get the values of the
    searcher's own first proposals, or random ones where those do not fit the given values (by the
    conditions of the space).

    Parameters
    ----------
    searcher : Searcher
        Proposes the rest. One without an attribute ``space`` needs complete configurations, which
        are not checked.
    configs : sequence of Config
        Configurations in the order in which they are tried. Unless the searcher allows duplicates,
        each is tried once.

    Raises
    ------
    ValueError
        If a configuration does not fit the search space.
    """
    complete = completed(searcher, configs)
    if isinstance(searcher, LearningSearcher):
        return _LearningInitialSearcher(searcher, complete)
    if isinstance(searcher, RewardedSearcher):
        return _RewardedInitialSearcher(searcher, complete)
    return InitialSearcher(searcher, complete)


def without_initial(searcher: Searcher | None) -> Searcher | None:
    """Return the searcher that learns: the other one of an `InitialSearcher`.

    Parameters
    ----------
    searcher : Searcher or None
    """
    while isinstance(searcher, InitialSearcher):
        searcher = searcher.searcher
    return searcher


def completed(searcher: Searcher, configs: Sequence[Config]) -> list[Config]:
    """Complete configurations by a searcher (see `with_initial`).

    Parameters
    ----------
    searcher : Searcher
    configs : sequence of Config

    Raises
    ------
    ValueError
        If a configuration does not fit the search space.
    """
    space: SearchSpace | None = getattr(searcher, "space", None)
    repeats: bool = getattr(searcher, "allow_duplicates", True)
    found: list[Config] = []
    keys: set[str] = set()
    for number, given in enumerate(configs):
        if not isinstance(given, Mapping):
            raise ValueError(
                f"initial[{number}] must be a mapping from hyperparameters to values, got "
                f"{type(given).__name__}; give a dict"
            )
        if space is None:
            config: Config = {str(name): plain_value(value) for name, value in given.items()}
        else:
            config = _Completion(space, searcher, number, given).config(set() if repeats else keys)
        key = config_key(config)
        if repeats or key not in keys:
            keys.add(key)
            found.append(config)
    return found


class _Completion:
    """One configuration, checked, and the ways to complete it."""

    def __init__(self, space: SearchSpace, searcher: Searcher, number: int, given: Config) -> None:
        self._space = space
        self._searcher = searcher
        self._number = number
        self._given = {str(name): plain_value(value) for name, value in given.items()}
        needs = all_needs(space.parents_first, space.conditions)
        self._needed: dict[str, tuple[Any, ...]] = {}  # values that a parent must have one of
        for name, value in self._given.items():
            if name not in space.domains:
                raise ValueError(
                    f"initial[{number}] names {name!r}, which the search space does not; it has "
                    f"{', '.join(space.domains)}"
                )
            domain = space.domains[name]
            if value not in domain:
                raise ValueError(
                    f"initial[{number}]: {name!r} must lie in its domain {domain.to_dict()}, got "
                    f"{value!r}; change the value or widen the space"
                )
            self._given[name] = own_value(domain, value)
            for parent, values in needs[name].items():
                known = self._needed.get(parent, values)
                self._needed[parent] = tuple(v for v in known if among(v, values))
        for parent, values in self._needed.items():
            value = self._given.get(parent)
            if not values or (parent in self._given and not among(value, values)):
                children = [n for n in self._given if parent in needs[n]]
                got = f"{parent}={value!r}" if parent in self._given else "several of them"
                raise ValueError(
                    f"initial[{number}] gives {', '.join(map(repr, children))}, which the search "
                    f"space has only for other values of {parent!r}; got {got}; leave one out"
                )

    def config(self, tried: set[str]) -> Config:
        """Return a completion that was not tried, if there is one among the first ones."""
        config = self._attempt(
            self._searcher.propose(self._number) if self._is_partial else None, 0
        )
        for attempt in range(1, _MAX_COMPLETIONS):
            if config_key(config) not in tried or not self._is_partial:
                break
            config = self._attempt(None, attempt)
        return config

    @property
    def _is_partial(self) -> bool:
        return set(self._space.present(self._given)) != set(self._given)

    def _attempt(self, proposal: Config | None, attempt: int) -> Config:
        seed = getattr(self._searcher, "seed", 0)
        rng = np.random.default_rng([seed, self._number, attempt, 5])
        values = {**self._space.sample_all(rng), **(proposal or {})}
        for parent, allowed in self._needed.items():
            if not among(values[parent], allowed):
                values[parent] = allowed[int(rng.integers(len(allowed)))]
        return self._space.without_absent({**values, **self._given})


def own_value(domain: Domain, value: Any) -> Any:
    """Return a value in the type that the domain itself gives it: an integer where it has these.

    Parameters
    ----------
    domain : Domain
    value : Any
        In the domain.
    """
    match domain:
        case Int():
            return int(value)
        case Float():
            return float(value)
        case Constant():
            return domain.value
        case Categorical():
            return next(choice for choice in domain.choices if equal(choice, value))
    return value
