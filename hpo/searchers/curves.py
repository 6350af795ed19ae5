"""New configurations from the forecasts of all trials.

A Gaussian process learns the final loss from the hyperparameters, each trial weighted by the
certainty of its forecast (`hpo.surrogates.surface`). Each proposal is the lowest of a thousand
candidates in one joint sample of the posterior (Thompson sampling), which searches near good
configurations and where little is known. The sample is part of the proposal, so that a scheduler
can compare it with resuming a trial.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpo._typing import FloatArray
from hpo.searchers.base import LearningSearcher, check_count
from hpo.searchers.candidates import Candidates, ListCandidates, SpaceCandidates
from hpo.searchers.distinct import untried
from hpo.space.search_space import SearchSpace
from hpo.surrogates import (
    Mixed,
    Observations,
    SurfaceModel,
    SurfaceSurrogate,
    improvement_zscore,
    margins,
)
from hpo.trial import Config, Curve, Proposal

_MIN_TRIALS = 3
"""With fewer trials no surface is fitted."""
_N_CANDIDATES = 1000
_SHORTLIST = 256
"""Number of candidates that are sampled jointly: the most promising ones."""


class CurveSearcher:
    """Proposes configurations from forecasts of final losses (see `LearningSearcher`).

    Parameters
    ----------
    where : SearchSpace, sequence of Config or Candidates
        What to choose from.
    seed : int, default=0
        Seed of the configurations proposed without a forecast; not negative.
    random_share : float, default=0.1
        Fraction of proposals drawn at random, in [0, 1].
    surface : SurfaceModel, default=None
        The model. Default: a Gaussian process and trees in turn (`Mixed`).
    allow_duplicates : bool, default=False
        Whether a configuration of a space that was tried may be tried again, for a trainer with
        noise. Without effect on a list, whose configurations are tried as often as they are listed.

    Raises
    ------
    ValueError
        If a setting is out of range.

    See Also
    --------
    hpo.SwiftASHA : The scheduler that makes the forecasts.
    hpo.RandomSearcher : Random configurations, for all other schedulers.
    hpo.searchers.optuna.OptunaSearcher : Proposes by one of Optuna's samplers.

    Examples
    --------
    After 30 random trials with the optimum at ``x = 0.3``, the proposals are close to it:

    >>> from hpo import CurveSearcher, SearchSpace
    >>> from hpo.trial import Curve
    >>> space = SearchSpace.from_dict({"x": {"type": "float", "low": 0.0, "high": 1.0}})
    >>> searcher = CurveSearcher(space, seed=0)
    >>> configs = [searcher.propose(trial) for trial in range(30)]
    >>> curves = [Curve(t, c, ((c["x"] - 0.3) ** 2,)) for t, c in enumerate(configs)]
    >>> found = [c["x"] for c in searcher.suggest(curves, 20, max_resource=1, seed=1)]
    >>> bool(0.2 < sorted(found)[10] < 0.4)
    True
    """

    def __init__(
        self,
        where: SearchSpace | Sequence[Config] | Candidates,
        seed: int = 0,
        *,
        random_share: float = 0.1,
        surface: SurfaceModel | None = None,
        allow_duplicates: bool = False,
    ) -> None:
        check_count("seed", seed, 0)
        if not isinstance(random_share, int | float) or not 0 <= random_share <= 1:
            raise ValueError(f"random_share must be a number in [0, 1], got {random_share!r}")
        self.candidates: Candidates
        self.space = where if isinstance(where, SearchSpace) else None
        if isinstance(where, SearchSpace):
            self.candidates = SpaceCandidates(where, seed, allow_duplicates=allow_duplicates)
        elif isinstance(where, Sequence):
            order = np.random.default_rng(seed).permutation(len(where)).tolist()
            self.candidates = ListCandidates(where, order)
        else:
            self.candidates = where
        # Of a list, each entry is a configuration of its own, and candidates of a user's decide.
        self.allow_duplicates = allow_duplicates or not isinstance(where, SearchSpace)
        self.random_share = random_share
        self.surface = Mixed() if surface is None else surface

    def propose(self, trial_id: int) -> Config | None:
        """Return the configuration of trial `trial_id`, without a forecast."""
        return self.candidates.first(trial_id)

    def suggest(
        self, curves: Sequence[Curve], n: int, *, max_resource: int, seed: int
    ) -> list[Config]:
        """Return `n` new configurations, the last loss of each trial taken as its forecast."""
        lasts = np.array([curve.losses[-1] for curve in curves])
        lengths = np.array([len(curve.losses) for curve in curves])
        missing = np.sqrt(np.log(max_resource / np.minimum(lengths, max_resource)))
        width = float(lasts.std()) if len(lasts) else 0.0
        levels = lasts / width if width > 0 else lasts
        observations = Observations(curves, levels, 0.3 * missing, max_resource)
        return [dict(proposal.config) for proposal in self._propose(observations, n, 0, seed)]

    def proposals(self, observations: Observations, n: int, *, seed: int) -> list[Proposal]:
        """Return new configurations, each with a prediction and a sample of its final loss.

        The first half are the lowest in a joint sample of all candidates; the others have the
        highest probability of improving on the incumbent by one of several margins.

        Parameters
        ----------
        observations : Observations
            The trials so far and their forecasts.
        n : int
            Number of proposals; fewer if there are no more configurations.
        seed : int
            Seed of the random number generator.
        """
        return self._propose(observations, n - n // 2, n // 2, seed)

    def _propose(
        self, observations: Observations, n_samples: int, n_margins: int, seed: int
    ) -> list[Proposal]:
        rng = np.random.default_rng(seed)
        found = self.candidates.some(observations.tried, _N_CANDIDATES, rng)
        n = n_samples + n_margins
        if not found or n < 1:
            return []
        surrogate = observations.surrogate
        if surrogate is None:
            if len(observations.curves) < _MIN_TRIALS:
                return [Proposal(config, -np.inf, -np.inf, 0.0) for config in found[:n]]
            features = self.candidates.features
            surrogate = SurfaceSurrogate.fitted(self.surface, features, observations, rng)
        mean, std = surrogate.predict(found)
        short = np.argsort(mean - 2 * std, kind="stable")[:_SHORTLIST]
        samples = np.full((n_samples, len(found)), np.inf)
        samples[:, short] = surrogate.sample([found[place] for place in short], n_samples, rng)
        margin = margins(n_margins, rng)
        zscores = improvement_zscore(mean, std, observations.incumbent, margin)
        return [
            Proposal(
                config=found[tried],
                draw=float(samples[min(row, n_samples - 1), winner]),
                mean=float(mean[winner]),
                std=float(std[winner]),
            )
            for row, winner, tried in self._pick(np.vstack([samples, -zscores]), len(found), rng)
        ]

    def _pick(
        self, scores: FloatArray, n_found: int, rng: np.random.Generator
    ) -> list[tuple[int, int, int]]:
        """Return row, winner and the candidate to try: mostly the winner, else a random one."""
        free = np.ones(n_found, dtype=bool)
        picked = []
        for row, score in enumerate(scores):
            winner = int(np.argmin(np.where(free, score, np.inf)))
            if not free[winner] or not np.isfinite(score[winner]):
                continue  # every promising one is taken
            tried = winner
            if rng.random() < self.random_share:
                # The first half of the candidates are the random ones.
                random = np.flatnonzero(free[: (n_found + 1) // 2])
                tried = int(rng.choice(random)) if len(random) else winner
            free[tried] = False
            picked.append((row, winner, tried))
        return picked


def proposals_of(
    searcher: LearningSearcher, observations: Observations, n: int, *, seed: int
) -> list[Proposal]:
    """Return proposals of any learning searcher, each with a sample of its final loss.

    Parameters
    ----------
    searcher : LearningSearcher
        If it is no `CurveSearcher`, the surrogate of the observations, or else a `Mixed` surface,
        predicts what it suggests.
    observations : Observations
        The trials so far and their forecasts.
    n : int
        Number of proposals.
    seed : int
        Seed of the random number generator.
    """
    if isinstance(searcher, CurveSearcher):
        return searcher.proposals(observations, n, seed=seed)
    curves = observations.curves
    distinct = not getattr(searcher, "allow_duplicates", True)
    # The searcher sees no running trial without a loss, and may suggest its configuration.
    n_asked = n + len(observations.running) if distinct else n
    configs = searcher.suggest(curves, n_asked, max_resource=observations.max_resource, seed=seed)
    if distinct:
        configs = list(untried(configs, observations.tried))[:n]
    if not configs or len(curves) < _MIN_TRIALS:
        return [Proposal(config, -np.inf, -np.inf, 0.0) for config in configs]
    rng = np.random.default_rng(seed)
    surrogate = observations.surrogate
    if surrogate is None:
        both = ListCandidates([*observations.configs, *configs])
        surrogate = SurfaceSurrogate.fitted(Mixed(), both.features, observations, rng)
    samples = np.diag(surrogate.sample(configs, len(configs), rng))
    mean, std = surrogate.predict(configs)
    return [
        Proposal(config, *map(float, values))
        for config, *values in zip(configs, samples, mean, std, strict=True)
    ]
