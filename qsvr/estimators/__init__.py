"""Estimators: what users fit."""

from qsvr.estimators.ensemble import MemberFailure, QSVREnsemble
from qsvr.estimators.many import fit_many
from qsvr.estimators.path import C_path, QSVRPath
from qsvr.estimators.problem import QSVRProblem
from qsvr.estimators.svr import QSVR

__all__ = [
    "QSVR",
    "C_path",
    "MemberFailure",
    "QSVREnsemble",
    "QSVRPath",
    "QSVRProblem",
    "fit_many",
]
