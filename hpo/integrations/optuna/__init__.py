"""Optuna: our pruner in its studies, and our runs in its storages.

Optuna's samplers as a searcher of ours are in `hpo.searchers.optuna`.
"""

from hpo.errors import import_optional

import_optional("optuna", "hpo.integrations.optuna", "optuna")  # before the imports that need it

from hpo.integrations.optuna.export import Exported, export_journal  # noqa: E402
from hpo.integrations.optuna.pruner import PrunerDecision, SwiftPruner  # noqa: E402

__all__ = ["Exported", "PrunerDecision", "SwiftPruner", "export_journal"]
