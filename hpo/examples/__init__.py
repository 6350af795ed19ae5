"""Complete models to tune: each a trainer and a search space.

===============================  =======================================================
``hpo.examples.cnn:trainer``     convolutional image classifier (digits, CIFAR-10, folders)
``hpo.examples.lstm:trainer``    question answering on stories (bAbI)
``hpo.examples.mlp:trainer``     network for tables (breast cancer, CSV files, OpenML)
``hpo.examples.mlpf:trainer``    MLPF, a graph neural network for particle flow
===============================  =======================================================

The search space of a model lies beside it under the same name, ending in ``.toml``; ``hpo run``
takes it where no other is named::

    hpo run hpo.examples.cnn:trainer --max-resource 9 --workers 2

Besides hyperparameters a configuration may hold *settings*, which a search space names as constants
(see `hpo.examples.settings`): ``data``, ``device``, ``precision``, ``patience``.

>>> space_path("mlpf").name
'mlpf.toml'
"""

from __future__ import annotations

from pathlib import Path

MODELS = ("cnn", "lstm", "mlp", "mlpf")


def space_path(model: str) -> Path:
    """Return the file with a model's search space.

    Parameters
    ----------
    model : str
        One of `MODELS`.

    Raises
    ------
    ValueError
        If there is no such model.
    """
    if model not in MODELS:
        raise ValueError(f"model must be one of {', '.join(MODELS)}; got {model!r}")
    return Path(__file__).with_name(f"{model}.toml")
