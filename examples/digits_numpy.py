"""A trainer of your own, without any framework: a two-layer network on handwritten digits.

It shows what a trainer has to do: train from one epoch to another, keep what the next epoch needs
and how many epochs that covers in its checkpoint, and draw random numbers by the epoch's number, so
that stopping and going on changes nothing. A checkpoint may cover more epochs than `start`, after a
job that was interrupted, or none, if it was lost. Use it from the command line::

    hpo run examples/digits_numpy.py:trainer --space examples/digits_numpy_space.toml \
        --max-resource 16 --workers 2
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from hpo.files import write_atomically
from hpo.trainers import FunctionTrainer

Floats = NDArray[np.float64]
Weights = dict[str, Floats]


@lru_cache(maxsize=1)
def data() -> tuple[Floats, Floats, NDArray[np.int64], NDArray[np.int64]]:
    """Load the digits once per process: 1,000 images to train on, 797 to validate."""
    images, labels = load_digits(return_X_y=True)
    return tuple(
        train_test_split(images / 16.0, labels, train_size=1000, random_state=0, stratify=labels)
    )


def train(config: Mapping[str, float], start: int, stop: int, checkpoint: Path) -> list[float]:
    """Train from epoch `start` to epoch `stop`; return the validation loss after each.

    Parameters
    ----------
    config : Mapping
        ``lr``, ``momentum``, ``hidden`` and ``batch_size``.
    start, stop : int
        Epochs done before and after.
    checkpoint : Path
        Where weights, momentum and the losses of all epochs so far are kept, as an ``.npz``
        archive.

    Returns
    -------
    list of float
        Cross-entropy on the validation images, ``stop - start`` numbers.
    """
    state, losses = load(checkpoint) if checkpoint.exists() else (initial(config["hidden"]), [])
    done = len(losses)  # epochs that the checkpoint covers: not always `start`
    for epoch in range(done, stop):
        one_epoch(state, config, np.random.default_rng([1, epoch]))
        losses.append(validate(state))
    if done < stop:
        save(state, losses, checkpoint)
    return losses[start:stop]


def initial(hidden: int) -> Weights:
    """Return the network of epoch 0, with momentum 0."""
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.normal(0, 1 / 8, (64, hidden)),
        "b1": np.zeros(hidden),
        "w2": rng.normal(0, 1 / np.sqrt(hidden), (hidden, 10)),
        "b2": np.zeros(10),
    }
    return weights | {f"momentum_{name}": np.zeros_like(each) for name, each in weights.items()}


def one_epoch(state: Weights, config: Mapping[str, float], rng: np.random.Generator) -> None:
    """Train one epoch in place."""
    images, _, labels, _ = data()
    order = rng.permutation(len(images))
    for batch in np.array_split(order, max(1, len(order) // int(config["batch_size"]))):
        for name, slope in gradients(state, images[batch], labels[batch]).items():
            velocity = state[f"momentum_{name}"]
            velocity *= config["momentum"]
            velocity -= config["lr"] * slope
            state[name] += velocity


def gradients(state: Weights, images: Floats, labels: NDArray[np.int64]) -> Weights:
    """Return the gradient of the mean cross-entropy of a batch, by weight."""
    hidden = np.maximum(images @ state["w1"] + state["b1"], 0.0)  # (n, hidden)
    error = probabilities(hidden @ state["w2"] + state["b2"])  # (n, 10)
    error[np.arange(len(labels)), labels] -= 1.0
    error /= len(labels)
    back = (error @ state["w2"].T) * (hidden > 0.0)
    return {
        "w1": images.T @ back,
        "b1": back.sum(axis=0),
        "w2": hidden.T @ error,
        "b2": error.sum(axis=0),
    }


def probabilities(logits: Floats) -> Floats:
    """Return the softmax of logits of shape (n, 10)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def validate(state: Weights) -> float:
    """Return the cross-entropy on the validation images; NaN where training has diverged."""
    _, images, _, labels = data()
    hidden = np.maximum(images @ state["w1"] + state["b1"], 0.0)
    chosen = probabilities(hidden @ state["w2"] + state["b2"])[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())


def save(state: Weights, losses: list[float], path: Path) -> None:
    """Write the state and the losses so far, one an epoch, all or nothing."""
    write_atomically(path, lambda file: np.savez(file, losses=losses, **state))


def load(path: Path) -> tuple[Weights, list[float]]:
    """Read what `save` wrote; nothing in such a file can run."""
    with np.load(path, allow_pickle=False) as archive:
        state = {name: archive[name] for name in archive.files}
    return state, state.pop("losses").tolist()


trainer = FunctionTrainer(train)
