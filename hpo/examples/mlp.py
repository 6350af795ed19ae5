"""A network for tables, with the seven hyperparameters of LCBench.

Tune it on scikit-learn's breast cancer data::

    hpo run hpo.examples.mlp:trainer --max-resource 27 --workers 2

Another table is a constant of the search space (see `hpo.examples.tables.load_table`)::

    data = { type = "constant", value = "openml:31" }

References
----------
Zimmer et al., Auto-PyTorch Tabular, arXiv 2006.13799 (the space of LCBench).
"""

from __future__ import annotations

from torch import nn

from hpo.examples.settings import Settings, classifier_run, majority_score, targets_of
from hpo.examples.tables import load_table
from hpo.trainers import Generators, TorchRun, TorchTrainer
from hpo.trial import Config

DEFAULTS: Config = {
    "batch_size": 32,
    "lr": 0.02,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "num_layers": 2,
    "max_units": 64,
    "max_dropout": 0.2,
}
"""A configuration that works on the breast cancer data."""


def network(n_features: int, n_classes: int, config: Config) -> nn.Sequential:
    """Build a funnel: layers whose widths fall evenly from ``max_units`` to the classes.

    Parameters
    ----------
    n_features, n_classes : int
        Inputs and outputs.
    config : Config
        With ``num_layers``, ``max_units`` and ``max_dropout`` (of the first layer; it falls to zero
        in the same way).
    """
    depth, widest = int(config["num_layers"]), int(config["max_units"])
    layers: list[nn.Module] = []
    before = n_features
    for layer in range(depth):
        left = 1 - layer / depth
        width = max(round(n_classes + left * (widest - n_classes)), 1)
        layers += [nn.Linear(before, width), nn.BatchNorm1d(width), nn.ReLU()]
        layers += [nn.Dropout(left * float(config["max_dropout"]))]
        before = width
    return nn.Sequential(*layers, nn.Linear(before, n_classes))


def build(config: Config, generators: Generators) -> TorchRun:
    """Build the objects of a trial from `config` (see `DEFAULTS`) and its random `generators`."""
    settings = Settings.of(config, data="breast-cancer")
    table = load_table(settings.data)
    model = network(table.n_features, table.n_classes, config)
    return classifier_run(settings, model, table.split, config, generators)


def trivial_score(data: str = "breast-cancer") -> dict[str, float]:
    """Return loss and accuracy of always answering with the class frequencies."""
    split = load_table(data).split
    return majority_score(targets_of(split.validation), targets_of(split.train))


trainer = TorchTrainer(build, seed=0)
