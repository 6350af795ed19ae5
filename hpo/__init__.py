"""Multi-fidelity hyperparameter optimisation: Hyperband, ASHA and Swift-Hyperband.

Names are imported when first used, so that a worker process loads no more than it needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpo.integrations.sklearn import SwiftSearchCV
    from hpo.predictors import (
        CurvePredictor,
        JointPredictor,
        MixedPredictor,
        PooledPredictor,
        make_predictor,
    )
    from hpo.run.callbacks import Callback, Stop
    from hpo.run.results import Results
    from hpo.run.spec import RunSpec
    from hpo.run.tuner import Tuner
    from hpo.schedulers import (
        ASHA,
        EarlyStopping,
        FastHyperband,
        Hyperband,
        RandomSearch,
        SuccessiveHalving,
        SwiftASHA,
        SwiftHyperband,
        make_scheduler,
    )
    from hpo.searchers import (
        CurveSearcher,
        GridSearcher,
        ListSearcher,
        QLearningSearcher,
        RandomSearcher,
        make_searcher,
    )
    from hpo.space.search_space import SearchSpace
    from hpo.trainers import (
        FunctionTrainer,
        Metrics,
        ScriptTrainer,
        TorchRun,
        TorchrunTrainer,
        TorchTrainer,
        Trainer,
        TrialContext,
        current_trial,
    )

_HOME = {
    # what a search consists of
    "SearchSpace": "hpo.space.search_space",
    "CurveSearcher": "hpo.searchers",
    "GridSearcher": "hpo.searchers",
    "ListSearcher": "hpo.searchers",
    "QLearningSearcher": "hpo.searchers",
    "RandomSearcher": "hpo.searchers",
    "make_searcher": "hpo.searchers",
    # what decides
    "ASHA": "hpo.schedulers",
    "EarlyStopping": "hpo.schedulers",
    "FastHyperband": "hpo.schedulers",
    "Hyperband": "hpo.schedulers",
    "RandomSearch": "hpo.schedulers",
    "SuccessiveHalving": "hpo.schedulers",
    "SwiftASHA": "hpo.schedulers",
    "SwiftHyperband": "hpo.schedulers",
    "make_scheduler": "hpo.schedulers",
    # what predicts
    "CurvePredictor": "hpo.predictors",
    "JointPredictor": "hpo.predictors",
    "MixedPredictor": "hpo.predictors",
    "PooledPredictor": "hpo.predictors",
    "make_predictor": "hpo.predictors",
    # what trains
    "FunctionTrainer": "hpo.trainers",
    "Metrics": "hpo.trainers",
    "ScriptTrainer": "hpo.trainers",
    "TorchRun": "hpo.trainers",
    "TorchTrainer": "hpo.trainers",
    "TorchrunTrainer": "hpo.trainers",
    "Trainer": "hpo.trainers",
    "TrialContext": "hpo.trainers",
    "current_trial": "hpo.trainers",
    # what runs
    "Callback": "hpo.run.callbacks",
    "Results": "hpo.run.results",
    "RunSpec": "hpo.run.spec",
    "Stop": "hpo.run.callbacks",
    "SwiftSearchCV": "hpo.integrations.sklearn",
    "Tuner": "hpo.run.tuner",
}

__all__ = [
    "ASHA",
    "Callback",
    "CurvePredictor",
    "CurveSearcher",
    "EarlyStopping",
    "FastHyperband",
    "FunctionTrainer",
    "GridSearcher",
    "Hyperband",
    "ListSearcher",
    "Metrics",
    "JointPredictor",
    "MixedPredictor",
    "PooledPredictor",
    "QLearningSearcher",
    "RandomSearch",
    "RandomSearcher",
    "Results",
    "RunSpec",
    "ScriptTrainer",
    "SearchSpace",
    "Stop",
    "SuccessiveHalving",
    "SwiftASHA",
    "SwiftHyperband",
    "SwiftSearchCV",
    "TorchRun",
    "TorchTrainer",
    "TorchrunTrainer",
    "Trainer",
    "TrialContext",
    "Tuner",
    "current_trial",
    "make_predictor",
    "make_scheduler",
    "make_searcher",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module 'hpo' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
