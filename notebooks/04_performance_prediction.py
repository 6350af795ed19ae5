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
# # Performance prediction from learning curves
#
# How well does a network end, judged by the first part of its training? A *curve predictor* learns
# that from complete curves of other configurations. Whatever it is, it has to beat the prediction
# "the final loss is the last known loss", which costs nothing.
#
# The curves are 296 trainings of MLPF, a graph neural network for particle flow at the Large Hadron
# Collider (arXiv 2203.01112; curves of arXiv 2311.17508). `hpo.simulation.datasets.load_mlpf()` downloads the
# table once; this notebook takes a file from the environment variable `MLPF_TABLE`, and without it
# a made-up table of curves. The output shown was made with the MLPF table.

# %%
import os
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import r2_score

from hpo import SearchSpace, make_predictor
from hpo.predictors import PredictionContext
from hpo.simulation.datasets import clean_rows, load_mlpf
from hpo.simulation.synthetic import synthetic_table
from hpo.trial import Curve
from qsvr import CoarseEncodingWarning

warnings.simplefilter("ignore", CoarseEncodingWarning)  # one problem of 3 bits, as in the papers
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 80})

SEEDS = range(1 if os.environ.get("NOTEBOOK_QUICK") else 3)  # the tests take less
path = os.environ.get("MLPF_TABLE")
table = load_mlpf(path) if path else synthetic_table(130, 100, seed=0)
table = table.take(clean_rows(table))  # no repeated hyperparameters, no training restarts
final = table.losses[:, -1]
print(f"{'MLPF' if path else 'synthetic'}: {len(table)} curves of {table.max_resource} epochs")

# %% [markdown]
# ## The curves
#
# Coloured by rank at the end. Where colours are in order from early on, the last known value is hard
# to beat; predictors earn their keep where curves cross.

# %%
ranks = np.argsort(np.argsort(final)) / len(final)
figure, ax = plt.subplots(figsize=(8, 3.8), layout="constrained")
for losses, rank in zip(table.losses, ranks, strict=True):
    ax.plot(range(1, table.max_resource + 1), losses, color=plt.colormaps["viridis"](rank), lw=0.8)
low, high = np.quantile(table.losses, [0, 0.9])
ax.set(xscale="log", ylim=(low - 0.02 * (high - low), high), xlabel="epoch", ylabel="loss")
ax.axvspan(1, table.max_resource // 4, color="0.5", alpha=0.12, lw=0)
ax.text(0.02, 0.93, "known at a quarter", transform=ax.transAxes, fontsize=9)
figure.colorbar(plt.cm.ScalarMappable(cmap="viridis"), ax=ax, label="rank at the end (0 is best)")
plt.show()

# %% [markdown]
# ## Predictors
#
# `make_predictor` takes a name or any scikit-learn regressor. Support vector machines see the known
# losses; the form of Baker et al. (arXiv 1705.10823) adds first and second differences and the
# hyperparameters. `qsvr` learns from at most 20 curves, which an annealer holds at 3 bits.

# %%
space = SearchSpace.from_dict(
    {
        name: {"type": "float", "low": min(values), "high": max(values)}
        for name in table.configs[0]
        if len(values := {float(config[name]) for config in table.configs}) > 1
    }
)
differences = {"first_differences": True, "second_differences": True, "space": space}
PREDICTORS = {
    "last value": ("last-value", {}, "k--"),
    "power law": ("power-law", {}, "s:"),
    "NuSVR": ("nusvr", {}, "o-"),
    "NuSVR, Baker's features": ("nusvr", {"values": True, **differences}, "D-"),
    "QSVR": ("qsvr", {}, "^-"),
}
curves = [
    Curve(number, dict(config), tuple(losses))
    for number, (config, losses) in enumerate(zip(table.configs, table.losses, strict=True))
]


def mean_r2(name, n_train, known):
    """Return the R2 of predicted final losses: mean over splits with at least 60 to test on."""
    kind, options, _ = PREDICTORS[name]
    scores = []
    for seed in SEEDS:
        order = np.random.default_rng(seed).permutation(len(curves))
        train, test = order[:n_train], order[-60:]
        predictor = make_predictor(kind, folds=0, **options)
        context = PredictionContext(seed=seed)
        predictor.fit([curves[i] for i in train], known, table.max_resource, context)
        scores.append(r2_score(final[test], predictor.predict([curves[i] for i in test]).mean))
    return np.mean(scores)


# %% [markdown]
# ## How early, and from how many?
#
# Left: 20 training curves, more and more of each curve known. Right: a quarter of each curve known,
# more and more training curves.

# %%
fractions = (0.05, 0.1, 0.25, 0.5, 0.75)
sizes = (10, 20, 40, 60)
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), sharey=True, layout="constrained")
quarter = {}
for name, (_, _, style) in PREDICTORS.items():
    known = [round(part * table.max_resource) for part in fractions]
    left.plot(fractions, [mean_r2(name, 20, each) for each in known], style, ms=5, label=name)
    quarter[name] = [mean_r2(name, size, table.max_resource // 4) for size in sizes]
    right.plot(sizes, quarter[name], style, ms=5)
left.set(xlabel="known share of the curve", ylabel="R2 of the final loss", ylim=(0, 1.02))
left.legend(frameon=False, fontsize=9, loc="lower right")
right.set(xlabel="training curves")
plt.show()

print("a quarter known:         " + "".join(f"{size:>8}" for size in sizes) + "  training curves")
for name, scores in quarter.items():
    print(f"{name:25}" + "".join(f"{score:8.3f}" for score in scores))

# %% [markdown]
# The dashed line is the one to beat. On the MLPF curves the trained predictors are ahead of it while
# five per cent of a curve are known; from a quarter on, keeping the last value is better than either
# support vector machine with up to sixty training curves, and a power law is better than both. What
# differences and hyperparameters add does not make up for their number of columns here. On the
# made-up curves, which cross more, trained predictors win early.
#
# ## What a run tells you
#
# Every prediction of a search carries its *skill*: one minus the ratio of its squared error to that
# of the last value, cross-validated on the training curves. Not positive means worth nothing.

# %%
for name, (kind, options, _) in PREDICTORS.items():
    model = make_predictor(kind, **options)
    model.fit(curves[:40], table.max_resource // 4, table.max_resource)
    print(f"{name:25} skill {model.skill_:+.2f}")
