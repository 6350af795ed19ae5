"""Connections to other tools: scikit-learn, Ray Tune, Optuna, ConfigSpace, MLflow, TensorBoard.

Each module needs a package of its own and is imported by name, as in
``from hpo.integrations.optuna import SwiftPruner``; this one imports none of them.
"""
