"""The regression function from the solutions: average, offset, spread and export."""

from qsvr.model.combination import COMBINATIONS, combination_weights
from qsvr.model.export import to_svr
from qsvr.model.intercept import INTERCEPTS, kkt_intercept, primal_intercept
from qsvr.model.solutions import Solutions, combine
from qsvr.model.uncertainty import Spread

__all__ = [
    "COMBINATIONS",
    "INTERCEPTS",
    "Solutions",
    "Spread",
    "combination_weights",
    "combine",
    "kkt_intercept",
    "primal_intercept",
    "to_svr",
]
