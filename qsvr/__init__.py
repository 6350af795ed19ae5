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
    from qsvr.estimators import (
        QSVC,
        QSVR,
        C_path,
        QSVCEnsemble,
        QSVREnsemble,
        QSVRPath,
        QSVRProblem,
        fit_many,
    )
    from qsvr.exceptions import (
        AuthenticationError,
        CapacityError,
        CoarseEncodingWarning,
        ConfigurationError,
        CostLimitError,
        FallbackWarning,
        IncompleteAnswerError,
        IndefiniteKernelWarning,
        InvalidAnswerError,
        MemberFailedWarning,
        ProblemCancelledError,
        ProblemFailedError,
        QSVRError,
        SamplerError,
        SamplerWarning,
        ServiceError,
        ServiceUnavailableError,
        SolverMissingError,
        SolverOfflineError,
        TimeLimitError,
    )
    from qsvr.inspection import SampleEnergyDisplay, SamplerReport
    from qsvr.model import Solutions
    from qsvr.problem import FixedPointEncoding, Relaxation, Samples, SVRDual, SVRQubo
    from qsvr.samplers import (
        SAMPLER_NAMES,
        AccessPlan,
        Sampler,
        SamplerFactory,
        get_sampler,
        sampler_names,
    )
    from qsvr.samplers.dwave import scan_chain_strength
    from qsvr.warm_up import warm_up

__version__ = "0.2.0"
__all__ = [
    "QSVR",
    "QSVC",
    "QSVREnsemble",
    "QSVCEnsemble",
    "QSVRProblem",
    "fit_many",
    "C_path",
    "QSVRPath",
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
    "sampler_names",
    "AccessPlan",
    "scan_chain_strength",
    "warm_up",
    "QSVRError",
    "CapacityError",
    "SamplerError",
    "CostLimitError",
    "ServiceError",
    "AuthenticationError",
    "ConfigurationError",
    "SolverMissingError",
    "SolverOfflineError",
    "ServiceUnavailableError",
    "TimeLimitError",
    "ProblemFailedError",
    "ProblemCancelledError",
    "IncompleteAnswerError",
    "InvalidAnswerError",
    "FallbackWarning",
    "CoarseEncodingWarning",
    "IndefiniteKernelWarning",
    "MemberFailedWarning",
    "SamplerWarning",
]


# Every other public name is an error or a warning of `qsvr.exceptions`.
_ROOMS = {
    "qsvr.estimators": (
        "QSVC",
        "QSVR",
        "C_path",
        "QSVCEnsemble",
        "QSVREnsemble",
        "QSVRPath",
        "QSVRProblem",
        "fit_many",
    ),
    "qsvr.inspection": ("SampleEnergyDisplay", "SamplerReport"),
    "qsvr.model": ("Solutions",),
    "qsvr.problem": ("FixedPointEncoding", "Relaxation", "SVRDual", "SVRQubo", "Samples"),
    "qsvr.samplers": (
        "SAMPLER_NAMES",
        "AccessPlan",
        "Sampler",
        "SamplerFactory",
        "get_sampler",
        "sampler_names",
    ),
    "qsvr.samplers.dwave": ("scan_chain_strength",),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'qsvr' has no attribute {name!r}")
    if name == "warm_up":  # a module that can be called, which its import puts here
        return import_module("qsvr.warm_up")
    return getattr(import_module(_ROOM_OF.get(name, "qsvr.exceptions")), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
