"""Simulated bifurcation, a classical method of Goto et al. (2019), as a dimod sampler.

The package simulated-bifurcation needs PyTorch and is optional: ``pip install
".[bifurcation]"``.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, ClassVar

import dimod
import numpy as np

from qsvr._text import install_hint

__all__ = ["SimulatedBifurcationSampler"]


class SimulatedBifurcationSampler:
    """Simulated bifurcation of the package of that name: one agent per read.

    Raises
    ------
    ImportError
        If the package or PyTorch is not installed.
    """

    properties: ClassVar[dict[str, Any]] = {}
    parameters: ClassVar[dict[str, Any]] = {
        name: [] for name in ("num_reads", "seed", "max_steps", "mode", "heated", "device")
    }

    def __init__(self) -> None:
        try:
            import simulated_bifurcation
        except ImportError as error:
            raise ImportError(
                "sampler='simulated-bifurcation' needs a package that is not installed: "
                f"{install_hint('bifurcation')} ({error})."
            ) from error
        self._minimize = simulated_bifurcation.minimize

    def sample(
        self,
        bqm: dimod.BinaryQuadraticModel,
        *,
        num_reads: int = 1,
        seed: int | None = None,
        max_steps: int = 1_000,
        mode: str = "ballistic",
        heated: bool = False,
        device: str | None = None,
        **parameters: Any,
    ) -> dimod.SampleSet:
        """Return one sample for each of ``num_reads`` agents.

        Parameters
        ----------
        bqm : dimod.BinaryQuadraticModel
        num_reads : int, default=1
        seed : int, default=None
            Seed of the initial state of the agents. The global generators of PyTorch are not
            changed.
        max_steps : int, default=1_000
            Maximum number of integration steps; it ends earlier if no agent changes.
        mode : {"ballistic", "discrete"}, default="ballistic"
        heated : bool, default=False
            Whether to use the heated variant.
        device : str, default=None
            Name of a PyTorch device, such as ``"cuda"``.
        **parameters
            Rejected.

        Raises
        ------
        ValueError
            If a parameter is not known.
        """
        import torch

        if parameters:
            raise ValueError(
                f"unknown parameters {sorted(parameters)}; known: {[*self.parameters]}."
            )
        model = bqm.change_vartype(dimod.BINARY, inplace=False)
        order = list(model.variables)
        vectors: Any = model.to_numpy_vectors(variable_order=order)
        linear, (rows, columns, biases), _ = vectors
        matrix = np.zeros((len(order), len(order)))
        np.add.at(matrix, (rows, columns), 0.5 * np.asarray(biases))
        matrix += matrix.T
        matrix[np.diag_indices_from(matrix)] += linear
        # Single precision holds energies of the order of one only; a power of two changes no digit.
        exponent = math.frexp(float(np.abs(matrix).max(initial=0.0)))[1]
        scaled = torch.tensor(np.ldexp(matrix, -exponent), dtype=torch.float32)
        devices = [torch.device(device)] if device and device.startswith("cuda") else []
        with torch.random.fork_rng(devices=devices), warnings.catch_warnings():
            # Agents that still move have signs too, and polish continues from them.
            warnings.filterwarnings("ignore", "No agent has converged")
            if seed is not None:  # torch.manual_seed would seed all devices
                torch.default_generator.manual_seed(seed)
                for each in devices:
                    with torch.cuda.device(each):
                        torch.cuda.manual_seed(seed)
            found, _ = self._minimize(
                scaled, domain="binary", agents=num_reads, best_only=False, verbose=False,
                max_steps=max_steps, mode=mode, heated=heated, dtype=torch.float32, device=device,
            )  # fmt: skip
        bits = found.reshape(num_reads, len(order)).cpu().numpy().round().astype(np.int8)
        answer: dimod.SampleSet = dimod.SampleSet.from_samples_bqm((bits, order), model)
        return answer
