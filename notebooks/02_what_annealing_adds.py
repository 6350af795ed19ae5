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
# # What annealing adds
#
# Four things happen between a sampler and a prediction: bit strings are drawn, they are *polished*
# (descent by changes of one coefficient and of pairs), all zeros and the rounded solution over real
# coefficients (the relaxation) join them, and the best distinct ones are averaged. How much of the
# result comes from which? Uniformly random bit strings through the same pipeline give the answer.

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
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 80})

SEEDS = range(1 if os.environ.get("NOTEBOOK_QUICK") else 5)  # the tests take less
X, y = make_friedman1(540, noise=1.0, random_state=0)
X, y = minmax_scale(X), minmax_scale(y)
setting = {"C": 1.0, "epsilon": 0.05, "gamma": 0.3}
once = {**setting, "n_refinements": 0}  # one problem for each fit, as on a quantum annealer


def split(seed, n=40):
    """Return 40 training samples and 300 to test on."""
    order = np.random.default_rng(seed).permutation(len(y))
    train, test = order[:n], order[-300:]
    return X[train], y[train], X[test], y[test]


# %% [markdown]
# ## Energies, as sampled and after polish
#
# One problem of 40 samples at 3 bits, 240 binary variables. `"structured"` is this package's
# annealer, which moves pairs of coefficients; `"sa"` is dwave-samplers' annealer, which flips
# single bits.

# %%
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
figure, panels = plt.subplots(1, 3, figsize=(12, 3.4), sharex=True, layout="constrained")
for ax, (name, model) in zip(panels, fits.items(), strict=True):
    report = SamplerReport.from_info(model.sampler_info_, model.relaxation_bound_)
    SampleEnergyDisplay(report).plot(ax)
    ax.set_title(name)
    ax.set_xlabel("energy above the bound, relative to it")
    ax.get_legend().remove()
panels[0].set_xlim(1e-3, 1e3)
handles = panels[1].get_legend_handles_labels()[0]
labels = ("random bit strings", "as sampled", "after polish")
figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
plt.show()

# %% [markdown]
# As sampled, each annealer is orders of magnitude better than random strings, and the structured
# one is close to the bound. After polish the three can hardly be told apart. Hence a sampler is
# judged by its **raw** energies, and `sampler_report()` says whether they beat random strings:

# %%
report = fits["sa, 50 sweeps"].sampler_report()

# %% [markdown]
# ## And the predictions?
#
# Test R2 over five splits, beside scikit-learn's SVR with the same C, epsilon and gamma. The first
# column is the mean of the fifty lowest raw samples and nothing else, built from the parts of a fit.
# The second is `QSVR`, with polish and with the two other candidates.


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
# Random strings alone predict nothing, and the annealers' raw samples nearly what SVR predicts. As
# fits, all three are alike: the model does not say how good its sampler was, the raw energies do.
#
# ## What averaging distinct solutions adds
#
# A sampler returns many good solutions where a deterministic solver returns one. The coarser the
# levels, the more their mean is worth. `n_solutions` is the most that are averaged: those with which
# the average would train worse are left out.

# %%
counts = (1, 2, 5, 10, 20, 50)


def averaged(bits, count):
    """Return the mean test R2 where `count` solutions are averaged."""
    fixed = {"n_bits": bits, "n_solutions": count, "num_reads": 100, **once}
    return np.mean([fitted(seed, QSVR(random_state=seed, **fixed)) for seed in SEEDS])


figure, ax = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
for bits in (1, 2, 3):
    scores = [averaged(bits, count) for count in counts]
    ax.plot(counts, scores, "o-", label=f"{bits} bit{'s' * (bits > 1)}")
ax.axhline(np.mean(svr), color="0.4", ls="--", lw=1.2, label="SVR")
ax.set(
    xscale="log",
    xticks=counts,
    xticklabels=counts,
    xlabel="distinct solutions averaged, at most",
    ylabel="mean test R2, 5 splits",
)
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# With one bit, a coefficient is either 0 or C, and the mean of fifty such solutions is as good as
# three bits, on a third of the qubits. With three bits little is left to gain, since the best
# solution is within one per cent of the bound.
#
# So annealing gives many distinct good solutions, and their mean predicts better than the lowest one
# where bits are few. At these sizes scikit-learn's SVR is as good: nothing here claims otherwise.
