"""Runs to show: hyperparameters whose names and values would run a script as markup."""

from __future__ import annotations

from typing import Any

# Names and messages that would run a script if any of them became markup.
SCRIPT = "</script><script>alert(1)</script>"
TRAINER = '''
import math


def train(config, start, stop, checkpoint):
    """A loss that depends on lr and layers; one trial in ten fails."""
    if config["opt"] == "sgd" and config["lr"] > 0.4:
        raise RuntimeError("<img src=x onerror=alert(1)> & diverged")
    floor = 0.05 + (math.log10(config["lr"]) + 2) ** 2 * 0.1
    decay = 0.4 + 0.1 * config["layers"]
    return [floor + (1.5 + config["lr"]) * unit**-decay for unit in range(start + 1, stop + 1)]
'''
SPACE = {
    "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
    "layers": {"type": "int", "low": 1, "high": 5},
    "opt": {"type": "categorical", "choices": ["sgd", "adam"]},
    SCRIPT: {"type": "float", "low": 0.0, "high": 1.0},
    "norm": {"type": "scipy", "name": "norm", "args": [0.0, 1.0]},
    "fixed": {"type": "constant", "value": "<b>"},
}
RUNS: dict[str, dict[str, Any]] = {
    "swift-hyperband": {"max_resource": 27, "scheduler_options": {"min_curves": 6}},
    "hyperband": {"max_resource": 9, "reduction_factor": 3},
    "asha": {"max_resource": 9, "reduction_factor": 3},
    "random-search": {"max_resource": 4, "scheduler_options": {"n_trials": 3}},
}
