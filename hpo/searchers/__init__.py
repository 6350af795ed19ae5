"""Where configurations come from."""

from hpo.searchers.base import LearningSearcher, RewardedSearcher, Searcher
from hpo.searchers.candidates import Candidates, ListCandidates, SpaceCandidates
from hpo.searchers.curves import CurveSearcher, proposals_of
from hpo.searchers.grid_random import GridSearcher, ListSearcher, RandomSearcher
from hpo.searchers.q_learning import QLearningSearcher
from hpo.searchers.registry import LEARNING, SEARCHERS, make_searcher, searcher_options
from hpo.surrogates.surface import Mixed, Surface, SurfaceModel, Trees
from hpo.surrogates.surrogate import Observations, SurfaceSurrogate, Surrogate

__all__ = [
    "LEARNING",
    "SEARCHERS",
    "Surrogate",
    "Candidates",
    "CurveSearcher",
    "GridSearcher",
    "Observations",
    "LearningSearcher",
    "ListCandidates",
    "ListSearcher",
    "Mixed",
    "QLearningSearcher",
    "RandomSearcher",
    "RewardedSearcher",
    "Searcher",
    "SpaceCandidates",
    "Surface",
    "SurfaceSurrogate",
    "SurfaceModel",
    "Trees",
    "make_searcher",
    "proposals_of",
    "searcher_options",
]
