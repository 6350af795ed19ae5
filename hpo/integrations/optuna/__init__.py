"""Optuna: a pruner for its studies, and the export of runs to its storages.

`hpo.searchers.optuna` is a searcher that uses Optuna's samplers.
"""

from hpo.errors import import_optional

import_optional("optuna", "hpo.integrations.optuna", "optuna")  # before the imports that need it

from hpo.integrations.optuna.export import Exported, export_journal  # noqa: E402
from hpo.integrations.optuna.pruner import PrunerDecision, SwiftPruner  # noqa: E402
from hpo.integrations.optuna.space import from_optuna, to_optuna  # noqa: E402

__all__ = [
    "Exported",
    "PrunerDecision",
    "SwiftPruner",
    "export_journal",
    "from_optuna",
    "to_optuna",
]
