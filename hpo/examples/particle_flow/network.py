"""MLPF in compact form: the particle that each element stands for, and its momentum.

Two branches of graph layers, one for the classes and one for the momenta, each followed by a small
decoder. A graph layer sorts the elements into bins (see `hpo.examples.particle_flow.binning`),
weighs all pairs of a bin by the distance of learned places, and passes messages along these
weights.

References
----------
Pata et al., MLPF, arXiv 2101.08578; Pata et al., Improved particle-flow event reconstruction with
scalable neural networks for current and future particle detectors, arXiv 2309.06782.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from hpo.examples.particle_flow.binning import bin_order, from_bins, into_bins
from hpo.examples.particle_flow.events import CLASSES, TOWER, TRACK

_PLACE = 8
"""Dimensions of the space in which distances between elements are learned."""

_DIRECTIONS = 64
"""Random directions for hashing: enough for 128 bins."""

_N_ENCODED = 16
N_MOMENTUM = 5
"""Outputs of the regression: log(1 + pt), eta, sin phi, cos phi, log(1 + energy)."""

N_OUTPUTS = len(CLASSES) + 1 + N_MOMENTUM
"""Columns of the network's answer: logits of the classes, charge, momentum."""


@dataclass(frozen=True)
class Shape:
    """The hyperparameters of the network.

    Attributes
    ----------
    bin_size : int
        Elements that exchange messages.
    output_dim : int
        Width of the graph layers.
    n_glayers_id, n_glayers_reg : int
        Graph layers before the classes and before the momenta.
    dropout : float
        Share that is dropped after each graph layer, in [0, 1).

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    bin_size: int
    output_dim: int
    n_glayers_id: int
    n_glayers_reg: int
    dropout: float

    def __post_init__(self) -> None:
        """Check the numbers."""
        least = {"bin_size": 1, "output_dim": 1, "n_glayers_id": 0, "n_glayers_reg": 0}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ValueError(f"{name} must be at least {bound}, got {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {self.dropout}")


def momentum(columns: Tensor) -> Tensor:
    """Return what is regressed, from the columns (pt, eta, sin phi, cos phi, energy)."""
    angles = columns[..., 1:4]
    pt, energy = columns[..., :1], columns[..., 4:5]
    return torch.cat([torch.log1p(pt), angles, torch.log1p(energy)], dim=-1)


def encode(elements: Tensor) -> Tensor:
    """Turn the columns of elements into numbers of order one.

    Parameters
    ----------
    elements : Tensor of shape (..., 12)
        See `hpo.examples.particle_flow.events.N_FEATURES`.

    Returns
    -------
    Tensor of shape (..., 16)
    """
    kind = elements[..., 0:1]
    tower, track = (kind == TOWER).float(), (kind == TRACK).float()
    energies = torch.log1p(elements[..., 6:8].clamp(min=0)) * tower
    return torch.cat(
        [
            *(tower, track, torch.ones_like(kind)),
            *(momentum(elements[..., 1:6]), energies, elements[..., 6:] * track),
        ],
        dim=-1,
    )


class GraphLayer(nn.Module):
    """Messages between the elements of a bin, weighted by a Gaussian of their distance.

    The messages and each element's own transformation are mixed by a learned gate.

    Parameters
    ----------
    shape : Shape
        Of the network.
    """

    codebook: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.output_dim
        self.bin_size = shape.bin_size
        self.place = nn.Linear(width, _PLACE)
        self.message = nn.Linear(width, width, bias=False)
        self.own = nn.Linear(width, width, bias=False)
        self.gate = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(shape.dropout)
        self.register_buffer("codebook", torch.randn(_PLACE, _DIRECTIONS))

    def forward(self, nodes: Tensor, present: Tensor) -> Tensor:
        """Return new nodes of shape (n_events, n_elements, output_dim)."""
        places = self.place(nodes)
        order = bin_order(places, present, self.codebook, self.bin_size)
        x = into_bins(nodes, order, self.bin_size)
        there = into_bins(present[..., None].to(nodes.dtype), order, self.bin_size)
        weights = _weights(into_bins(places, order, self.bin_size), there)
        gate = torch.sigmoid(self.gate(x))
        mixed = gate * (weights @ self.message(x)) + (1 - gate) * self.own(x)
        answer: Tensor = self.dropout(functional.elu(from_bins(mixed, order)))
        result: Tensor = self.norm(nodes + answer)
        return result


def _weights(places: Tensor, there: Tensor) -> Tensor:
    """Return weights between all pairs of a bin, normalised by the degrees of both.

    Parameters
    ----------
    places : Tensor of shape (n_events, n_bins, bin_size, n_dimensions)
        Learned places.
    there : Tensor of shape (n_events, n_bins, bin_size, 1)
        1 where there is an element.

    Returns
    -------
    Tensor of shape (n_events, n_bins, bin_size, bin_size)
    """
    squared = (places.unsqueeze(-2) - places.unsqueeze(-3)).square().sum(-1)
    kernel = torch.exp(-0.1 * squared) * there * there.transpose(-1, -2)
    scale = kernel.sum(-1, keepdim=True).clamp(min=1e-6).rsqrt()
    return kernel * scale * scale.transpose(-1, -2)


class MLPF(nn.Module):
    """The network.

    Parameters
    ----------
    shape : Shape
        Hyperparameters.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, n_classes = shape.output_dim, len(CLASSES)
        self.bin_size = shape.bin_size
        self.embed = nn.Linear(_N_ENCODED, width)
        self.id_layers = nn.ModuleList(GraphLayer(shape) for _ in range(shape.n_glayers_id))
        self.reg_layers = nn.ModuleList(GraphLayer(shape) for _ in range(shape.n_glayers_reg))
        self.decode_id = _decoder(_N_ENCODED + width, n_classes + 1)
        self.decode_reg = _decoder(_N_ENCODED + width + n_classes, N_MOMENTUM)

    def forward(self, elements: Tensor) -> Tensor:  # (n_events, n_elements, 12)
        """Return logits of the classes, charge and momentum: (n_events, n_elements, 12)."""
        n_elements = elements.shape[1]
        elements = functional.pad(elements, (0, 0, 0, -n_elements % self.bin_size))
        present = elements[..., 0] != 0
        encoded = encode(elements)
        nodes = functional.elu(self.embed(encoded))
        for_id, for_reg = nodes, nodes
        for layer in self.id_layers:
            for_id = layer(for_id, present)
        for layer in self.reg_layers:
            for_reg = layer(for_reg, present)
        answer = self.decode_id(torch.cat([encoded, for_id], dim=-1))
        classes = answer[..., : len(CLASSES)].softmax(dim=-1)
        change = self.decode_reg(torch.cat([encoded, for_reg, classes], dim=-1))
        # The element's own momentum is the first guess; the network corrects it.
        guess = momentum(elements[..., 1:6])
        return torch.cat([answer, guess + change], dim=-1)[:, :n_elements]


def _decoder(n_inputs: int, n_outputs: int) -> nn.Sequential:
    hidden = max(n_inputs // 2, n_outputs)
    return nn.Sequential(nn.Linear(n_inputs, hidden), nn.ELU(), nn.Linear(hidden, n_outputs))
