"""Searchers propose configurations."""

from hpo.searchers.base import LearningSearcher, RewardedSearcher, Searcher
from hpo.searchers.candidates import Candidates, ListCandidates, SpaceCandidates
from hpo.searchers.curves import CurveSearcher, proposals_of
from hpo.searchers.grid_random import GridSearcher, ListSearcher, RandomSearcher
from hpo.searchers.initial import InitialSearcher, with_initial, without_initial
from hpo.searchers.q_learning import QLearningSearcher
from hpo.searchers.registry import LEARNING, REMOVED, SEARCHERS, make_searcher, searcher_options

__all__ = [
    "LEARNING",
    "REMOVED",
    "SEARCHERS",
    "Candidates",
    "CurveSearcher",
    "GridSearcher",
    "InitialSearcher",
    "LearningSearcher",
    "ListCandidates",
    "ListSearcher",
    "QLearningSearcher",
    "RandomSearcher",
    "RewardedSearcher",
    "Searcher",
    "SpaceCandidates",
    "make_searcher",
    "proposals_of",
    "searcher_options",
    "with_initial",
    "without_initial",
]
