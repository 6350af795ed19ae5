"""What to try next, from the forecasts of everything that was tried.

A Gaussian process learns the final loss from the hyperparameters, each trial weighted by how well
its final loss is known (`hpo.surrogates.surface`). For each proposal one joint draw from its
posterior is taken over a thousand candidates, and the lowest wins (Thompson sampling): near what is
good, and where little is known. The winning draw goes with the proposal, so that a scheduler can
weigh it against going on with a trial that it has.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpo._typing import FloatArray
from hpo.searchers.base import LearningSearcher
from hpo.searchers.candidates import Candidates, ListCandidates, SpaceCandidates
from hpo.space.search_space import SearchSpace
from hpo.surrogates.acquisition import improvement_zscore, margins
from hpo.surrogates.surface import Mixed, SurfaceModel
from hpo.surrogates.surrogate import Observations, SurfaceSurrogate
from hpo.trial import Config, Curve, Proposal

_FEWEST = 3
"""With fewer trials there is nothing to learn from."""
_SHORTLIST = 256
"""Candidates that are drawn jointly: those that may be best."""


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
        The model. Default: a Gaussian process and trees in turn (`Mixed`).

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
            raise ValueError(f"seed must be an integer of at least 0, got {seed}")
        if not 0 <= random_share <= 1:
            raise ValueError(f"random_share must lie in [0, 1], got {random_share!r}")
        if n_candidates < 1:
            raise ValueError(f"n_candidates must be at least 1, got {n_candidates!r}")
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
        width = float(lasts.std()) if len(lasts) else 0.0
        levels = lasts / width if width > 0 else lasts
        known = Observations(curves, levels, 0.3 * missing, max_resource)
        return [dict(proposal.config) for proposal in self._propose(known, n, 0, seed)]

    def proposals(self, known: Observations, n: int, *, seed: int) -> list[Proposal]:
        """Return new configurations, with what is believed of each and a draw from it.

        The first half of them won a joint draw of all candidates; the others are those with the
        best chance to beat the incumbent by one of several margins.

        Parameters
        ----------
        known : Observations
            The trials so far and what is expected of them.
        n : int
            How many; fewer come where there are no more.
        seed : int
            Of all draws.
        """
        return self._propose(known, n - n // 2, n // 2, seed)

    def _propose(
        self, known: Observations, n_draws: int, n_chances: int, seed: int
    ) -> list[Proposal]:
        rng = np.random.default_rng(seed)
        found = self.candidates.some(known.tried, self.n_candidates, rng)
        n = n_draws + n_chances
        if not found or n < 1:
            return []
        belief = known.belief
        if belief is None:
            if len(known.curves) < _FEWEST:
                return [Proposal(config, -np.inf, -np.inf, 0.0) for config in found[:n]]
            belief = SurfaceSurrogate.fitted(self.surface, self.candidates.features, known, rng)
        mean, std = belief.expect(found)
        short = np.argsort(mean - 2 * std, kind="stable")[:_SHORTLIST]
        draws = np.full((n_draws, len(found)), np.inf)
        draws[:, short] = belief.draw([found[place] for place in short], n_draws, rng)
        chances = improvement_zscore(mean, std, known.incumbent, margins(n_chances, rng))
        picked = self._pick(np.vstack([draws, -chances]), len(found), rng)
        return [
            Proposal(found[shown], float(draws[min(row, n_draws - 1), place]), *values)
            for row, place, shown in picked
            for values in [(float(mean[place]), float(std[place]))]
        ]

    def _pick(
        self, scores: FloatArray, n_found: int, rng: np.random.Generator
    ) -> list[tuple[int, int, int]]:
        """Return row, winner and what is tried in its place: mostly itself, else a random one."""
        free = np.ones(n_found, dtype=bool)
        picked = []
        for row, score in enumerate(scores):
            place = int(np.argmin(np.where(free, score, np.inf)))
            if not free[place] or not np.isfinite(score[place]):
                continue  # every promising one is taken
            shown = place
            if rng.random() < self.random_share:
                # The first half of the candidates are the random ones.
                near_start = np.flatnonzero(free[: (n_found + 1) // 2])
                shown = int(rng.choice(near_start)) if len(near_start) else place
            free[shown] = False
            picked.append((row, place, shown))
        return picked


def proposals_of(
    searcher: LearningSearcher, known: Observations, n: int, *, seed: int
) -> list[Proposal]:
    """Return proposals of any learning searcher, each with a draw of its final loss.

    Parameters
    ----------
    searcher : LearningSearcher
        Ours draws itself; what another suggests is weighed by the belief that comes with the
        forecasts, or by our surface.
    known : Observations
        The trials so far and what is expected of them.
    n : int
        How many.
    seed : int
        Of all draws.
    """
    if isinstance(searcher, CurveSearcher):
        return searcher.proposals(known, n, seed=seed)
    configs = searcher.suggest(known.curves, n, max_resource=known.max_resource, seed=seed)
    if not configs or len(known.curves) < _FEWEST:
        return [Proposal(config, -np.inf, -np.inf, 0.0) for config in configs]
    rng = np.random.default_rng(seed)
    belief = known.belief
    if belief is None:
        both = ListCandidates([*known.configs, *configs])
        belief = SurfaceSurrogate.fitted(Mixed(), both.features, known, rng)
    draws = np.diag(belief.draw(configs, len(configs), rng))
    means, stds = belief.expect(configs)
    return [
        Proposal(config, float(draw), float(mean), float(std))
        for config, draw, mean, std in zip(configs, draws, means, stds, strict=True)
    ]


def _candidates(where: SearchSpace | Sequence[Config] | Candidates, seed: int) -> Candidates:
    if isinstance(where, SearchSpace):
        return SpaceCandidates(where, seed)
    if isinstance(where, Sequence):
        order = np.random.default_rng(seed).permutation(len(where)).tolist()
        return ListCandidates(where, order)
    return where
