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
# # Compare Swift-Hyperband and Swift-ASHA with Hyperband
#
# *Hyperband* searches hyperparameters. It trains many configurations for a few epochs, keeps the better
# ones, trains these longer, and so on. Each point of comparison is a *rung*, and each such series of
# rungs is a *bracket*. *Swift-Hyperband* (arXiv 2311.17508) adds a prediction inside each rung: some
# trials are trained to the rung, the others halfway; a predictor estimates where these will be, and only
# the promising ones continue. *Swift-ASHA*, the default of `hpo run`, has no rungs and decides by
# forecasts of final losses alone. Both aim to find an equally good configuration in fewer epochs.
#
# - **You will learn** to compare schedulers on recorded learning curves, and what each of them saves.
# - **For** readers who choose a scheduler. Read [Schedulers](../docs/guide/schedulers.md) for the
#   settings, and [the notebook on performance prediction](04_performance_prediction.ipynb) for the
#   predictors.
# - **Time:** 15 minutes to read, about a minute to run.
# - **Baselines:** plain Hyperband; and as predictors, the last known loss and random numbers.
#
# The searches run on recorded curves, so that thousands of epochs take milliseconds. The curves are those
# of MLPF if the environment variable `MLPF_TABLE` names the file, and made up otherwise. The output
# below was made with the MLPF table.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np

from hpo import Hyperband, Results, SwiftASHA, SwiftHyperband, make_predictor
from hpo.predictors import BasePredictor
from hpo.report.plots import plot_curves
from hpo.simulation import TableCurveSearcher, simulate
from hpo.simulation.datasets import load_mlpf
from hpo.simulation.synthetic import synthetic_table

QUICK = bool(os.environ.get("NOTEBOOK_QUICK"))  # smaller problems in the tests
path = os.environ.get("MLPF_TABLE")
n_curves, n_epochs = (60, 16) if QUICK else (296, 100)
table = load_mlpf(path) if path else synthetic_table(n_curves, n_epochs, seed=0)
R = table.max_resource
print(f"{'MLPF' if path else 'synthetic'}: {len(table)} curves of {R} epochs")

# %% tags=["hide-input"]
# Style of the figures: their colours are those of Okabe and Ito.
plt.rcParams.update({
    "figure.dpi": 100, "font.size": 12, "legend.frameon": False,
    "axes.titlesize": 12, "axes.titlelocation": "left",
    "axes.spines.top": False, "axes.spines.right": False,
    "axes.prop_cycle": plt.cycler(
        color=["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
    ),
})  # fmt: skip

# %% [markdown]
# ## One search of each
#
# Both schedulers get the same configurations in the same order. `simulate` looks up their losses in the
# table instead of training them.


# %% mystnb={"image": {"alt": "Learning curves of all trials under Hyperband and under Swift-Hyperband. Under Swift-Hyperband many curves are stopped earlier, by a prediction."}}
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

low, high = np.quantile(table.losses, [0, 0.7])
figure, panels = plt.subplots(2, 1, figsize=(7, 9), layout="constrained")
for ax, name, run in zip(panels, ("Hyperband", "Swift-Hyperband"), (plain, saving), strict=True):
    plot_curves(results_of(run), ax, title=f"{name}: {run.summary.epochs} epochs")
    ax.set_ylim(low - 0.02 * (high - low), high)
plt.show()

# %% [markdown]
# A prediction stopped the orange curves, at the filled marks. Hollow marks are trials that continued
# after a prediction. Everything else is as in Hyperband.
#
# ## Epochs saved, over seeds and predictors
#
# Each seed is another order of the configurations. "Saved" is the share of Hyperband's epochs that was
# not needed. "Same best" counts the seeds in which the search chose a configuration with the same final
# loss as Hyperband did. Beside two trained predictors there are two controls: the last known loss, and
# random numbers.


# %% mystnb={"image": {"alt": "Epochs spent with each predictor, one dot for each seed. All predictors spend fewer epochs than Hyperband."}}
class RandomPredictor(BasePredictor):
    """Predicts a final loss drawn from those of the training curves."""

    def _fit(self, curves, values, context):
        self.targets_, self.seed_ = values[:, -1].copy(), context.seed

    def _predict(self, curves, values):
        return np.random.default_rng(self.seed_).choice(self.targets_, len(curves))


SEEDS = range(1 if QUICK else 6)
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

figure, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
for row, values in enumerate(epochs.values()):
    ax.plot(values, np.full(len(values), row), "o", ms=8, alpha=0.6, color="C0")
    ax.plot(np.mean(values), row, "|", ms=22, mew=2.5, color="C1")
ax.set(
    yticks=range(len(epochs)), yticklabels=epochs, xlabel="epochs spent", ylim=(-0.5, len(epochs) - 0.5),
    title="A dot is one seed, the line is the mean",
)  # fmt: skip
ax.invert_yaxis()
plt.show()

# %% [markdown]
# Random predictions save epochs as well, but they lose the best configuration. So the number of epochs
# saved is meaningful only together with the configuration found. On these curves the last known loss
# works as well as the trained predictors: Swift-Hyperband saves epochs because it compares trials
# earlier, not because of the model.
#
# ## Time on several workers
#
# Epochs are the cost of a search; its duration also depends on the workers. Before a decision of a
# bracket, some workers have nothing to do. With its default settings Swift-Hyperband lets them train the
# most promising trials further, and start the next bracket. The published form, as used in the papers,
# does not. Time is in epochs of one trial.


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
# With many workers the default form takes less time, because it leaves fewer workers idle than the
# published form, which runs one bracket after the other.
#
# ## Swift-ASHA: no rungs, only forecasts
#
# Swift-ASHA is the default of `hpo run`. Each trial pauses after a few epochs. A forecast then predicts
# the final losses of all trials, and a free worker gets the trial, or the new configuration, that is most
# likely to be better than the best one. The default budget is 0.45 of Hyperband's epochs. With many
# workers it is higher, at least 1.5 full trainings per worker, so that none of them is idle.


# %% mystnb={"image": {"alt": "Learning curves of all trials under Swift-ASHA. Most are paused after a few epochs, some are trained to the end."}}
def swift_asha(seed, n_workers=1):
    """Simulate Swift-ASHA; its searcher proposes rows of the table."""
    return simulate(
        lambda searcher: SwiftASHA(searcher, max_resource=R, seed=seed),
        table,
        searcher=TableCurveSearcher(table, seed),
        predictor=make_predictor("mixed"),
        n_workers=n_workers,
    )


runs = {seed: swift_asha(seed) for seed in SEEDS[:3]}
print(f"{'seed':>6}{'Hyperband':>22}{'Swift-ASHA':>22}")
for seed, run in runs.items():
    pair = (reference[seed], run.summary)
    print(f"{seed:6d}" + "".join(f"{s.epochs:8d} / {s.best.last_loss:11.5g}" for s in pair))
print("epochs / final loss of the chosen configuration; the best of all:", end=" ")
print(f"{table.losses[:, -1].min():.5g}")

figure, ax = plt.subplots(figsize=(7, 4.8), layout="constrained")
plot_curves(results_of(runs[0]), ax, title=f"Swift-ASHA: {runs[0].summary.epochs} epochs")
ax.set_ylim(low - 0.02 * (high - low), high)
plt.show()

# %% [markdown]
# Most trials get a few epochs, and some are trained to the end. On several workers, no worker waits for
# another. *Utilisation* is the share of the workers' time that was spent training:

# %%
print(f"{'workers':>12}" + "".join(f"{n:8d}" for n in workers))
searches = [swift_asha(0, n_workers=n) for n in workers]
print(f"{'epochs':>12}" + "".join(f"{run.summary.epochs:8d}" for run in searches))
print(f"{'time':>12}" + "".join(f"{run.makespan:8.0f}" for run in searches))
print(f"{'utilisation':>12}" + "".join(f"{run.utilisation:8.2f}" for run in searches))

# %% [markdown]
# No search can take less time than one full training. With several workers the decisions depend on the
# order in which losses arrive; with one worker, a search with the same seed repeats itself exactly.
