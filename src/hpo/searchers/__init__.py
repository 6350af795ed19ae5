"""Where configurations come from."""

from hpo.searchers.base import Searcher
from hpo.searchers.grid import GridSearcher, ListSearcher
from hpo.searchers.q_learning import QLearningSearcher
from hpo.searchers.random import RandomSearcher

__all__ = ["GridSearcher", "ListSearcher", "QLearningSearcher", "RandomSearcher", "Searcher"]
