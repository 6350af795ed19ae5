"""Protocols of searchers, which propose configurations to a scheduler."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Protocol, runtime_checkable

from hpo.trial import Config, Curve


class Searcher(Protocol):
    """Proposes configurations.

    A searcher without a model should draw from its seed and the trial's number alone, so that a
    replayed search, or one on more workers, tries the same configurations. A searcher over a
    `SearchSpace` has it as its attribute ``space``, for predictors that use it.

    A searcher that never proposes a configuration twice may say so with the attribute
    ``allow_duplicates = False``. A scheduler that starts configurations of its forecasts, too, then
    skips those that were tried. Without the attribute, what a searcher repeats is trained again.
    """

    def propose(self, trial_id: int) -> Config | None:
        """Return the configuration of trial `trial_id`, None if there are no more."""
        ...


@runtime_checkable
class LearningSearcher(Searcher, Protocol):
    """Proposes configurations from the curves of earlier trials with every forecast.

    ``propose`` returns the configurations tried before the first forecast.
    """

    def suggest(
        self, curves: Sequence[Curve], n: int, *, max_resource: int, seed: int
    ) -> list[Config]:
        """Return `n` new configurations, fewer if there are no more.

        The same curves, `n` and seed give the same configurations: calls share no state.

        Parameters
        ----------
        curves : sequence of Curve
            Curves of all trials, of different lengths.
        n : int
            Number of configurations.
        max_resource : int
            Maximum resource per trial.
        seed : int
            Seed of the random number generator.
        """
        ...


@runtime_checkable
class RewardedSearcher(Searcher, Protocol):
    """A searcher that receives the final loss of each of its proposals."""

    def observe(self, trial_id: int, loss: float) -> None:
        """Receive the final loss of trial `trial_id`, measured or predicted; infinity if it failed.

        Parameters
        ----------
        trial_id : int
        loss : float
        """
        ...


def check_count(name: str, value: object, minimum: int) -> None:
    """Check an integer parameter of a searcher.

    Raises
    ------
    ValueError
        If it is no integer or below the minimum.
    """
    is_integer = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_integer or value < minimum:  # type: ignore[operator]  # of an integer
        raise ValueError(f"{name} must be an integer of at least {minimum}, got {value!r}")
