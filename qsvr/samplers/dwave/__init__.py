"""Samplers of D-Wave's service, opened at first use, with retries and a cost limit."""

from qsvr.samplers.dwave.chain_strength import ChainStrengthScan, scan_chain_strength
from qsvr.samplers.dwave.hybrid import CQMSampler, HybridSampler, NLSampler
from qsvr.samplers.dwave.qpu import QPUSampler

__all__ = [
    "CQMSampler",
    "ChainStrengthScan",
    "HybridSampler",
    "NLSampler",
    "QPUSampler",
    "scan_chain_strength",
]
