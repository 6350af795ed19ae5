"""A small convolutional network on scikit-learn's handwritten digits, ready to be tuned.

Use it from the command line::

    hpo run examples/digits_cnn.py:trainer --space examples/digits_space.toml --max-resource 27
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from hpo.trainers import Generators, TorchRun, TorchTrainer


@lru_cache(maxsize=1)
def data() -> tuple[TensorDataset, Tensor, Tensor]:
    """Load the digits once per process: 1,000 images to train on, 797 to validate."""
    images, labels = load_digits(return_X_y=True)
    images = torch.tensor(images, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
    labels = torch.tensor(labels)
    train, test = train_test_split(
        range(len(labels)), train_size=1000, random_state=0, stratify=labels
    )
    return TensorDataset(images[train], labels[train]), images[test], labels[test]


def network(channels: int, dropout: float) -> nn.Module:
    """Build the network: two convolutions, pooling, dropout, one linear layer."""
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(channels, 2 * channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(2 * channels * 16, 10),
    )


def build(config: Mapping[str, object], generators: Generators) -> TorchRun:
    """Build what one trial trains."""
    train, images, labels = data()
    model = network(config["channels"], config["dropout"])
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=config["lr"],
        momentum=config["momentum"],
        weight_decay=config["weight_decay"],
    )

    def evaluate() -> dict[str, float]:
        outputs = model(images)
        correct = (outputs.argmax(dim=1) == labels).float().mean().item()
        entropy = nn.functional.cross_entropy(outputs, labels).item()
        return {"loss": 1.0 - correct, "cross_entropy": entropy}

    return TorchRun(
        model=model,
        optimizer=optimizer,
        evaluate=evaluate,
        train_loader=DataLoader(
            train, config["batch_size"], shuffle=True, generator=generators.torch
        ),
        loss_function=nn.functional.cross_entropy,
    )


trainer = TorchTrainer(build, seed=0)
