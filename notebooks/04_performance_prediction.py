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
# # Predict the end of a learning curve from its beginning
#
# A *learning curve* is the loss of a model after each epoch of its training. Can the loss at the end be
# predicted from the first part of the curve? A *curve predictor* learns this from complete curves of
# other configurations, that is, of other values of the hyperparameters. A search can then stop training
# early where the prediction is bad.
#
# - **You will learn** to fit the curve predictors of `hpo`, and to check whether they are better than a
#   prediction that costs nothing.
# - **For** readers who tune neural networks, and for those who know the papers on performance
#   prediction with QSVR.
# - **Time:** 10 minutes to read, about two minutes to run.
# - **Baseline:** "the final loss is the last known loss".
#
# The data are 296 trainings of MLPF, a graph neural network for particle reconstruction at the Large
# Hadron Collider (arXiv 2203.01112; the curves are from arXiv 2311.17508).
# `hpo.simulation.datasets.load_mlpf()` downloads the table once. This notebook reads the file that the
# environment variable `MLPF_TABLE` names, and uses made-up curves if there is none. The output below was
# made with the MLPF table.

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

SEEDS = range(1 if os.environ.get("NOTEBOOK_QUICK") else 3)  # fewer in the tests
path = os.environ.get("MLPF_TABLE")
table = load_mlpf(path) if path else synthetic_table(130, 100, seed=0)
table = table.take(clean_rows(table))  # no repeated hyperparameters, no training restarts
final = table.losses[:, -1]
print(f"{'MLPF' if path else 'synthetic'}: {len(table)} curves of {table.max_resource} epochs")

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
# ## The curves
#
# The colour is the rank of a curve at its end. If the colours are in this order from early on, the last
# known loss is a good prediction. A predictor can only be better where curves cross later.

# %% mystnb={"image": {"alt": "Learning curves of MLPF coloured by their rank at the end. The order of the colours is nearly settled after a quarter of the epochs."}}
ranks = np.argsort(np.argsort(final)) / len(final)
figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
for losses, rank in zip(table.losses, ranks, strict=True):
    ax.plot(range(1, table.max_resource + 1), losses, color=plt.colormaps["viridis"](rank), lw=0.8)
low, high = np.quantile(table.losses, [0, 0.9])
ax.set(
    xscale="log", ylim=(low - 0.02 * (high - low), high), xlabel="epoch", ylabel="loss",
    xticks=(1, 2, 5, 10, 20, 50, 100), xticklabels=(1, 2, 5, 10, 20, 50, 100),
    xlim=(1, table.max_resource),
)  # fmt: skip
ax.minorticks_off()
ax.axvspan(1, table.max_resource // 4, color="0.5", alpha=0.12, lw=0)
ax.text(1.1, 0.03, "first quarter", transform=ax.get_xaxis_transform())
figure.colorbar(plt.cm.ScalarMappable(cmap="viridis"), ax=ax, label="rank at the end (0 is best)")
plt.show()

# %% [markdown]
# ## Predictors
#
# `make_predictor` takes a name or any scikit-learn regressor. Five predictors are compared:
#
# - *last value*: the baseline, the last known loss;
# - *power law*: a curve $a + b\,t^{-c}$ fitted to the known part of each curve;
# - *NuSVR*: support vector regression on the known losses;
# - *NuSVR, Baker's features*: the same on the losses, their first and second differences and the
#   hyperparameters (Baker et al., arXiv 1705.10823);
# - *QSVR*: `qsvr.QSVR` on the known losses. It learns from at most 20 curves, which are as many as one
#   annealer can hold at 3 bits.

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
    "power law": ("power-law", {}, "C0s:"),
    "NuSVR": ("nusvr", {}, "C1o-"),
    "NuSVR, Baker's features": ("nusvr", {"values": True, **differences}, "C2D-"),
    "QSVR": ("qsvr", {}, "C3^-"),
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
# ## How early, and from how many curves?
#
# The top panel uses 20 training curves, of which more and more is known. The bottom panel uses the first
# quarter of each curve, and more and more training curves. R<sup>2</sup> is the coefficient of
# determination on at least 60 other curves; 1 is a perfect prediction.

# %% mystnb={"image": {"alt": "R2 of the predicted final loss for five predictors. Top: against the known share of the curve. Bottom: against the number of training curves. The power law and the last value are best from a quarter of the curve on."}}
fractions = (0.05, 0.1, 0.25, 0.5, 0.75)
sizes = (10, 20, 40, 60)
figure, (top, bottom) = plt.subplots(2, 1, figsize=(7, 8.5), layout="constrained")
by_share, by_size = {}, {}
for name, (_, _, style) in PREDICTORS.items():
    known = [round(part * table.max_resource) for part in fractions]
    by_share[name] = [mean_r2(name, 20, each) for each in known]
    by_size[name] = [mean_r2(name, size, table.max_resource // 4) for size in sizes]
    top.plot(fractions, by_share[name], style, ms=6, label=name)
    bottom.plot(sizes, by_size[name], style, ms=6)
top.set(
    xlabel="known share of the curve", ylabel="R$^2$ of the final loss", ylim=(0, 1.02),
    xticks=(0, 0.25, 0.5, 0.75), xticklabels=("0", "1/4", "1/2", "3/4"), title="20 training curves",
)  # fmt: skip
top.legend(loc="lower right")
bottom.set(
    xlabel="training curves", ylabel="R$^2$ of the final loss", ylim=(None, 1), xticks=sizes,
    title="A quarter of each curve is known",
)  # fmt: skip
plt.show()

print("20 training curves       " + "".join(f"{part:8.0%}" for part in fractions) + "  known")
for name, scores in by_share.items():
    print(f"{name:25}" + "".join(f"{score:8.3f}" for score in scores))
print("\na quarter known          " + "".join(f"{size:>8}" for size in sizes) + "  training curves")
for name, scores in by_size.items():
    print(f"{name:25}" + "".join(f"{score:8.3f}" for score in scores))

# %% [markdown]
# The dashed line is the baseline. On the MLPF curves the trained predictors are clearly better than it
# only where five per cent of a curve are known. From a quarter on, the last value predicts better than
# the support vector machines, even with sixty training curves. The power law is the best predictor at a
# quarter. The differences and the hyperparameters do not help here: they add more columns than so few
# curves can support. On the made-up curves, which cross more often, trained predictors are ahead early
# on.
#
# ## Skill: the same check during a search
#
# In a search the final losses are not known. Therefore each prediction comes with its *skill*: one minus
# the ratio of its squared error to that of the last value, in cross-validation on the training curves. A
# skill of 1 is perfect. At 0 or below, the prediction is not better than the last value.

# %%
for name, (kind, options, _) in PREDICTORS.items():
    model = make_predictor(kind, **options)
    model.fit(curves[:40], table.max_resource // 4, table.max_resource)
    print(f"{name:25} skill {model.skill_:+.2f}")

# %% [markdown]
# The skill is itself an estimate, here from 40 curves: `NuSVR` and `QSVR` have a small positive skill,
# although the last value is better on the test curves above. All predictors and their options are
# described in [Predictors](../docs/guide/predictors.md).
