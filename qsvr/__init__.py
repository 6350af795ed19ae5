"""Support vector regression solved as a QUBO, on quantum annealers or on your own machine.

>>> from sklearn.datasets import load_diabetes
>>> from qsvr import QSVR
>>> X, y = load_diabetes(return_X_y=True)
>>> QSVR(C=50, random_state=0).fit(X[:60], y[:60]).predict(X[60:61]).shape
(1,)

Names are loaded at first use, so that importing the package stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qsvr.estimators.ensemble import QSVREnsemble
    from qsvr.estimators.svr import QSVR
    from qsvr.exceptions import (
        AuthenticationError,
        CapacityError,
        CoarseEncodingWarning,
        CostLimitError,
        FallbackWarning,
        IncompleteAnswerError,
        MemberFailedWarning,
        ProblemCancelledError,
        ProblemFailedError,
        QSVRError,
        SamplerError,
        ServiceError,
        ServiceUnavailableError,
        SolverMissingError,
        SolverOfflineError,
        TimeLimitError,
    )
    from qsvr.inspection.plotting import SampleEnergyDisplay
    from qsvr.inspection.report import SamplerReport
    from qsvr.model.solutions import Solutions
    from qsvr.problem.dual import Relaxation, SVRDual
    from qsvr.problem.encoding import FixedPointEncoding
    from qsvr.problem.qubo import SVRQubo
    from qsvr.problem.samples import Samples
    from qsvr.samplers import SAMPLER_NAMES, AccessPlan, Sampler, SamplerFactory, get_sampler
    from qsvr.samplers.dwave import scan_chain_strength

_MODULE_OF = {
    # the estimator
    "QSVR": "qsvr.estimators.svr",
    "QSVREnsemble": "qsvr.estimators.ensemble",
    "Solutions": "qsvr.model.solutions",
    "SampleEnergyDisplay": "qsvr.inspection.plotting",
    "SamplerReport": "qsvr.inspection.report",
    # the pipeline's parts
    "FixedPointEncoding": "qsvr.problem.encoding",
    "SVRDual": "qsvr.problem.dual",
    "Relaxation": "qsvr.problem.dual",
    "SVRQubo": "qsvr.problem.qubo",
    "Samples": "qsvr.problem.samples",
    # samplers
    "SAMPLER_NAMES": "qsvr.samplers",
    "Sampler": "qsvr.samplers",
    "SamplerFactory": "qsvr.samplers",
    "get_sampler": "qsvr.samplers",
    "AccessPlan": "qsvr.samplers",
    "scan_chain_strength": "qsvr.samplers.dwave",
    # errors
    "QSVRError": "qsvr.exceptions",
    "CapacityError": "qsvr.exceptions",
    "SamplerError": "qsvr.exceptions",
    "CostLimitError": "qsvr.exceptions",
    "ServiceError": "qsvr.exceptions",
    "AuthenticationError": "qsvr.exceptions",
    "SolverMissingError": "qsvr.exceptions",
    "SolverOfflineError": "qsvr.exceptions",
    "ServiceUnavailableError": "qsvr.exceptions",
    "TimeLimitError": "qsvr.exceptions",
    "ProblemFailedError": "qsvr.exceptions",
    "ProblemCancelledError": "qsvr.exceptions",
    "IncompleteAnswerError": "qsvr.exceptions",
    "FallbackWarning": "qsvr.exceptions",
    "CoarseEncodingWarning": "qsvr.exceptions",
    "MemberFailedWarning": "qsvr.exceptions",
}

__version__ = "0.1.0"
__all__ = [
    "QSVR",
    "QSVREnsemble",
    "Solutions",
    "SampleEnergyDisplay",
    "SamplerReport",
    "FixedPointEncoding",
    "SVRDual",
    "Relaxation",
    "SVRQubo",
    "Samples",
    "SAMPLER_NAMES",
    "Sampler",
    "SamplerFactory",
    "get_sampler",
    "AccessPlan",
    "scan_chain_strength",
    "QSVRError",
    "CapacityError",
    "SamplerError",
    "CostLimitError",
    "ServiceError",
    "AuthenticationError",
    "SolverMissingError",
    "SolverOfflineError",
    "ServiceUnavailableError",
    "TimeLimitError",
    "ProblemFailedError",
    "ProblemCancelledError",
    "IncompleteAnswerError",
    "FallbackWarning",
    "CoarseEncodingWarning",
    "MemberFailedWarning",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'qsvr' has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE_OF])
