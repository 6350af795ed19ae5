"""What schedulers share that take initial configurations, or go on beyond their end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hpo.brackets import brief
from hpo.schedulers._trials import TrialStore
from hpo.searchers.base import Searcher
from hpo.searchers.initial import with_initial
from hpo.space.search_space import SearchSpace
from hpo.trial import Config


def enqueued(trials: TrialStore, searcher: Searcher, configs: Sequence[Config]) -> Searcher:
    """Return a searcher that proposes these configurations first.

    Parameters
    ----------
    trials : TrialStore
        Trials of the search, which must not have begun.
    searcher : Searcher
    configs : sequence of Config

    Raises
    ------
    ValueError
        If a configuration does not fit the search space.
    RuntimeError
        If the search has begun.
    """
    if trials.n_trials:
        raise RuntimeError("enqueue comes before the first ask(); the search has begun")
    return with_initial(searcher, configs) if configs else searcher


def check_extension(
    scheduler: object, settings: Mapping[str, Any], present: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values of all settings that can be extended, after an extension.

    Parameters
    ----------
    scheduler : object
        Whose settings they are.
    settings : Mapping
        New values.
    present : Mapping
        Present values of the settings that can be extended.

    Raises
    ------
    ValueError
        If there is none, one is unknown, or a value is not larger than the present one.
    """
    name = type(scheduler).__name__
    if not settings or not set(settings) <= set(present):
        takes = f"can be extended by {', '.join(present)}" if present else "cannot be extended"
        raise ValueError(
            f"a search by {name} {takes}; got {', '.join(settings) or 'nothing'}. For other "
            "settings start a new search with warm_start=[JOURNAL] (--warm-start JOURNAL), which "
            "takes over what this one has learned"
        )
    for setting, value in settings.items():
        low = present[setting]
        integer = isinstance(low, int) and not isinstance(value, int)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or integer or not low < value < math.inf:
            kind = "an integer" if isinstance(low, int) else "a finite number"
            raise ValueError(
                f"{setting} must be {kind} above its present value {low} to extend a search by "
                f"{name}, got {brief(value)}"
            )
    return {**present, **settings}


class TriesFirst:
    """A scheduler that tries given configurations first (see `hpo.loop.TakesInitial`)."""

    _trials: TrialStore
    _searcher: Searcher

    @property
    def space(self) -> SearchSpace | None:
        """Search space of the searcher; None if it has none."""
        return getattr(self._searcher, "space", None)

    def enqueue(self, configs: Sequence[Config]) -> None:
        """Try these configurations first (see `hpo.loop.TakesInitial`).

        Parameters
        ----------
        configs : sequence of Config
        """
        self._searcher = enqueued(self._trials, self._searcher, configs)
