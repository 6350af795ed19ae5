"""Search over architectures: networks as sequences of layers, chosen by Q-learning (MetaQNN).

A search whose episodes are cut short by performance prediction::

    from hpo import EarlyStopping, QLearningSearcher, Tuner, make_predictor
    from hpo.examples.architectures import FEATURES, LayerSequences, trainer

    scheduler = EarlyStopping(QLearningSearcher(LayerSequences()), max_resource=12, n_trials=60)
    predictor = make_predictor("nusvr", first_differences=True, space=FEATURES)
    results = Tuner(trainer, scheduler, predictor=predictor, executor="inline").run()

``benchmarks/architectures.py`` compares it with the same search without early stopping.

References
----------
Baker et al., arXiv 1611.02167 (the agent and its layers) and arXiv 1705.10823 (early stopping by
prediction from the architecture and the first part of the learning curve).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from hpo.examples.images import Images, load_images
from hpo.examples.settings import ClassifierScore, Settings, classifier_run
from hpo.space.search_space import SearchSpace
from hpo.trainers import Generators, TorchRun, TorchTrainer
from hpo.trial import Config

END = "end"
"""The choice that completes an architecture."""

FEATURES = SearchSpace.from_dict(
    {
        "depth": {"type": "float", "low": 0.0, "high": 8.0},
        "n_conv": {"type": "float", "low": 0.0, "high": 8.0},
        "n_pool": {"type": "float", "low": 0.0, "high": 4.0},
        "n_dense": {"type": "float", "low": 0.0, "high": 2.0},
        "log_params": {"type": "float", "low": 0.0, "high": 7.0},
    }
)
"""Features of an architecture for a predictor, besides its learning curve."""


@dataclass(frozen=True)
class _State:
    """State on which the next layer may depend.

    As in MetaQNN it does not hold the whole sequence: sequences that lead to the same state share
    their estimates.
    """

    last: str
    depth: int
    size: int  # pixels along an edge
    dense: int  # dense layers so far


@dataclass(frozen=True)
class LayerSequences:
    """Sequences of layers for small square images (a `hpo.searchers.q_learning.DecisionProcess`).

    Layers: ``C16k3`` a convolution of 16 filters of 3 x 3 with batch normalisation, ``P2`` pooling
    by 2, ``F32`` a dense layer of 32 units, after which only dense layers come. A linear layer
    onto the classes ends every sequence.

    Attributes
    ----------
    size, n_channels, n_classes : int, default=8, 1, 10
        Edge length in pixels, number of channels and number of classes of the images.
    max_depth : int, default=5
        Maximum number of layers.
    filters, kernels, units : tuple of int, default=(4, 8, 16), (1, 3), (16, 64)
        Possible sizes of layers.

    Examples
    --------
    >>> from hpo.examples.architectures import LayerSequences
    >>> sequences = LayerSequences(max_depth=2)
    >>> sorted(sequences.moves(sequences.start()))[:3]
    ['C16k1', 'C16k3', 'C4k1']
    """

    size: int = 8
    n_channels: int = 1
    n_classes: int = 10
    max_depth: int = 5
    filters: tuple[int, ...] = (4, 8, 16)
    kernels: tuple[int, ...] = (1, 3)
    units: tuple[int, ...] = (16, 64)

    def start(self) -> _State:
        """Return the state before the first layer."""
        return _State("", 0, self.size, 0)

    def moves(self, state: _State) -> Mapping[str, _State]:
        """Return the layers that may follow `state`, and the states after them."""
        if state.last == END:
            return {}
        following = {END: replace(state, last=END)}
        if state.depth == self.max_depth:
            return following
        deeper = replace(state, depth=state.depth + 1)
        if state.dense == 0:
            for filters in self.filters:
                for kernel in self.kernels:
                    layer = f"C{filters}k{kernel}"
                    following[layer] = replace(deeper, last=layer)
            if state.size >= 4 and state.last != "P2":
                following["P2"] = replace(deeper, last="P2", size=state.size // 2)
        if state.dense < 2:
            for units in self.units:
                layer = f"F{units}"
                following[layer] = replace(deeper, last=layer, dense=state.dense + 1)
        return following

    def config(self, choices: Sequence[str]) -> Config:
        """Return `choices` as a configuration: ``"layers"``, and features that describe them."""
        layers = [choice for choice in choices if choice != END]
        kinds = [layer[0] for layer in layers]
        with torch.device("meta"):  # shapes only: nothing is drawn
            n_params = sum(p.numel() for p in self.network(layers).parameters())
        return {
            "layers": " ".join(layers),
            "depth": len(layers),
            "n_conv": kinds.count("C"),
            "n_pool": kinds.count("P"),
            "n_dense": kinds.count("F"),
            "log_params": math.log10(n_params),
        }

    def network(self, layers: Sequence[str]) -> nn.Sequential:
        """Build the network.

        Parameters
        ----------
        layers : sequence of str
            Layers without `END`.

        Raises
        ------
        ValueError
            If a layer is unknown or not possible at its place.
        """
        state, n_inputs = self.start(), self.n_channels
        parts: list[nn.Module] = []
        for layer in layers:
            following = self.moves(state)
            if layer not in following or layer == END:
                raise ValueError(
                    f"layer {layer!r} cannot come here; one of {', '.join(following)} can"
                )
            flat = layer[0] == "F" and state.dense == 0
            parts += [nn.Flatten()] if flat else []
            n_inputs = n_inputs * state.size**2 if flat else n_inputs
            added, n_inputs = _BUILD[layer[0]](layer, n_inputs)
            parts += added
            state = following[layer]
        if state.dense == 0:
            parts.append(nn.Flatten())
            n_inputs *= state.size**2
        return nn.Sequential(*parts, nn.Linear(n_inputs, self.n_classes))


def _convolution(layer: str, n_inputs: int) -> tuple[list[nn.Module], int]:
    filters, kernel = (int(number) for number in layer[1:].split("k"))
    convolution = nn.Conv2d(n_inputs, filters, kernel, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(filters), nn.ReLU()], filters


def _pooling(_: str, n_inputs: int) -> tuple[list[nn.Module], int]:
    return [nn.MaxPool2d(2)], n_inputs


def _dense(layer: str, n_inputs: int) -> tuple[list[nn.Module], int]:
    units = int(layer[1:])
    return [nn.Linear(n_inputs, units), nn.ReLU()], units


_BUILD: Mapping[str, Callable[[str, int], tuple[list[nn.Module], int]]] = {
    "C": _convolution,
    "P": _pooling,
    "F": _dense,
}


def sequences_for(images: Images) -> LayerSequences:
    """Return the sequences that fit some images."""
    return LayerSequences(images.size, images.n_channels, images.n_classes)


@dataclass(frozen=True)
class _ErrorRate:
    """Validation whose loss is the error rate, as the agent's reward is the accuracy."""

    score: ClassifierScore

    def __call__(self) -> dict[str, float]:
        scores = self.score()
        return {"loss": 1 - scores["accuracy"], "cross_entropy": scores["loss"]}


def build(config: Config, generators: Generators) -> TorchRun:
    """Build the objects of an episode from `config` and the random `generators` of the trial.

    The configuration is one of `LayerSequences.config`, and settings; all episodes use the same
    settings of the optimizer.
    """
    settings = Settings.of(config, data="digits")
    images = load_images(settings.data)
    model = sequences_for(images).network(str(config["layers"]).split())
    optimizer = {"lr": 0.005, "weight_decay": 1e-4, "batch_size": 100}
    run = classifier_run(settings, model, images.split, optimizer, generators)
    assert isinstance(run.evaluate, ClassifierScore)  # noqa: S101 - what classifier_run gives
    return replace(run, evaluate=_ErrorRate(run.evaluate))


trainer = TorchTrainer(build, seed=0)
