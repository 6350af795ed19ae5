"""Shared parts of the models: settings, data loaders, optimizers, scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, DistributedSampler, RandomSampler, Sampler

from hpo.trainers import Generators, TorchRun
from hpo.trainers.torch.group import ProcessGroup, local_device
from hpo.trial import Config


@dataclass(frozen=True)
class Settings:
    """Settings of the training, mostly constants of the search space.

    Attributes
    ----------
    data : str
        Name of the data; see the loader of each model.
    device : str, default="cpu"
        PyTorch's name of the device, such as ``"cpu"`` or ``"cuda"``.
    precision : str, default="float32"
        ``"float32"``, ``"bfloat16"`` or, on a GPU, ``"float16"``.
    patience : int or None, default=None
        Early stopping after this many epochs without a new lowest loss; None for none.
    """

    data: str
    device: str = "cpu"
    precision: str = "float32"
    patience: int | None = None

    @classmethod
    def of(cls, config: Config, data: str) -> Self:
        """Take the settings from `config`, with `data` as the default of the data."""
        given = {name: config[name] for name in cls.__dataclass_fields__ if name in config}
        return cls(**{"data": data, **given})

    @property
    def place(self) -> torch.device:
        """The device of this process."""
        return local_device(self.device)

    def run(self, **parts: Any) -> TorchRun:
        """Return a `TorchRun` of the given parts with these settings."""
        return TorchRun(**parts, precision=self.precision, patience=self.patience)


@dataclass(frozen=True)
class Split:
    """Training and validation data.

    Attributes
    ----------
    train, validation : torch.utils.data.Dataset
        Pairs of an input and a target.
    """

    train: Dataset[Any]
    validation: Dataset[Any]


def training_loader(data: Dataset[Any], batch_size: int, generators: Generators) -> DataLoader[Any]:
    """Return shuffled batches; in a process group, each process gets a part of the data.

    Parameters
    ----------
    data : Dataset
        Training data.
    batch_size : int
        Number of samples per batch and process.
    generators : Generators
        Random generators of the trial.
    """
    group = ProcessGroup.current()
    sampler: Sampler[int]
    if group.size > 1:
        sampler = DistributedSampler(data, group.size, group.rank)
    else:
        sampler = RandomSampler(data, generator=generators.torch)  # type: ignore[arg-type]
    # batch normalisation fails for a last batch of one sample
    alone = len(sampler) % batch_size == 1 and len(sampler) > 1
    return DataLoader(data, batch_size, sampler=sampler, drop_last=alone)


@dataclass(frozen=True)
class ClassifierScore:
    """Validation of a classifier: cross-entropy as the loss, and the accuracy.

    Attributes
    ----------
    model : nn.Module
        Model that returns logits of shape (batch, n_classes).
    loader : DataLoader
        Batches of validation data.
    device : torch.device
        Device of the model.
    """

    model: nn.Module
    loader: DataLoader[Any]
    device: torch.device

    def __call__(self) -> dict[str, float]:
        """Return ``loss`` and ``accuracy`` over all validation data."""
        entropy, correct, count = 0.0, 0, 0
        for inputs, targets in self.loader:
            logits = self.model(inputs.to(self.device)).float()
            labels = targets.to(self.device)
            entropy += nn.functional.cross_entropy(logits, labels, reduction="sum").item()
            correct += int((logits.argmax(dim=1) == labels).sum())
            count += len(labels)
        return {"loss": entropy / count, "accuracy": correct / count}


def classifier_run(
    settings: Settings,
    model: nn.Module,
    split: Split,
    config: Config,
    generators: Generators,
) -> TorchRun:
    """Return the run of a classifier: cross-entropy, and the optimizer of the configuration.

    Parameters
    ----------
    settings : Settings
        Settings of the trial.
    model : nn.Module
        Model that returns logits.
    split : Split
        Training and validation data.
    config : Config
        Configuration with ``batch_size`` and the names of `make_optimizer`.
    generators : Generators
        Random generators of the trial.
    """
    model.to(settings.place)
    check = DataLoader(split.validation, batch_size=512)
    return settings.run(
        model=model,
        optimizer=make_optimizer(model, config),
        evaluate=ClassifierScore(model, check, settings.place),
        train_loader=training_loader(split.train, int(config["batch_size"]), generators),
        loss_function=nn.functional.cross_entropy,
    )


def make_optimizer(model: nn.Module, config: Config) -> torch.optim.Optimizer:
    """Return stochastic gradient descent for a `model` if `config` has a momentum, else AdamW."""
    rate, decay = float(config["lr"]), float(config["weight_decay"])
    if "momentum" in config:
        return torch.optim.SGD(
            model.parameters(),
            lr=rate,
            momentum=float(config["momentum"]),
            weight_decay=decay,
            nesterov=float(config["momentum"]) > 0,
        )
    return torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)


def majority_score(targets: Tensor, train_targets: Tensor) -> dict[str, float]:
    """Return loss and accuracy of the trivial classifier: the training data's class frequencies.

    Parameters
    ----------
    targets, train_targets : Tensor of shape (n,)
        Classes of the validation and the training data.
    """
    n_classes = int(max(targets.max(), train_targets.max())) + 1
    counts = torch.bincount(train_targets, minlength=n_classes).double() + 1e-9
    frequencies = counts / counts.sum()
    accuracy = (targets == int(counts.argmax())).double().mean()
    return {
        "loss": float(-frequencies[targets].log().mean()),
        "accuracy": float(accuracy),
    }


def targets_of(data: Dataset[Any]) -> Tensor:
    """Return the targets of all samples of a classification data set, of shape (n,)."""
    return torch.cat([targets for _, targets in DataLoader(data, batch_size=512)])


def named(kinds: Mapping[str, Callable[[str], Any]], data: str) -> Any:
    """Load data by a name of the form ``kind`` or ``kind:details``.

    Parameters
    ----------
    kinds : Mapping of str to callable
        Loader of each kind, a function of the details.
    data : str
        The name.

    Raises
    ------
    ValueError
        If the kind is unknown; the message lists the known ones.
    """
    kind, _, details = data.partition(":")
    if kind not in kinds:
        raise ValueError(
            f"data must be one of {', '.join(kinds)} (kind or kind:details); got {data!r}"
        )
    return kinds[kind](details)
