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
# # QSVR, from the first fit to Leap
#
# `QSVR` is support vector regression whose dual problem is written over bits, so that an annealer
# can solve it. Here it runs on simulated annealing; the last section shows what changes for a
# quantum annealer. scikit-learn's `SVR` stands beside it all the way: it solves the same problem
# exactly.

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

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 80})

# %% [markdown]
# ## A first fit
#
# `QSVR` takes SVR's parameters. Scale features and target, as for any support vector regression. On
# this machine the default solves the problem again in narrower windows where one problem of few bits
# is too coarse (`n_refinements="auto"`), so that the result is that of SVR whatever C is.


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
# ## What the bits do
#
# Each dual coefficient, between 0 and C, is one of $2^{n\_bits}$ levels. On a curve with one input
# the effect can be seen: with one bit a coefficient is 0 or C, with three bits the curve is nearly
# that of SVR. `n_refinements=0` solves one problem only, as a quantum annealer does by default.

# %%
rng = np.random.default_rng(3)
x = np.sort(rng.uniform(-4, 4, 24))
target = np.sinc(x / 1.4) + 0.06 * rng.normal(size=x.size)
grid = np.linspace(-4, 4, 300)
setting = {"C": 1.0, "epsilon": 0.03, "gamma": 1.0}
exact = SVR(**setting).fit(x[:, None], target).predict(grid[:, None])

figure, panels = plt.subplots(1, 3, figsize=(11, 3.3), sharey=True, layout="constrained")
for ax, bits in zip(panels, (1, 2, 3), strict=True):
    model = QSVR(n_bits=bits, n_refinements=0, random_state=0, **setting).fit(x[:, None], target)
    prediction, std = model.predict(grid[:, None], return_std=True)
    gap = (model.energy_ - model.relaxation_bound_) / abs(model.relaxation_bound_)
    ax.fill_between(grid, prediction - std, prediction + std, color="C0", alpha=0.2, lw=0)
    ax.plot(grid, exact, color="0.4", lw=1.2, ls="--", label="SVR")
    ax.plot(grid, prediction, color="C0", lw=2, label="QSVR, one std. deviation")
    ax.plot(x, target, "k.", ms=5)
    ax.set(title=f"{bits} bit{'s' * (bits > 1)}: {gap:.1%} above the bound", xlabel="x")
panels[0].legend(frameon=False, loc="upper right", fontsize=8)
panels[0].set_ylim(-0.65, 1.65)
plt.show()

# %% [markdown]
# The energy of the dual says how good a solve was. `relaxation_bound_` is a lower bound for any
# number of bits, so the gap in the titles is the most that a better sampler or more bits could win.
#
# ## Few qubits, many bits: refinement
#
# Problems with a large C need finer levels. Instead of more bits, refinement solves again in narrower
# windows around the best point: the number of qubits stays the same. By default it ends when training
# is as good as SVR's; a number, here ten rounds, goes on until the optimality conditions hold to
# `tol`, and is what you set on a paid service, where the default is one problem.

# %%
figure, ax = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
for C, colour in ((1.0, "C2"), (3.0, "C0"), (10.0, "C1")):
    refined = QSVR(C=C, epsilon=0.03, gamma=1.0, n_refinements=10, random_state=0)
    refined.fit(x[:, None], target)
    history = refined.sampler_info_["refinement_history"]
    gaps = [100 * each.gap / abs(each.bound) for each in history]
    ax.semilogy(range(len(gaps)), gaps, "o-", ms=4, color=colour, label=f"C = {C:g}")
ax.set(
    xlabel="refinement round",
    ylabel="energy above the bound [%]",
    title=f"3 bits: {refined.sampler_info_['n_variables']} binary variables in every round",
)
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# A round costs one more problem of the same size. Even for C = 10, which is large for targets of this
# scale, three bits come to within a hundredth of a per cent. `refinement_history` also says where the
# best point of each round came from (`source`): for a large C it is often the relaxation to real
# coefficients, around which the windows are then set, and not a sample.

# %% [markdown]
# ## Taking the model elsewhere
#
# `to_svr()` makes a plain scikit-learn `SVR` of the fitted model, with equal predictions. It needs
# no qsvr to be unpickled.

# %%
plain = refined.to_svr()
difference = np.abs(plain.predict(grid[:, None]) - refined.predict(grid[:, None])).max()
print(type(plain).__name__, f"largest difference {difference:.1e}")

# %% [markdown]
# ## On a quantum annealer
#
# Change the sampler's name. The D-Wave client reads its token from `dwave setup` or from the
# environment variable `DWAVE_API_TOKEN`; this package never sees it. `max_access_time` refuses a
# fit whose estimated time on the machine, in seconds, is higher.
#
# Without a token, or unless `QSVR_USE_LEAP=1` says that time may be spent, this cell runs
# dwave-samplers' simulated annealing through the same code path.

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

# %% [markdown]
# Read the row "as sampled": it is what the sampler brought. The row "after polish" is reached from
# random strings as well, as the next notebook shows.
#
# Twenty samples at 3 bits are 120 variables, near what one annealer holds. For more data leave
# `max_variables="auto"` (working sets) or use `QSVREnsemble`, which needs one problem per member.
# Costs, embeddings and chain strength are described on the page about D-Wave Leap.
