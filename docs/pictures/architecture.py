"""Draw the folders of both packages, in the order of their imports.

Each box is a folder: its name, its job and its main modules. A folder imports only from those below
it. The diagrams are as narrow as those of ``flows.py``, for the same reason::

    python docs/pictures/architecture.py
"""

from __future__ import annotations

import textwrap
from html import escape
from pathlib import Path

from flows import WIDTH, document

PAGES = Path(__file__).parents[1] / "develop"
LETTERS = 50
"""Number of letters in a line of a box."""

QSVR = """\
estimators|what users hold, in scikit-learn's form|svr (QSVR), svc (QSVC), \
ensemble (QSVREnsemble), classifier_ensemble (QSVCEnsemble), problem (QSVRProblem), many
inspection|what a fit reports about itself|report, plotting
model|from solutions to a function|solutions, combination, intercept, uncertainty, export
solve|from a dual to its solutions|direct, refinement, decomposition, strategy
samplers|programs that draw bit strings|base, factory, kinds, dimod, answers, fallback, given, \
relax_round, budget, structured/ (the default), dwave/
problem|the mathematics, without a sampler|kernels, kernel_rows, spectrum, data, dual, objective, \
optimality, encoding, qubo, samples, local_search
"""
QSVR_ROOT = "warm_up, exceptions, _validation, _numba, _text, _typing"
HPO = """\
cli|run, resume, work, status, report, ...|commands, options, output
integrations|in other tools|Ray Tune, Optuna, MLflow, TensorBoard
report|HTML page, figures, tables|page, content, comparison, importance, runs, plots
run|one search from start to end|tuner, workers, spec, runner, recorder, journal, replay, limits, \
callbacks, results, executors/
simulation|recorded curves in virtual time|simulator, datasets, synthetic, compare
schedulers|decisions, without a clock or files|hyperband, asha, early_stopping, \
halving/, freeze_thaw/
predictors|from curves to later losses|base, regression, pooled, joint, mixed, baselines, jobs
examples|complete models to tune|cnn, lstm, mlp, mlpf
searchers|which configurations are tried|grid_random, curves, optuna, q_learning, candidates
surrogates|models over hyperparameters|joint_gp, scales, surface, surrogate, acquisition
trainers|training of one configuration|base, loading, script, context, objective, torch/
space|values that may be drawn|search_space, domains, conditions, parsing, encoding
"""
HPO_ROOT = "loop, trial, plain_values, brackets, files, errors, text, _typing"


def folder(y: int, name: str, job: str, modules: str) -> tuple[str, int]:
    """Return the box of a folder, and where it ends."""
    lines = textwrap.wrap(modules, LETTERS)
    height = 44 + 22 * len(lines)
    kind = "room" if name else "low"
    parts = [f'<rect x="8" y="{y}" width="{WIDTH - 16}" height="{height}" rx="7" class="{kind}"/>']
    parts.append(f'<text x="20" y="{y + 27}" class="r">{escape(name)}</text>' if name else "")
    start = 156 if name else 20
    parts.append(f'<text x="{start}" y="{y + 27}">{escape(job)}</text>')
    for number, line in enumerate(lines):
        parts.append(f'<text x="20" y="{y + 51 + 22 * number}" class="m">{escape(line)}</text>')
    return "\n".join(filter(None, parts)), y + height


def diagram(package: str) -> str:
    """Return the diagram of a package."""
    rooms, root = (QSVR, QSVR_ROOT) if package == "qsvr" else (HPO, HPO_ROOT)
    parts, y = [], 8
    for line in [*rooms.splitlines(), f"|modules beside the folders|{root}"]:
        drawn, end = folder(y, *line.split("|"))
        parts.append(drawn)
        y = end + 8
    names = ", ".join(line.partition("|")[0] for line in rooms.splitlines())
    return document(
        f"The folders of {package}, in the order of their imports",
        f"From top to bottom, where each folder imports only from those below it: {names}.",
        y,
        parts,
    )


def main() -> None:
    """Write both diagrams."""
    for package in ("qsvr", "hpo"):
        path = PAGES / f"architecture-{package}.svg"
        path.write_text(diagram(package), encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
