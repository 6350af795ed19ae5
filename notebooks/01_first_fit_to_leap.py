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
# # Fit QSVR, improve the fit, and run it on a quantum annealer
#
# `QSVR` is support vector regression that an annealer solves. An *annealer* is a device or a program
# that looks for bit strings of low energy. It can be a quantum computer of D-Wave or, as in most of
# this notebook, simulated annealing on your own machine.
#
# - **You will learn** to fit `QSVR`, to see how good a fit is, to improve it by refinement, to convert
#   it to a scikit-learn model, and to run it on D-Wave Leap.
# - **For** readers who know scikit-learn. No knowledge of quantum computing is needed, and no account.
# - **Time:** 15 minutes to read, less than a minute to run.
# - **Baseline:** scikit-learn's `SVR`, which solves the same problem exactly.
#
# All terms are defined in the [glossary](../docs/start/glossary.md).

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from qsvr import QSVR

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
# ## A first fit
#
# `QSVR` has the parameters of `SVR`: `C`, `epsilon` and the kernel. It needs scaled features and a
# scaled target, as any support vector regression does. `n_bits` is the number of bits in which each
# coefficient of the model is written. The table shows the coefficient of determination
# (R<sup>2</sup>, 1 is perfect) in three-fold cross-validation on 300 patients of the diabetes data.


# %%
def scaled(regressor):
    """Scale features and target to unit variance around a regressor."""
    pipeline = make_pipeline(StandardScaler(), regressor)
    return TransformedTargetRegressor(pipeline, transformer=StandardScaler())


X, y = load_diabetes(return_X_y=True)
X, y = X[:300], y[:300]
models = {
    "scikit-learn SVR": SVR(),
    "QSVR, 3 bits": QSVR(random_state=0),
    "QSVR, 8 bits": QSVR(n_bits=8, random_state=0),
}
for name, model in models.items():
    scores = cross_val_score(scaled(model), X, y, cv=3)
    print(f"{name:17} R2 = {scores.mean():.3f}")

# %% [markdown]
# The three models agree. On your own machine `QSVR` solves further, finer problems if one problem of
# few bits is too coarse (`n_refinements="auto"`), so that the result is close to that of `SVR` for any
# `C`.
#
# ## What the bits do
#
# Support vector regression has one coefficient per sample and sign, between 0 and `C`. With `n_bits`
# bits a coefficient takes one of $2^{n\_bits}$ levels: with one bit it is either 0 or `C`. The problem
# over bits is a *QUBO*, a quadratic function of binary variables that the annealer minimises. Its value
# is called *energy*.
#
# The next figure fits a curve with one input. `n_refinements=0` solves one QUBO only, as a quantum
# annealer does by default.

# %% mystnb={"image": {"alt": "Three panels with data points, the curve of SVR and the curve of QSVR with 1, 2 and 3 bits. The curve with 1 bit is rough, that with 3 bits lies on the curve of SVR."}}
rng = np.random.default_rng(3)
x = np.sort(rng.uniform(-4, 4, 24))
target = np.sinc(x / 1.4) + 0.06 * rng.normal(size=x.size)
grid = np.linspace(-4, 4, 300)
setting = {"C": 1.0, "epsilon": 0.03, "gamma": 1.0}
exact = SVR(**setting).fit(x[:, None], target).predict(grid[:, None])

figure, panels = plt.subplots(
    3, 1, figsize=(7, 7.5), sharex=True, sharey=True, layout="constrained"
)
for ax, bits in zip(panels, (1, 2, 3), strict=True):
    model = QSVR(n_bits=bits, n_refinements=0, random_state=0, **setting).fit(x[:, None], target)
    prediction, std = model.predict(grid[:, None], return_std=True)
    gap = (model.energy_ - model.relaxation_bound_) / abs(model.relaxation_bound_)
    ax.fill_between(grid, prediction - std, prediction + std, color="C0", alpha=0.2, lw=0)
    ax.plot(grid, prediction, color="C0", lw=2.5)
    ax.plot(grid, exact, color="C1", lw=1.5, ls="--")
    ax.plot(x, target, "k.", ms=6)
    ax.set(
        title=f"{bits} bit{'s' * (bits > 1)}: energy {gap:.1%} above the bound", ylabel="target",
        ylim=(-0.7, 1.5), yticks=(-0.5, 0, 0.5, 1), xticks=range(-4, 5, 2),
    )  # fmt: skip
panels[0].text(1.5, 1.15, "QSVR and one\nstandard deviation", color="C0", va="center")
panels[0].text(-3.9, 1.15, "scikit-learn SVR\n(dashed)", color="C1", va="center")
panels[-1].set_xlabel("input x")
plt.show()

# %% [markdown]
# The titles show how good each solve was. `energy_` is the energy of the model, and
# `relaxation_bound_` is a lower bound of the energy for any number of bits. The difference, the *gap*,
# is the most that a better sampler or more bits could gain.
#
# ## Refinement: finer coefficients with the same number of bits
#
# A problem with a large `C` needs finer levels. More bits would need more qubits. *Refinement* keeps
# the number of bits: it solves again with the levels in a narrower window around the best solution so
# far. By default it ends when the training error is as low as that of `SVR`. With a number, here ten
# rounds, it ends earlier only when the conditions of an exact solution hold to the tolerance `tol`. On
# a paid service the default is no refinement, since each round is one more problem.

# %% mystnb={"image": {"alt": "Gap to the bound in per cent after each refinement round, on a logarithmic axis, for C of 1, 3 and 10. All three fall by orders of magnitude."}}
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for number, C in enumerate((1.0, 3.0, 10.0)):
    refined = QSVR(C=C, epsilon=0.03, gamma=1.0, n_refinements=10, random_state=0)
    refined.fit(x[:, None], target)
    history = refined.sampler_info_["refinement_history"]
    gaps = [100 * each.gap / abs(each.bound) for each in history]
    ax.semilogy(range(len(gaps)), gaps, "o-", ms=5, color=f"C{number}")
    ax.annotate(
        f"C = {C:g}", (len(gaps) - 1, gaps[-1]), (0, -17), textcoords="offset points",
        color=f"C{number}", ha="center",
    )  # fmt: skip
    print(
        f"C = {C:<4g} gap {gaps[0]:8.3f} % at first, {gaps[-1]:.5f} % after {len(gaps) - 1} rounds"
    )
n_variables = refined.sampler_info_["n_variables"]
ax.set(
    xlabel="refinement round", ylabel="energy above the bound [%]", xlim=(-0.3, 10.8), ylim=(1e-5, 10),
    title=f"3 bits: {n_variables} binary variables in every round", xticks=range(0, 11, 2),
)  # fmt: skip
plt.show()

# %% [markdown]
# Refinement makes the gap small for each `C`, also for 10, which is large for a target of this scale.
# `refinement_history` also records where the best point of each round came from (`source`). For a large
# `C` that is often the *relaxation*, the solution with real coefficients instead of bits, and not a
# sample of the annealer. [Choosing settings](../docs/guide/choosing.md) compares bits and rounds.
#
# ## Convert the model to scikit-learn's SVR
#
# `to_svr()` returns a plain scikit-learn `SVR` with the same predictions. It can be unpickled where
# `qsvr` is not installed.

# %%
plain = refined.to_svr()
difference = np.abs(plain.predict(grid[:, None]) - refined.predict(grid[:, None])).max()
print(type(plain).__name__, f"largest difference {difference:.1e}")

# %% [markdown]
# ## Run on a quantum annealer
#
# Only the sampler's name changes: `sampler="qpu"`. The D-Wave client reads its token from
# `dwave setup` or from the environment variable `DWAVE_API_TOKEN`; `qsvr` never reads the
# token. `max_access_time` refuses a fit whose estimated time on the machine, in seconds, is higher.
#
# The cell below uses D-Wave only if the environment variable `QSVR_USE_LEAP` is 1. Otherwise it runs
# the simulated annealing of the package dwave-samplers through the same code.

# %%
if os.environ.get("QSVR_USE_LEAP") == "1":
    where = {
        "sampler": "qpu",
        "num_reads": 500,
        "sampler_options": {"annealing_time": 50, "max_access_time": 1.0},
    }
else:
    where = {"sampler": "sa", "num_reads": 100, "sampler_options": {"num_sweeps": 200}}

annealed = QSVR(n_bits=3, n_refinements=0, random_state=0, **setting, **where)
report = annealed.fit(x[:20, None], target[:20]).sampler_report()
print(f"\n20 samples are {annealed.sampler_info_['n_variables']} binary variables")

# %% [markdown]
# Read the row "as sampled": it describes what the annealer itself found. The row "after polish" comes
# after a local search, which reaches similar energies from random bit strings, as
# [the next notebook](02_what_annealing_adds.ipynb) shows.
#
# These 20 samples take close to the number of variables that one annealer can hold. For more data, keep
# `max_variables="auto"`, which solves the problem in parts (*working sets*), or use `QSVREnsemble`,
# which solves one problem per member. [D-Wave Leap](../docs/guide/leap.md) describes accounts, prices,
# embeddings and the chain strength.
