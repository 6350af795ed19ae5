"""D-Wave's annealers and hybrid solvers, opened at first use, with retries and a limit on cost."""

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
