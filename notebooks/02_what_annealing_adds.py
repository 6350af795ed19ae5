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
# # Measure what annealing contributes to a fit
#
# A fit of `QSVR` has four steps between the annealer and the prediction:
#
# 1. A *sampler*, here an annealer, returns many bit strings of low energy, the *samples*.
# 2. A local search improves each of them (*polish*): it changes one coefficient or a pair of
#    coefficients at a time as long as the energy decreases.
# 3. Two further candidates are added: all coefficients zero, and the rounded solution of the problem
#    with real coefficients (the *relaxation*).
# 4. The best distinct solutions are averaged.
#
# This notebook measures how much of the result the first step contributes. To do so, it replaces the
# annealer by random bit strings and leaves the other steps as they are.
#
# - **You will learn** how to judge a sampler, and what averaging many solutions gains.
# - **For** readers who want to know whether an annealer improves their model. Read
#   [the first notebook](01_first_fit_to_leap.ipynb) before this one.
# - **Time:** 15 minutes to read, about a minute to run.
# - **Baselines:** random bit strings, and scikit-learn's `SVR` with the same parameters.

# %%
import os
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_friedman1
from sklearn.metrics import r2_score
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import minmax_scale
from sklearn.svm import SVR

from qsvr import (
    QSVR,
    CoarseEncodingWarning,
    SampleEnergyDisplay,
    SamplerFactory,
    SamplerReport,
    get_sampler,
)
from qsvr.model.intercept import primal_intercept

warnings.simplefilter("ignore", CoarseEncodingWarning)  # one bit is coarse

SEEDS = range(1 if os.environ.get("NOTEBOOK_QUICK") else 5)  # fewer in the tests
X, y = make_friedman1(540, noise=1.0, random_state=0)
X, y = minmax_scale(X), minmax_scale(y)
setting = {"C": 1.0, "epsilon": 0.05, "gamma": 0.3}
once = {**setting, "n_refinements": 0}  # one problem for each fit, as on a quantum annealer


def split(seed, n=40):
    """Return 40 training samples and 300 to test on."""
    order = np.random.default_rng(seed).permutation(len(y))
    train, test = order[:n], order[-300:]
    return X[train], y[train], X[test], y[test]


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
# ## Energies of the samples, before and after polish
#
# The problem has 40 training samples at 3 bits. Three samplers solve it:
#
# - random bit strings, for comparison;
# - `"sa"`, simulated annealing of the package dwave-samplers, which changes one bit at a time. It
#   makes 50 passes over all bits, called *sweeps*;
# - `"structured"`, the annealer of this package, which also changes pairs of coefficients.
#
# The figure shows the energy of all 100 bit strings of each sampler as its distance from the lower
# bound, on a logarithmic axis. Farther left is better; a dashed line is the median.

# %% mystnb={"image": {"alt": "Histograms of the energies of random strings, of simulated annealing and of the structured annealer, as sampled and after polish. As sampled the annealers are lower than random strings; after polish all three are alike."}}
samplers = {
    "random strings": {"sampler": SamplerFactory("dwave.samplers.RandomSampler")},
    "sa, 50 sweeps": {"sampler": "sa", "sampler_options": {"num_sweeps": 50}},
    "structured": {"sampler": "structured"},
}
X_train, y_train, X_test, y_test = split(0)
fits = {
    name: QSVR(num_reads=100, random_state=0, **options, **once).fit(X_train, y_train)
    for name, options in samplers.items()
}
print(f"{fits['structured'].sampler_info_['n_variables']} binary variables")

figure, panels = plt.subplots(3, 1, figsize=(7, 8), sharex=True, layout="constrained")
for ax, (name, model) in zip(panels, fits.items(), strict=True):
    report = SamplerReport.from_info(model.sampler_info_, model.relaxation_bound_)
    SampleEnergyDisplay(report).plot(ax)
    ax.set_title(name)
    ax.label_outer()
    ax.get_legend().remove()
panels[0].set_xlim(1e-3, 1e3)
handles = panels[1].get_legend_handles_labels()[0]
labels = ("random bit strings", "as sampled", "after polish")
figure.legend(handles, labels, loc="outside upper center", ncols=3)
plt.show()

# %% [markdown]
# As sampled, both annealers are much better than random strings, and the structured one comes closest
# to the bound. After polish there is hardly any difference between the three. Therefore judge a
# sampler by the energies **as sampled**. `sampler_report()` compares them with those of random strings:

# %%
report = fits["sa, 50 sweeps"].sampler_report()

# %% [markdown]
# ## Quality of the predictions
#
# The table shows the coefficient of determination (R<sup>2</sup>, 1 is perfect) on test data, as the
# mean and the standard deviation over five splits. The column "raw samples" averages the fifty samples
# of lowest energy without any of the other steps. The column "QSVR" is the whole fit. `SVR` has the
# same `C`, `epsilon` and `gamma`.


# %%
def from_raw_samples(seed, sampler, sampler_options=None):
    """Return the test R2 of the mean of the fifty lowest raw samples."""
    X_train, y_train, X_test, y_test = split(seed)
    qubo = QSVR(**once).make_problem(X_train, y_train).qubo
    drawn = get_sampler(sampler).sample(qubo, num_reads=100, seed=seed, **(sampler_options or {}))
    a, a_hat = np.moveaxis(qubo.encoding.decode(drawn.distinct(50).bits), 1, 0)
    b, dual = a - a_hat, qubo.dual
    offsets = primal_intercept(dual.y - dual.outputs(b), dual.epsilon, dual.C)
    outputs = b @ rbf_kernel(X_train, X_test, gamma=setting["gamma"])
    return r2_score(y_test, np.median(y_train) + outputs.mean(axis=0) + offsets.mean())


def fitted(seed, model):
    """Return the test R2 of a model."""
    X_train, y_train, X_test, y_test = split(seed)
    return r2_score(y_test, model.fit(X_train, y_train).predict(X_test))


def cell(scores):
    """Return mean and standard deviation."""
    return f"{np.mean(scores):8.3f} +- {np.std(scores):.3f}"


print(f"{'':16} {'raw samples':>16} {'QSVR':>16}")
for name, options in samplers.items():
    raw = [from_raw_samples(seed, **options) for seed in SEEDS]
    models = [QSVR(num_reads=100, random_state=seed, **options, **once) for seed in SEEDS]
    whole = [fitted(seed, model) for seed, model in zip(SEEDS, models, strict=True)]
    print(f"{name:16} {cell(raw):>16} {cell(whole):>16}")
svr = [fitted(seed, SVR(**setting)) for seed in SEEDS]
print(f"{'SVR':16} {'':>16} {cell(svr):>16}")

# %% [markdown]
# The average of raw random strings is useless as a model, while the raw samples of both annealers
# predict nearly as well as `SVR`. As whole fits, all three samplers are equally good. So the quality of
# the model does not show how good the sampler was; the energies as sampled do.
#
# ## What averaging distinct solutions adds
#
# A sampler returns many good solutions, where a deterministic solver returns one. `n_solutions` is the
# largest number of solutions that `QSVR` averages. It leaves out solutions that would increase the
# training loss of the average.

# %% mystnb={"image": {"alt": "Test R2 against the number of solutions averaged, for 1, 2 and 3 bits. The curve of 1 bit rises most; the three end near the line of SVR."}}
counts = (1, 2, 5, 10, 20, 50)


def averaged(bits, count):
    """Return the mean test R2 where `count` solutions are averaged."""
    fixed = {"n_bits": bits, "n_solutions": count, "num_reads": 100, **once}
    return np.mean([fitted(seed, QSVR(random_state=seed, **fixed)) for seed in SEEDS])


figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
print("solutions" + "".join(f"{count:>8}" for count in counts))
for number, bits in enumerate((1, 2, 3)):
    scores = [averaged(bits, count) for count in counts]
    name = f"{bits} bit{'s' * (bits > 1)}"
    print(f"{name:9}" + "".join(f"{score:8.3f}" for score in scores))
    ax.plot(counts, scores, "os^"[number] + "-", color=f"C{number}", label=name)
ax.axhline(np.mean(svr), color="0.4", ls="--", lw=1.5, label="SVR")
ax.set(
    xscale="log", xticks=counts, xticklabels=counts, xlabel="largest number of solutions averaged",
    ylabel="test R$^2$, mean of 5 splits",
)  # fmt: skip
ax.minorticks_off()
ax.legend(loc="lower right")
plt.show()

# %% [markdown]
# With one bit a coefficient is either 0 or `C`. The average of up to fifty such solutions predicts as
# well as three bits do, with a third of the qubits. With three bits there is little left to gain, since
# the best solution is already close to the bound.
#
# **Conclusion.** Annealing supplies many distinct good solutions. If a coefficient has few bits, their
# average predicts better than the solution of lowest energy. At these sizes scikit-learn's `SVR` is
# equally good and needs no annealer. More measurements are in
# [Measured results](../docs/research/measured.md).
