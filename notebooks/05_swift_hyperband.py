# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Swift-Hyperband against Hyperband
#
# Hyperband trains many configurations for a short time and, in rounds, fewer and fewer of them for
# longer. Swift-Hyperband (arXiv 2311.17508) looks once within each round: part of the trials are
# trained in full, the others halfway; a predictor says where these will end, and only the promising
# ones go on. The same winner for fewer epochs is the aim.
#
# Searches run on recorded curves, so that thousands of epochs take milliseconds. As in the notebook
# on performance prediction, the curves are MLPF's where the environment variable `MLPF_TABLE` names
# the file, and made up otherwise. The output shown was made with the MLPF table.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np

from hpo import Hyperband, Results, SwiftHyperband, make_predictor
from hpo.predictors import BasePredictor
from hpo.report.plots import plot_curves
from hpo.simulation import simulate
from hpo.simulation.datasets import load_mlpf
from hpo.simulation.synthetic import synthetic_table

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 80})
plt.rcParams["legend.loc"] = "upper right"  # the best place is slow to find among many curves

QUICK = bool(os.environ.get("NOTEBOOK_QUICK"))  # the tests take less
path = os.environ.get("MLPF_TABLE")
table = load_mlpf(path) if path else synthetic_table(296, 100, seed=0)
R = table.max_resource
print(f"{'MLPF' if path else 'synthetic'}: {len(table)} curves of {R} epochs")

# %% [markdown]
# ## One search of each
#
# The same configurations for both, in the same order; `simulate` looks their losses up.


# %%
def hyperband(searcher):
    """Build Hyperband for these curves."""
    return Hyperband(searcher, max_resource=R)


def swift(searcher):
    """Build Swift-Hyperband in the form of the paper's experiments."""
    return SwiftHyperband.as_published(searcher, max_resource=R)


def results_of(simulation):
    """Return a simulation's summary in the form that the figures take."""
    return Results.of(simulation.summary, (), (), None, finished=True)


plain = simulate(hyperband, table, seed=0)
saving = simulate(swift, table, seed=0, predictor=make_predictor("nusvr"))

figure, panels = plt.subplots(1, 2, figsize=(13, 4.6), sharey=True, layout="constrained")
for ax, name, run in zip(panels, ("Hyperband", "Swift-Hyperband"), (plain, saving), strict=True):
    plot_curves(results_of(run), ax, title=f"{name}: {run.summary.epochs} epochs")
low, high = np.quantile(table.losses, [0, 0.7])
panels[0].set_yscale("linear")
panels[0].set_ylim(low - 0.02 * (high - low), high)
plt.show()

# %% [markdown]
# Orange curves are those that a prediction stopped, at the marks; hollow marks are those that a
# prediction let go on. Everything else is as in Hyperband.
#
# ## Epochs, over seeds and predictors
#
# A seed shuffles the configurations. "Same best" counts the seeds in which the chosen configuration
# has the loss of Hyperband's. Two controls are compared with the predictors: the last known loss
# instead of any model, and random numbers.


# %%
class RandomPredictor(BasePredictor):
    """Predicts a final loss drawn from those of the training curves."""

    def _fit(self, curves, values, context):
        self.targets_, self.seed_ = values[:, -1].copy(), context.seed

    def _predict(self, curves, values):
        return np.random.default_rng(self.seed_).choice(self.targets_, len(curves))


SEEDS = range(2 if QUICK else 6)
PREDICTORS = {
    "NuSVR": (make_predictor("nusvr", folds=0), SEEDS),
    "QSVR": (make_predictor("qsvr", folds=0), SEEDS[:3]),
    "last value": (make_predictor("last-value", folds=0), SEEDS),
    "random": (RandomPredictor(folds=0), SEEDS),
}
reference = {seed: simulate(hyperband, table, seed=seed).summary for seed in SEEDS}
epochs = {"Hyperband": [summary.epochs for summary in reference.values()]}
print(f"{'':12}{'epochs':>8}{'saved':>8}   same best")
print(f"{'Hyperband':12}{np.mean(epochs['Hyperband']):8.0f}")
for name, (predictor, seeds) in PREDICTORS.items():
    runs = {seed: simulate(swift, table, seed=seed, predictor=predictor).summary for seed in seeds}
    epochs[name] = [run.epochs for run in runs.values()]
    saved = 1 - np.mean(epochs[name]) / np.mean([reference[seed].epochs for seed in seeds])
    same = [run.best.last_loss == reference[seed].best.last_loss for seed, run in runs.items()]
    print(f"{name:12}{np.mean(epochs[name]):8.0f}{saved:8.1%}   {sum(same)} of {len(same)}")

figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
for row, values in enumerate(epochs.values()):
    ax.plot(values, np.full(len(values), row), "o", ms=7, alpha=0.6, color=f"C{row}")
    ax.plot(np.mean(values), row, "k|", ms=18)
ax.set(yticks=range(len(epochs)), yticklabels=epochs, xlabel="epochs spent; a dot is a seed")
ax.invert_yaxis()
plt.show()

# %% [markdown]
# Random predictions save epochs too, and lose the best configuration: the saving alone says nothing.
# The last known value is as good as the trained predictors on these curves; what Swift-Hyperband
# saves there, it saves by looking early.
#
# ## Time on many workers
#
# Epochs cost money, time costs patience. The default form of Swift-Hyperband lets workers that would
# idle before a decision train the most promising trials ahead of it, and opens the next bracket
# meanwhile.


# %%
def makespan(make, n_workers, predictor=None):
    """Return time in epochs on some workers."""
    model = None if predictor is None else make_predictor(predictor, folds=0)
    return simulate(make, table, seed=0, n_workers=n_workers, predictor=model).makespan


def swift_default(searcher):
    """Build Swift-Hyperband with its default settings."""
    return SwiftHyperband(searcher, max_resource=R)


workers = (1, 8) if QUICK else (1, 4, 8, 20, 50)
print(f"{'workers':>22}" + "".join(f"{n:8d}" for n in workers))
for name, make, predictor in (
    ("Hyperband", hyperband, None),
    ("Swift, as published", swift, "nusvr"),
    ("Swift, default", swift_default, "nusvr"),
):
    times = [makespan(make, n, predictor) for n in workers]
    print(f"{name:>22}" + "".join(f"{time:8.0f}" for time in times))

# %% [markdown]
# With one worker the two forms of Swift-Hyperband are equally quick. With many, the published form,
# which runs brackets one after the other, leaves workers idle; the default does not.
