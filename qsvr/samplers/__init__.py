"""Samplers of the dual's QUBO: local ones, D-Wave's service, and any dimod sampler."""

from qsvr.samplers.base import ChargedSampler, Sampler, StackSampler
from qsvr.samplers.budget import AccessBudget, AccessPlan
from qsvr.samplers.dimod import DimodSampler
from qsvr.samplers.factory import (
    SAMPLER_NAMES,
    SamplerFactory,
    check_portable,
    get_sampler,
    open_sampler,
    sampler_names,
)
from qsvr.samplers.kinds import SamplerKind, kind_of
from qsvr.samplers.relax_round import RelaxRound
from qsvr.samplers.structured.annealer import StructuredAnnealer

__all__ = [
    "SAMPLER_NAMES",
    "AccessBudget",
    "AccessPlan",
    "ChargedSampler",
    "DimodSampler",
    "RelaxRound",
    "Sampler",
    "SamplerFactory",
    "SamplerKind",
    "StackSampler",
    "StructuredAnnealer",
    "check_portable",
    "get_sampler",
    "kind_of",
    "open_sampler",
    "sampler_names",
]
