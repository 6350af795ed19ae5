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
# # Estimate chlorophyll from the colour of water
#
# Satellites measure the light that the sea reflects in a few spectral bands. From it, the concentration
# of chlorophyll, and thus of algae, can be estimated by regression. Training samples are few and
# expensive, because a ship has to take a water sample while the satellite passes. QSVR was first
# published for this application (Pasetto et al. 2022, listed among
# [the papers](../docs/research/papers.md)).
#
# - **You will learn** to put `QSVR` into a scikit-learn pipeline with a transformed target, and to fit
#   more samples than one annealer can hold.
# - **For** readers with a regression problem with few samples.
# - **Time:** 10 minutes to read, about a minute to run.
# - **Baselines:** scikit-learn's `SVR` with the same parameters, and the classical band-ratio polynomial
#   of ocean colour.
#
# A small optical model simulates the data. To use your own data, replace `X` and `y`.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures, StandardScaler
from sklearn.svm import SVR

from qsvr import QSVR, QSVREnsemble

QUICK = bool(os.environ.get("NOTEBOOK_QUICK"))  # smaller problems in the tests

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
# ## The data
#
# The reflectance is $g_0 u + g_1 u^2$ with $u = b_b / (a + b_b)$ (Gordon et al. 1988). Here $a$ is the
# absorption by water, algae and dissolved matter, and $b_b$ is the backscattering. The coefficients are
# similar to those measured in the ocean. Dissolved matter and particles also vary independently of
# chlorophyll, by a factor of two, and the instrument adds noise of five per cent.

# %% mystnb={"image": {"alt": "Top: 80 simulated reflectance spectra coloured by chlorophyll. Bottom: chlorophyll against the blue to green ratio, a falling cloud of points."}}
BANDS = np.array([412, 443, 490, 510, 555, 670])  # nm
WATER = np.array([0.0046, 0.0071, 0.0150, 0.0325, 0.0596, 0.4390])  # absorption, 1/m
ALGAE = np.array([0.0323, 0.0403, 0.0274, 0.0180, 0.0070, 0.0189])  # of 1 mg/m3
POWER = np.array([0.71, 0.67, 0.64, 0.74, 0.97, 0.85])


def simulate(n_samples, seed):
    """Return reflectances, shape (n_samples, 6), and chlorophyll in mg/m3."""
    rng = np.random.default_rng(seed)
    chlorophyll = 10 ** rng.uniform(-1.3, 1.4, n_samples)
    other, particles = np.exp(rng.normal(0, 0.7, (2, n_samples, 1)))
    algae = ALGAE * chlorophyll[:, None] ** POWER
    dissolved = 0.03 * other * chlorophyll[:, None] ** 0.6 * np.exp(-0.015 * (BANDS - 443))
    water = 0.0024 * (443 / BANDS) ** 4.3
    back = water + 0.0025 * particles * chlorophyll[:, None] ** 0.6 * (555 / BANDS)
    u = back / (WATER + algae + dissolved + back)
    reflectance = 0.0949 * u + 0.0794 * u**2
    return reflectance * np.exp(rng.normal(0, 0.05, u.shape)), chlorophyll


X, y = simulate(400, seed=0)
X_test, y_test = simulate(300, seed=1)

figure, (top, bottom) = plt.subplots(2, 1, figsize=(7, 8), layout="constrained")
level = plt.Normalize(-1.3, 1.4)
for spectrum, chlorophyll in zip(X[:80], y[:80], strict=True):
    top.plot(BANDS, spectrum, color=plt.colormaps["viridis"](level(np.log10(chlorophyll))), lw=1)
top.set(
    yscale="log", xticks=BANDS, xlabel="wavelength [nm]", ylabel="reflectance [1/sr]",
    title="80 spectra",
)  # fmt: skip
top.set_xticklabels(BANDS, rotation=45)
bar = figure.colorbar(
    plt.cm.ScalarMappable(level, "viridis"), ax=top, label="chlorophyll [mg/m$^3$]"
)
bar.set_ticks([-1, 0, 1], labels=["0.1", "1", "10"])
ratio = X[:, 1:4].max(axis=1) / X[:, 4]
bottom.loglog(ratio, y, ".", ms=6)
bottom.set(
    xlabel="blue to green ratio of the reflectance", ylabel="chlorophyll [mg/m$^3$]",
    title="The input of the classical algorithm", yticks=(0.1, 1, 10), yticklabels=("0.1", "1", "10"),
    xticks=(0.5, 1, 2, 5), xticklabels=("0.5", "1", "2", "5"),
)  # fmt: skip
bottom.minorticks_off()
plt.show()

# %% [markdown]
# ## The models
#
# The concentrations span nearly three decades. Therefore the models predict the logarithm of
# chlorophyll from the logarithms of the reflectances. `TransformedTargetRegressor` transforms the target
# and transforms the predictions back.

# %%
SETTING = {"C": 3.0, "epsilon": 0.05, "gamma": 0.03}


def on_logarithms(regressor):
    """Predict the logarithm of the target from scaled logarithms of the features."""
    features = make_pipeline(FunctionTransformer(np.log10), StandardScaler(), regressor)
    return TransformedTargetRegressor(
        features, func=np.log10, inverse_func=lambda z: 10**z, check_inverse=False
    )


def band_ratio():
    """Return the classical algorithm: a quartic in the logarithm of the blue to green ratio."""
    features = make_pipeline(
        FunctionTransformer(lambda X: np.log10(X[:, 1:4].max(axis=1) / X[:, 4])[:, None]),
        PolynomialFeatures(4),
        LinearRegression(),
    )
    return TransformedTargetRegressor(
        features, func=np.log10, inverse_func=lambda z: 10**z, check_inverse=False
    )


MODELS = {
    "band ratio": lambda seed: band_ratio(),
    "SVR": lambda seed: on_logarithms(SVR(**SETTING)),
    "QSVR, 3 bits": lambda seed: on_logarithms(QSVR(**SETTING, random_state=seed)),
    "QSVR ensemble of 20s": lambda seed: on_logarithms(
        QSVREnsemble(QSVR(**SETTING), max_samples=20, random_state=seed)
    ),
}


def score(model, rows):
    """Return R2 of log10(chlorophyll) on the test data."""
    predicted = model.fit(X[rows], y[rows]).predict(X_test)
    return r2_score(np.log10(y_test), np.log10(predicted))


# %% [markdown]
# ## Twenty samples, as many as one annealer can hold
#
# Regression needs two coefficients per sample. With 3 bits for each, 20 samples are 120 binary
# variables, which is close to what a D-Wave annealer can hold. The table shows the median and the range
# of R<sup>2</sup> over ten random choices of the 20 samples. The median is shown because the polynomial
# extrapolates badly for some of them.

# %%
draws = [
    np.random.default_rng(seed).choice(400, 20, replace=False) for seed in range(2 if QUICK else 10)
]
for name, make in MODELS.items():
    if "ensemble" in name:
        continue
    scores = [score(make(seed), rows) for seed, rows in enumerate(draws)]
    worst, middle, best = np.quantile(scores, [0, 0.5, 1])
    print(f"{name:14} median R2 = {middle:.3f}  ({worst:.3f} to {best:.3f})")

# %% [markdown]
# ## More samples than one annealer can hold
#
# There are two ways. `QSVR` trains one model on all samples by *working sets*: it solves the problem for
# a part of the coefficients at a time. `QSVREnsemble` trains many models of 20 samples each and averages
# their predictions.

# %% mystnb={"image": {"alt": "R2 against the number of training samples for the band ratio, SVR, QSVR and an ensemble. QSVR and SVR coincide and rise highest."}}
sizes = (20, 40) if QUICK else (20, 40, 80, 160, 320)
figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
print("training samples    " + "".join(f"{size:>8}" for size in sizes))
for (name, make), style in zip(MODELS.items(), ("s:", "d--", "o-", "^-"), strict=True):
    means = []
    for size in sizes:
        rows = [np.random.default_rng([size, seed]).permutation(400)[:size] for seed in range(3)]
        means.append(np.mean([score(make(seed), each) for seed, each in enumerate(rows)]))
    print(f"{name:20}" + "".join(f"{mean:8.3f}" for mean in means))
    size = 13 if name == "SVR" else 6  # its marks are below those of QSVR
    ax.plot(sizes, means, style, ms=size, mfc="none" if name == "SVR" else None, label=name)
ax.set(
    xscale="log", xticks=sizes, xticklabels=sizes, xlabel="training samples", ylim=(0.75, 1),
    ylabel="R$^2$ of log10(chlorophyll), mean of 3",
)  # fmt: skip
ax.minorticks_off()
ax.legend(loc="lower right")
plt.show()

# %% [markdown]
# `QSVR` agrees with `SVR` at every size, because it solves the same problem. With more samples both are
# better than the band ratio, since they use all six bands. The ensemble gains little beyond what 20
# samples allow: its members are small enough for an annealer, but none of them sees more than 20
# samples. Working sets do not have this limit.
#
# The last figure compares predictions of `QSVR` with the true concentrations of the test data.

# %% mystnb={"image": {"alt": "Predicted against true chlorophyll on logarithmic axes. The points lie along the diagonal, more than half of them in the band of 35 per cent."}}
model = on_logarithms(QSVR(**SETTING, random_state=0)).fit(X[:160], y[:160])
predicted = model.predict(X_test)
figure, ax = plt.subplots(figsize=(6, 5.5), layout="constrained")
ends = np.array([0.04, 30])
ax.fill_between(ends, ends / 1.35, ends * 1.35, color="C4", alpha=0.3, lw=0)
ax.loglog(ends, ends, color="0.4", lw=1)
ax.loglog(y_test, predicted, ".", ms=6)
ax.text(0.05, 12, "band: within 35% of the truth")
ax.set(
    xlabel="true chlorophyll [mg/m$^3$]", ylabel="predicted chlorophyll [mg/m$^3$]", xlim=ends,
    ylim=ends, title="QSVR, 160 training samples, 300 test samples", aspect="equal",
    xticks=(0.1, 1, 10), xticklabels=("0.1", "1", "10"),
    yticks=(0.1, 1, 10), yticklabels=("0.1", "1", "10"),
)  # fmt: skip
plt.show()

within = np.mean(np.abs(np.log10(predicted / y_test)) < np.log10(1.35))
print(f"predictions within 35% of the truth: {within:.0%}")
