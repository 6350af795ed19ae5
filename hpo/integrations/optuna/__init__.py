"""Optuna: our pruner in its studies, and our runs in its storages.

Optuna's samplers as a searcher of ours are in `hpo.searchers.optuna`.
"""

try:
    import optuna  # noqa: F401 - say what is missing before anything else does
except ImportError as error:
    raise ImportError(
        "hpo.integrations.optuna needs Optuna, which is not installed: pip install 'qsvr[optuna]'"
    ) from error

from hpo.integrations.optuna.export import Exported, export_journal
from hpo.integrations.optuna.pruner import PrunerDecision, SwiftPruner

__all__ = ["Exported", "PrunerDecision", "SwiftPruner", "export_journal"]
