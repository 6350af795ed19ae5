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
# Three things happen between a sampler and a prediction: bit strings are drawn, they are *polished*
# (descent by changes of one coefficient and of pairs), and the best distinct ones are averaged. How
# much of the result comes from which? Uniformly random bit strings through the same pipeline give
# the answer.

# %%
import os
import warnings

import matplotlib.pyplot as plt
import numpy as np
from dwave.samplers import RandomSampler
from sklearn.datasets import make_friedman1
from sklearn.metrics import r2_score
from sklearn.preprocessing import minmax_scale
from sklearn.svm import SVR

from qsvr import QSVR, CoarseEncodingWarning, SampleEnergyDisplay, SamplerReport

warnings.simplefilter("ignore", CoarseEncodingWarning)  # random strings are far from the bound
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 80})

SEEDS = range(1 if os.environ.get("NOTEBOOK_QUICK") else 5)  # the tests take less
X, y = make_friedman1(540, noise=1.0, random_state=0)
X, y = minmax_scale(X), minmax_scale(y)
setting = {"C": 1.0, "epsilon": 0.05, "gamma": 0.3}


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
    "random strings": {"sampler": RandomSampler()},
    "sa, 50 sweeps": {"sampler": "sa", "sampler_options": {"num_sweeps": 50}},
    "structured": {"sampler": "structured"},
}
X_train, y_train, X_test, y_test = split(0)
fits = {
    name: QSVR(num_reads=100, random_state=0, **options, **setting).fit(X_train, y_train)
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
# Test R2 over five splits, with and without polish, beside scikit-learn's SVR with the same C,
# epsilon and gamma.


# %%
def mean_r2(make):
    """Return mean and standard deviation of the test R2 over splits."""
    scores = []
    for seed in SEEDS:
        X_train, y_train, X_test, y_test = split(seed)
        scores.append(r2_score(y_test, make(seed).fit(X_train, y_train).predict(X_test)))
    return np.mean(scores), np.std(scores)


print(f"{'':16} {'raw samples':>16} {'polished':>16}")
for name, options in samplers.items():
    cells = []
    for polish in (False, True):
        mean, std = mean_r2(
            lambda seed, options=options, polish=polish: QSVR(
                num_reads=100, polish=polish, random_state=seed, **options, **setting
            )
        )
        cells.append(f"{mean:8.3f} +- {std:.3f}")
    print(f"{name:16} {cells[0]:>16} {cells[1]:>16}")
mean, std = mean_r2(lambda seed: SVR(**setting))
print(f"{'SVR':16} {'':>16} {f'{mean:.3f} +- {std:.3f}':>16}")

# %% [markdown]
# ## What averaging distinct solutions adds
#
# A sampler returns many good solutions where a deterministic solver returns one. The coarser the
# levels, the more their mean is worth.

# %%
counts = (1, 2, 5, 10, 20, 50)


def averaged(bits, count):
    """Return the mean test R2 where `count` solutions are averaged."""
    fixed = {"n_bits": bits, "n_solutions": count, "num_reads": 100, **setting}
    return mean_r2(lambda seed: QSVR(random_state=seed, **fixed))[0]


figure, ax = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
for bits in (1, 2, 3):
    scores = [averaged(bits, count) for count in counts]
    ax.plot(counts, scores, "o-", label=f"{bits} bit{'s' * (bits > 1)}")
ax.axhline(mean_r2(lambda seed: SVR(**setting))[0], color="0.4", ls="--", lw=1.2, label="SVR")
ax.set(
    xscale="log",
    xticks=counts,
    xticklabels=counts,
    xlabel="distinct solutions averaged",
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
