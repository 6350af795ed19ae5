"""Where configurations come from."""

from hpo.searchers.base import LearningSearcher, Searcher
from hpo.searchers.candidates import Candidates, ListCandidates, SpaceCandidates
from hpo.searchers.curve_aware import CurveSearcher, proposals_of
from hpo.searchers.grid import GridSearcher, ListSearcher
from hpo.searchers.random import RandomSearcher
from hpo.searchers.surface import Mixed, Surface, SurfaceModel, Trees

__all__ = [
    "Candidates",
    "CurveSearcher",
    "GridSearcher",
    "LearningSearcher",
    "ListCandidates",
    "ListSearcher",
    "Mixed",
    "RandomSearcher",
    "Searcher",
    "SpaceCandidates",
    "Surface",
    "SurfaceModel",
    "Trees",
    "proposals_of",
]
