"""scikit-learn: a search over the parameters of an estimator, with cross-validation."""

from hpo.integrations.sklearn.search import SwiftSearchCV

__all__ = ["SwiftSearchCV"]
