"""The loss of particle flow, its parts, and what it is without any learning."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hpo.examples.particle_flow.events import CLASSES
from hpo.examples.particle_flow.network import momentum

_MOMENTUM_WEIGHT = 10.0
"""Of the momentum's loss against the classes', so that both are of the same order."""


@dataclass(frozen=True)
class LossParts:
    """Sums over elements.

    Attributes
    ----------
    classes : Tensor
        Cross-entropy over all elements.
    charge : Tensor
        Squared error of the charge, over elements that stand for a particle.
    momentum : Tensor
        Huber losses of the five numbers of the momentum, over the same elements.
    n_elements, n_particles : Tensor
        How many there are.
    correct : Tensor
        Elements of the right class.
    """

    classes: Tensor
    charge: Tensor
    momentum: Tensor
    n_elements: Tensor
    n_particles: Tensor
    correct: Tensor

    @property
    def total(self) -> Tensor:
        """The loss: mean over elements, plus means over particles."""
        per_particle = self.charge + _MOMENTUM_WEIGHT * self.momentum
        n_particles = self.n_particles.clamp(min=1)
        return self.classes / self.n_elements.clamp(min=1) + per_particle / n_particles

    def __add__(self, other: LossParts) -> LossParts:
        """Add the sums."""
        names = self.__dataclass_fields__
        return LossParts(**{name: getattr(self, name) + getattr(other, name) for name in names})


def loss_parts(answers: Tensor, targets: Tensor) -> LossParts:
    """Compare the network's answers with the truth.

    Parameters
    ----------
    answers : Tensor of shape (n_events, n_elements, 12)
        From `MLPF`.
    targets : Tensor of shape (n_events, n_elements, 8)
        Whether the element is there (1 or 0), then the columns of
        `hpo.examples.particle_flow.events.N_TARGETS`.
    """
    there = targets[..., 0] > 0
    found, true = answers[there].float(), targets[there][:, 1:]  # (n, 12), (n, 7)
    kinds = true[:, 0].long()
    logits, charge, moved = found.tensor_split([len(CLASSES), len(CLASSES) + 1], dim=1)
    real = kinds > 0
    wanted = momentum(true[:, 2:])
    huber = functional.huber_loss(moved[real], wanted[real], reduction="sum", delta=0.5)
    return LossParts(
        classes=functional.cross_entropy(logits, kinds, reduction="sum"),
        charge=(charge[real, 0] - true[real, 1]).square().sum(),
        momentum=huber,
        n_elements=torch.tensor(len(kinds)),
        n_particles=real.sum(),
        correct=(logits.argmax(dim=1) == kinds).sum(),
    )


def total_loss(answers: Tensor, targets: Tensor) -> Tensor:
    """Return the loss to minimise (see `loss_parts` for the shapes)."""
    return loss_parts(answers, targets).total


def trivial_answers(elements: Tensor, train_elements: Tensor, train_targets: Tensor) -> Tensor:
    """Answer without learning from neighbours: for each kind of element, the frequencies.

    Classes are as frequent as for this kind (track or tower) in the training data, the charge is a
    track's own, and the momentum is the one that was measured.

    Parameters
    ----------
    elements, train_elements : Tensor of shape (n_events, n_elements, 12)
        To answer for, and of the training data.
    train_targets : Tensor of shape (n_events, n_elements, 8)
        As in `loss_parts`.

    Returns
    -------
    Tensor of shape (n_events, n_elements, 12)
    """
    kinds = train_elements[..., 0].long().flatten()
    classes = train_targets[..., 1].long().flatten()
    counts = torch.bincount(kinds * len(CLASSES) + classes, minlength=3 * len(CLASSES))
    logits = (counts.reshape(3, -1).float() + 1e-3).log()[elements[..., 0].long()]
    return torch.cat([logits, elements[..., 9:10], momentum(elements[..., 1:6])], dim=-1)
