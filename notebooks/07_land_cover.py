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
# # Map land cover from few labelled pixels
#
# A satellite image has several spectral bands. A land cover map assigns each pixel to a class, such as
# forest or water. Labels are few, because somebody has to visit the places. There are more than two
# classes, and some are rare. Support vector machines were first trained on quantum annealers in remote
# sensing for this task (Cavallaro et al. 2020, listed among [the papers](../docs/research/papers.md)).
#
# - **You will learn** to classify several classes with `QSVC`, the classifier of this package, and to
#   treat rare classes with class weights.
# - **For** readers with a classification problem with few labels.
# - **Time:** 10 minutes to read, about a minute to run.
# - **Baseline:** scikit-learn's `SVC` with the same parameters.
#
# The scene is simulated: five kinds of cover with their own spectra, mixed pixels at the borders, noise
# and shadow. To use your own image, replace `image` and `cover`.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from scipy.ndimage import gaussian_filter
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from qsvr import QSVC, QSVCEnsemble

QUICK = bool(os.environ.get("NOTEBOOK_QUICK"))  # smaller problems in the tests

# %% tags=["hide-input"]
# Style of the figures.
plt.rcParams.update({
    "figure.dpi": 100, "font.size": 12, "legend.frameon": False,
    "axes.titlesize": 12, "axes.titlelocation": "left",
    "axes.spines.top": False, "axes.spines.right": False,
})  # fmt: skip

# %% [markdown]
# ## The scene
#
# The image has the reflectance in six bands, from blue to short-wave infrared (SWIR). Roads are two
# pixels wide, so that most of their pixels are mixed with the land beside them. The lake is small.

# %% mystnb={"image": {"alt": "The simulated scene in false colours, its true classes, and the spectra of the five classes."}}
NAMES = np.array(["forest", "crops", "soil", "water", "road"])
# Okabe and Ito's colours: readers with any form of colour blindness can tell them apart.
COLOURS = ListedColormap(["#009E73", "#F0E442", "#E69F00", "#0072B2", "#000000"])
BANDS = ["blue", "green", "red", "near IR", "SWIR 1", "SWIR 2"]
SPECTRA = np.array([
    [0.03, 0.06, 0.04, 0.36, 0.17, 0.08],
    [0.05, 0.09, 0.08, 0.33, 0.22, 0.12],
    [0.09, 0.13, 0.18, 0.25, 0.31, 0.27],
    [0.06, 0.05, 0.03, 0.02, 0.01, 0.01],
    [0.10, 0.12, 0.14, 0.18, 0.22, 0.21],
])  # fmt: skip


def scene(size, seed):
    """Return an image (size, size, 6) and the class of each pixel, (size, size)."""
    rng = np.random.default_rng(seed)
    relief = gaussian_filter(rng.normal(size=(3, size, size)), (0, size / 14, size / 14))
    cover = relief.argmax(axis=0)  # forest, crops, soil
    rows, columns = np.mgrid[:size, :size] / size
    cover[(rows - 0.3) ** 2 + 1.6 * (columns - 0.72) ** 2 < 0.011] = 3
    cover[np.abs(rows - 0.62 - 0.08 * np.sin(6 * columns)) < 1.0 / size] = 4
    shares = np.stack([gaussian_filter((cover == c) * 1.0, 0.6) for c in range(5)], axis=-1)
    light = np.exp(gaussian_filter(rng.normal(0, 1.2, (size, size)), 4))[..., None]
    texture = np.exp(rng.normal(0, 0.10, (size, size, 6)))
    return shares @ SPECTRA * light * texture, cover


SIZE = 60 if QUICK else 120
image, cover = scene(SIZE, seed=3)
pixels, labels = image.reshape(-1, 6), NAMES[cover.reshape(-1)]

figure, axes = plt.subplot_mosaic(
    [["image", "truth"], ["spectra", "spectra"]], figsize=(7, 7.2), layout="constrained",
    height_ratios=(3, 3),
)  # fmt: skip
axes["image"].imshow(np.clip(image[..., [3, 2, 1]] / np.quantile(image, 0.98), 0, 1))
axes["image"].set_title("Image: IR, red and green")
axes["truth"].imshow(cover, cmap=COLOURS, interpolation="nearest")
axes["truth"].set_title("True classes")
for name, spectrum, colour, mark in zip(NAMES, SPECTRA, COLOURS.colors, "os^dv", strict=True):
    share = (labels == name).mean()
    axes["spectra"].plot(
        BANDS, spectrum, mark + "-", color=colour, mec="0.3", lw=2.5, label=f"{name}, {share:.1%}"
    )
    print(f"{name:7} {share:6.1%} of the scene")
axes["spectra"].set(ylabel="reflectance", title="Spectra, and shares of the scene", ylim=(0, 0.4))
axes["spectra"].legend(loc="upper left")
for name in ("image", "truth"):
    axes[name].axis("off")
plt.show()

# %% [markdown]
# ## Training data
#
# The training data are about 100 pixels at random, as in a field campaign, with at least three of each
# class. `QSVC` writes the problem of each pair of classes as a *QUBO*, a quadratic function of binary
# variables that an annealer minimises. Five classes are ten pairs. A pixel needs 3 binary variables at 3
# bits, half as many as in regression.


# %%
def campaign(n, seed):
    """Return n pixels at random, at least three of each class."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(pixels), n, replace=False)
    more = [rng.choice(np.flatnonzero(labels == name), 3, replace=False) for name in NAMES]
    return np.unique(np.concatenate([rows[: n - 15], *more]))


train = campaign(100, seed=0)
for name in NAMES:
    print(f"{name:7} {(labels[train] == name).sum():3} pixels")
model = make_pipeline(StandardScaler(), QSVC(C=10, random_state=0)).fit(
    pixels[train], labels[train]
)
print("\nbinary variables of each pair:", [info["n_variables"] for info in model[-1].sampler_info_])

# %% [markdown]
# ## Rare classes
#
# Accuracy is the share of correct pixels. It hardly depends on a class with one per cent of the pixels.
# *Recall* is the share of the pixels of one class that are found, and *balanced accuracy* is the mean
# recall of all classes. `class_weight="balanced"` increases `C`, the upper limit of the coefficients, for
# rare classes. The number of variables does not change.
#
# The table shows means over five random choices of the training pixels, on all other pixels.
# "One vs rest" trains one problem per class instead of one per pair, and "ensemble" averages models of 40
# pixels each.

# %%
MODELS = {
    "SVC": lambda weight: SVC(C=10, class_weight=weight),
    "QSVC": lambda weight: QSVC(C=10, class_weight=weight, random_state=0),
    "one vs rest": lambda weight: QSVC(
        C=10, class_weight=weight, multi_class="ovr", random_state=0
    ),
    "ensemble": lambda weight: QSVCEnsemble(
        QSVC(C=10, class_weight=weight), max_samples=40, random_state=0
    ),
}


def evaluate(make, weight, seeds):
    """Return accuracy, balanced accuracy and recall of road, means over campaigns."""
    scores = []
    for seed in seeds:
        rows = campaign(100, seed)
        others = np.setdiff1d(np.arange(len(pixels)), rows)
        fitted = make_pipeline(StandardScaler(), make(weight)).fit(pixels[rows], labels[rows])
        predicted, truth = fitted.predict(pixels[others]), labels[others]
        road = recall_score(truth, predicted, labels=["road"], average=None)[0]
        scores.append(
            [(predicted == truth).mean(), balanced_accuracy_score(truth, predicted), road]
        )
    return np.mean(scores, axis=0)


print(f"{'':12} {'class_weight':>12} {'accuracy':>9} {'balanced':>9} {'road':>6}")
for name, make in MODELS.items():
    for weight in (None, "balanced"):
        found = evaluate(make, weight, range(1 if QUICK else 5))
        print(f"{name:12} {weight!s:>12} {found[0]:9.3f} {found[1]:9.3f} {found[2]:6.2f}")

# %% [markdown]
# `QSVC` and `SVC` have nearly the same scores. For both, the weights increase the recall of road and the
# balanced accuracy, and decrease the accuracy slightly.
#
# ## The map
#
# The matrix below the map shows, for each true class, the shares of its pixels that are mapped to each
# class. Its diagonal holds the recalls.

# %% mystnb={"image": {"alt": "The true classes beside the map from about 100 pixels, and the confusion matrix. Most pixels are mapped to their true class; road is the hardest."}}
best = make_pipeline(StandardScaler(), QSVC(C=10, class_weight="balanced", random_state=0))
mapped = best.fit(pixels[train], labels[train]).predict(pixels)
codes = np.argmax(mapped[:, None] == NAMES, axis=1).reshape(cover.shape)
shares = confusion_matrix(labels, mapped, labels=NAMES, normalize="true")

figure, axes = plt.subplot_mosaic(
    [["truth", "map"], ["matrix", "matrix"]], figsize=(7, 8), layout="constrained",
    height_ratios=(3, 4),
)  # fmt: skip
axes["truth"].imshow(cover, cmap=COLOURS, interpolation="nearest")
axes["truth"].set_title("True classes")
axes["map"].imshow(codes, cmap=COLOURS, interpolation="nearest")
axes["map"].set_title(f"Map from {len(train)} pixels")
axes["matrix"].imshow(shares, cmap="Blues", vmin=0, vmax=1)
for (row, column), share in np.ndenumerate(shares):
    ink = "white" if share > 0.5 else "black"
    axes["matrix"].text(column, row, f"{share:.2f}", ha="center", va="center", color=ink)
axes["matrix"].set(
    xticks=range(5), xticklabels=NAMES, yticks=range(5), yticklabels=NAMES, xlabel="mapped class",
    ylabel="true class", title="Share of each true class",
)  # fmt: skip
for name in ("truth", "map"):
    axes[name].axis("off")
plt.show()

# %% [markdown]
# ## Quality of the samples
#
# `sampler_report` takes the number of a pair and compares the energies that the annealer found with those
# of random bit strings. To run the same model on a quantum annealer, use
# `QSVC(sampler="qpu", sampler_options={"max_access_time": 2})`. The access time of all ten pairs is
# estimated and compared with the limit, in seconds, before anything is submitted.
# [Classification](../docs/guide/classification.md) describes all settings.

# %%
report = best[-1].sampler_report(0)
