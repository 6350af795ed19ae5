"""Search spaces: hyperparameters, their domains and conditions."""

from hpo.space.domains import Categorical, Constant, Domain, Float, Int, Scipy
from hpo.space.encoding import ConfigEncoder
from hpo.space.search_space import SearchSpace

__all__ = [
    "Categorical",
    "ConfigEncoder",
    "Constant",
    "Domain",
    "Float",
    "Int",
    "Scipy",
    "SearchSpace",
]
