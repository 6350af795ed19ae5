"""A training script that knows nothing of hpo: a linear classifier of handwritten digits.

It takes its hyperparameters as options, goes on from its last state if there is one, and prints
the losses as it trains. That is all that ``hpo run --script`` needs::

    hpo run --script "python examples/digits_script.py --rate {rate} --decay {decay} \
        --epochs {stop} --state {checkpoint}" --metric val_loss \
        --space examples/digits_script_space.toml --max-resource 16 --workers 2
"""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split


def main() -> None:
    """Train up to the given number of epochs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=0.01, help="learning rate")
    parser.add_argument("--decay", type=float, default=1e-4, help="weight decay")
    parser.add_argument("--epochs", type=int, required=True, help="epochs in all")
    parser.add_argument("--state", type=Path, required=True, help="file to go on from")
    options = parser.parse_args()

    images, labels = load_digits(return_X_y=True)
    x, x_val, y, y_val = train_test_split(images / 16.0, labels, random_state=0, stratify=labels)
    model = SGDClassifier(
        loss="log_loss", alpha=options.decay, learning_rate="constant", eta0=options.rate
    )
    done = 0
    if options.state.exists():  # the name of the file differs from call to call
        model, done = pickle.loads(options.state.read_bytes())  # noqa: S301 - our own file
    for epoch in range(done, options.epochs):
        order = np.random.default_rng(epoch).permutation(len(y))
        model.set_params(random_state=epoch).partial_fit(x[order], y[order], classes=range(10))
        loss = log_loss(y_val, model.predict_proba(x_val))
        accuracy = model.score(x_val, y_val)
        print(f"epoch: {epoch + 1}, val_loss: {loss:.6f}, accuracy: {accuracy:.4f}", flush=True)
        new = options.state.with_suffix(".new")
        new.write_bytes(pickle.dumps((model, epoch + 1)))
        new.replace(options.state)  # whole, or not at all


if __name__ == "__main__":
    main()
