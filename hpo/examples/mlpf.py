"""MLPF, a graph neural network for particle flow, with the seven hyperparameters of its table.

Tune it on simulated events (see `hpo.examples.particle_flow.detector`)::

    hpo run hpo.examples.mlpf:trainer --max-resource 27 --workers 2

The public Delphes data (doi 10.5281/zenodo.4559324) are a constant of the search space; a quarter
of the file's events is for validation::

    data = { type = "constant", value = "delphes:/data/tev14_pythia8_ttbar_0_0.pkl.bz2" }
    device = { type = "constant", value = "cuda" }
    precision = { type = "constant", value = "bfloat16" }
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from hpo.examples.particle_flow.delphes import read_delphes
from hpo.examples.particle_flow.detector import simulate_events
from hpo.examples.particle_flow.events import Events
from hpo.examples.particle_flow.loss import LossParts, loss_parts, total_loss, trivial_answers
from hpo.examples.particle_flow.network import MLPF, Shape
from hpo.examples.settings import Settings, Split, make_optimizer, named, training_loader
from hpo.trainers import Generators, TorchRun, TorchTrainer
from hpo.trial import Config

DEFAULTS: Config = {
    "bin_size": 16,
    "dropout": 0.05,
    "lr": 0.003,
    "n_glayers_id": 2,
    "n_glayers_reg": 1,
    "output_dim": 32,
    "weight_decay": 1e-4,
}
"""A configuration that works on the simulated events."""

_BATCH_SIZE = 10
"""Events a batch."""


@lru_cache(maxsize=2)
def load_events(data: str) -> Split:
    """Load events by name, once per process.

    Parameters
    ----------
    data : str
        ``"simulated"`` (240 events to train on, 80 to validate with), ``"simulated:N"`` (N events
        in all) or ``"delphes:FILE"``; a quarter of the events is for validation.

    Returns
    -------
    Split
        Pairs of elements (n_elements, 12) and targets (n_elements, 8), the first column of which
        tells whether the element is there.

    Raises
    ------
    ValueError
        If the name is of no such form, there are fewer than four events, or the file is damaged.
    OSError
        If it cannot be read.
    """
    kinds = {"simulated": lambda n: simulate_events(int(n or 320)), "delphes": read_delphes}
    events: Events = named(kinds, data)
    if len(events) < 4:
        raise ValueError(
            f"data {data} must hold at least 4 events, a quarter for validation, got {len(events)}"
        )
    train, validation = events.split(len(events) - len(events) // 4)
    return Split(_dataset(train), _dataset(validation))


def _dataset(events: Events) -> TensorDataset:
    there = torch.tensor(events.present)[..., None].float()
    return TensorDataset(
        torch.tensor(events.elements), torch.cat([there, torch.tensor(events.targets)], dim=-1)
    )


@dataclass(frozen=True)
class _Score:
    """Validation: the loss and its parts."""

    model: MLPF
    loader: DataLoader[Any]
    device: torch.device

    def __call__(self) -> dict[str, float]:
        parts = [
            loss_parts(self.model(elements.to(self.device)), targets.to(self.device))
            for elements, targets in self.loader
        ]
        return _numbers(sum(parts[1:], parts[0]))


def _numbers(parts: LossParts) -> dict[str, float]:
    n_elements, n_particles = float(parts.n_elements), max(float(parts.n_particles), 1.0)
    return {
        "loss": float(parts.total),
        "accuracy": float(parts.correct) / n_elements,
        "class_loss": float(parts.classes) / n_elements,
        "momentum_loss": float(parts.momentum) / n_particles,
    }


def build(config: Config, generators: Generators) -> TorchRun:
    """Build the objects of a trial from `config` (see `DEFAULTS`) and its random `generators`."""
    settings = Settings.of(config, data="simulated")
    split = load_events(settings.data)
    shape = Shape(**{name: config[name] for name in Shape.__dataclass_fields__})
    model = MLPF(shape).to(settings.place)
    return settings.run(
        model=model,
        optimizer=make_optimizer(model, config),
        evaluate=_Score(model, DataLoader(split.validation, batch_size=40), settings.place),
        train_loader=training_loader(split.train, _BATCH_SIZE, generators),
        loss_function=total_loss,
    )


def trivial_score(data: str = "simulated") -> dict[str, float]:
    """Return the score of the frequencies for each kind of element and the measured momentum."""
    split = load_events(data)
    train, validation = (_tensors(part) for part in (split.train, split.validation))
    answers = trivial_answers(validation[0], *train)
    return _numbers(loss_parts(answers, validation[1]))


def _tensors(data: Any) -> tuple[Tensor, Tensor]:
    elements, targets = data.tensors
    return elements, targets


trainer = TorchTrainer(build, seed=0)
