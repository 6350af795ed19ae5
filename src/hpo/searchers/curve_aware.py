"""What to try next, from the forecasts of everything that was tried.

A Gaussian process learns the final loss from the hyperparameters, each trial weighted by how well
its final loss is known (`hpo.searchers.surface`).  For each proposal one joint draw from its
posterior is taken over a thousand candidates, and the lowest wins (Thompson sampling): near what is
good, and where little is known.  The winning draw goes with the proposal, so that a scheduler can
weigh it against going on with a trial that it has.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpo.searchers.base import LearningSearcher
from hpo.searchers.candidates import Candidates, ListCandidates, SpaceCandidates
from hpo.searchers.surface import Mixed, SurfaceModel
from hpo.space import SearchSpace
from hpo.trial import Config, Curve, Proposal

Floats = NDArray[np.float64]

_FEWEST = 3
"""With fewer trials there is nothing to learn from."""


class CurveSearcher:
    """Proposes by forecasts of final losses (see `LearningSearcher`).

    Parameters
    ----------
    where : SearchSpace, sequence of Config or Candidates
        What to choose from.
    seed : int
        Of what is tried before anything is known; not negative.
    random_share : float
        Share of the proposals that are drawn at random all the same, in [0, 1].
    n_candidates : int
        Points among which a proposal is the best.
    surface : SurfaceModel, optional
        The model.  Default: a Gaussian process and trees in turn (`Mixed`).

    Raises
    ------
    ValueError
        If a setting is out of range.
    """

    def __init__(
        self,
        where: SearchSpace | Sequence[Config] | Candidates,
        seed: int = 0,
        *,
        random_share: float = 0.1,
        n_candidates: int = 1000,
        surface: SurfaceModel | None = None,
    ) -> None:
        if seed < 0:
            msg = f"seed must be an integer of at least 0, got {seed}"
            raise ValueError(msg)
        if not 0 <= random_share <= 1:
            msg = f"random_share must lie in [0, 1], got {random_share!r}"
            raise ValueError(msg)
        if n_candidates < 1:
            msg = f"n_candidates must be at least 1, got {n_candidates!r}"
            raise ValueError(msg)
        self.candidates = _candidates(where, seed)
        self.random_share = random_share
        self.n_candidates = n_candidates
        self.surface = Mixed() if surface is None else surface

    def propose(self, trial_id: int) -> Config | None:
        """Return what trial `trial_id` tries before anything is known."""
        return self.candidates.first(trial_id)

    def suggest(
        self, curves: Sequence[Curve], n: int, *, max_resource: int, seed: int
    ) -> list[Config]:
        """Return `n` new configurations, every trial being expected to keep its last loss."""
        lasts = np.array([curve.losses[-1] for curve in curves])
        lengths = np.array([len(curve.losses) for curve in curves])
        missing = np.sqrt(np.log(max_resource / np.minimum(lengths, max_resource)))
        width = lasts.std() if len(lasts) else 0.0
        proposals = self.draw(curves, lasts, 0.3 * width * missing, n, seed=seed)
        return [dict(proposal.config) for proposal in proposals]

    def draw(
        self,
        curves: Sequence[Curve],
        mean: Floats,
        std: Floats,
        n: int,
        *,
        seed: int,
        running: Sequence[Config] = (),
    ) -> list[Proposal]:
        """Return new configurations with a draw of the final loss of each.

        Parameters
        ----------
        curves : sequence of Curve
            The trials so far; their configurations are what counts.
        mean, std : ndarray of shape (n_curves,)
            Forecasts of their final losses, in any scale; the draws are in the same.
        n : int
            How many; fewer come where there are no more.
        seed : int
            Of all draws.
        running : sequence of Config
            Tried besides, with no loss yet.
        """
        rng = np.random.default_rng(seed)
        tried = [curves[place].config for place in np.argsort(mean, kind="stable")]
        found = self.candidates.some([*tried, *running], self.n_candidates, rng)
        if not found or n < 1:
            return []
        if len(curves) < _FEWEST:
            return [Proposal(config, -np.inf) for config in found[:n]]
        x = self.candidates.features([curve.config for curve in curves])
        self.surface.fit(x, np.asarray(mean, float), np.asarray(std, float), rng)
        draws = self.surface.draw(self.candidates.features(found), n, rng)
        return [
            Proposal(found[place], value) for place, value in self._pick(draws, len(found), rng)
        ]

    def _pick(
        self, draws: Floats, n_found: int, rng: np.random.Generator
    ) -> list[tuple[int, float]]:
        """Return the winner of each draw, no candidate twice, some of them replaced at random."""
        free = np.ones(n_found, dtype=bool)
        picked = []
        for row in draws[:n_found]:
            place = int(np.argmin(np.where(free, row, np.inf)))
            if not np.isfinite(row[place]) or not free[place]:
                break  # every promising one is taken
            value = float(row[place])
            if rng.random() < self.random_share:
                # The first half of the candidates are the random ones.
                near_start = np.flatnonzero(free[: (n_found + 1) // 2])
                place = int(rng.choice(near_start)) if len(near_start) else place
            free[place] = False
            picked.append((place, value))
        return picked


def proposals_of(
    searcher: LearningSearcher,
    curves: Sequence[Curve],
    forecast: tuple[Floats, Floats],
    n: int,
    running: Sequence[Config] = (),
    *,
    max_resource: int,
    seed: int,
) -> list[Proposal]:
    """Return proposals of any learning searcher, each with a draw of its final loss.

    Parameters
    ----------
    searcher : LearningSearcher
        Ours draws itself; what another suggests is weighed by our surface.
    curves : sequence of Curve
        The trials so far.
    forecast : tuple of ndarray of shape (n_curves,)
        Means and standard deviations of their final losses.
    n : int
        How many.
    running : sequence of Config
        Tried besides, with no loss yet.
    max_resource, seed : int
        As for `LearningSearcher.suggest`.
    """
    mean, std = forecast
    if isinstance(searcher, CurveSearcher):
        return searcher.draw(curves, mean, std, n, seed=seed, running=running)
    configs = searcher.suggest(curves, n, max_resource=max_resource, seed=seed)
    if not configs or len(curves) < _FEWEST:
        return [Proposal(config, -np.inf) for config in configs]
    both = ListCandidates([*(curve.config for curve in curves), *configs])
    rng = np.random.default_rng(seed)
    x = both.features([curve.config for curve in curves])
    draws = Mixed().fit(x, mean, std, rng).draw(both.features(configs), len(configs), rng)
    values = np.diag(draws)
    return [Proposal(config, float(v)) for config, v in zip(configs, values, strict=True)]


def _candidates(where: SearchSpace | Sequence[Config] | Candidates, seed: int) -> Candidates:
    if isinstance(where, SearchSpace):
        return SpaceCandidates(where, seed)
    if isinstance(where, Sequence):
        order = np.random.default_rng(seed).permutation(len(where)).tolist()
        return ListCandidates(where, order)
    return where
