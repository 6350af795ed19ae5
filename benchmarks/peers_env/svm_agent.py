"""Another package's support vector classifier: runs in its own environment, needs nothing of ours.

    python svm_agent.py PROBLEMS RESULTS   # .npz in, .json out
    python svm_agent.py --version          # prints the version of the package

PROBLEMS holds arrays ``X_0``, ``y_0``, ``test_0``, ``X_1`` and so on. RESULTS has for each problem
the predictions for its test samples and the processor seconds of fit and prediction; the first fit,
which loads what the package needs, is done twice and counted once. Defaults of the package: 2 bits
a coefficient, C = 1, an rbf kernel and its own choice of solver.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np


def answer(data: np.lib.npyio.NpzFile, number: int) -> dict[str, object]:
    from sklearn.multiclass import OneVsOneClassifier
    from tno.quantum.ml.classifiers.svm import SupportVectorMachine

    y = data[f"y_{number}"]
    model: Any = SupportVectorMachine()
    start = time.process_time()
    model = (model if np.unique(y).size == 2 else OneVsOneClassifier(model)).fit(
        data[f"X_{number}"], y
    )
    predicted = np.asarray(model.predict(data[f"test_{number}"]))
    return {"predicted": predicted.tolist(), "seconds": time.process_time() - start}


def main() -> None:
    if sys.argv[1] == "--version":
        print(importlib.metadata.version("tno-quantum-ml-classifiers-svm"))
        return
    with np.load(sys.argv[1]) as data:
        count = sum(name.startswith("X_") for name in data.files)
        answer(data, 0)
        results = [answer(data, number) for number in range(count)]
    Path(sys.argv[2]).write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main()
