"""Estimators: what users fit."""

from qsvr.estimators.classifier_ensemble import QSVCEnsemble
from qsvr.estimators.ensemble import MemberFailure, QSVREnsemble
from qsvr.estimators.many import fit_many
from qsvr.estimators.problem import QSVRProblem
from qsvr.estimators.svc import QSVC
from qsvr.estimators.svr import QSVR

__all__ = [
    "QSVC",
    "QSVR",
    "MemberFailure",
    "QSVCEnsemble",
    "QSVREnsemble",
    "QSVRProblem",
    "fit_many",
]
