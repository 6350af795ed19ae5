"""Estimators: what users fit."""

from qsvr.estimators.ensemble import MemberFailure, QSVREnsemble
from qsvr.estimators.many import fit_many
from qsvr.estimators.problem import QSVRProblem
from qsvr.estimators.svr import QSVR

__all__ = ["QSVR", "MemberFailure", "QSVREnsemble", "QSVRProblem", "fit_many"]
