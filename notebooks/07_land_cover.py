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
# # Land cover: a map from few labelled pixels
#
# Classification of a multispectral image is the application for which support vector machines were
# first trained on quantum annealers in remote sensing (Cavallaro et al. 2020). Labels are few, since
# somebody has to go there; classes are more than two, and some of them are rare. Here the scene is
# simulated: five kinds of cover with spectra of their own, mixed pixels at the borders, noise, and
# shadow. Put your own image in its place.

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

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 80})

QUICK = bool(os.environ.get("NOTEBOOK_QUICK"))  # the tests take less

# %% [markdown]
# ## The scene
#
# Reflectance in six bands from blue to short-wave infrared. Roads are two pixels wide, so that most
# of their pixels are mixed with what lies beside them, and the lake is small.

# %%
NAMES = np.array(["forest", "crops", "soil", "water", "road"])
COLOURS = ListedColormap(["#1b5e20", "#9ccc65", "#c8a165", "#1565c0", "#616161"])
BANDS = ["blue", "green", "red", "near infrared", "SWIR 1", "SWIR 2"]
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

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
left.imshow(np.clip(image[..., [3, 2, 1]] / np.quantile(image, 0.98), 0, 1))
left.set_title("infrared, red and green as colours")
middle.imshow(cover, cmap=COLOURS, interpolation="nearest")
middle.set_title("truth")
for name, spectrum, colour in zip(NAMES, SPECTRA, COLOURS.colors, strict=True):
    share = (labels == name).mean()
    right.plot(BANDS, spectrum, color=colour, label=f"{name}, {share:.1%}")
right.tick_params(axis="x", rotation=30)
right.set(ylabel="reflectance", title="spectra, and shares of the scene")
right.legend(frameon=False)
for axes in (left, middle):
    axes.axis("off")
plt.show()

# %% [markdown]
# ## Training data
#
# 100 pixels at random, as a field campaign would find them: road and water are a few of them. At 3
# bits a pixel takes 3 binary variables, half of what regression takes. Five classes are ten pairs,
# each a QUBO of the pixels of two classes.


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
print("variables of each pair:", [info["n_variables"] for info in model[-1].sampler_info_])

# %% [markdown]
# ## Imbalance
#
# The accuracy of a map says little about a class of one per cent. `class_weight="balanced"` raises C
# for the rare classes: their boxes grow, and the number of variables stays. The yardstick is the mean
# of the classes' recalls, on all pixels of the scene that are not trained on.

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
# QSVC is SVC, within what a campaign changes. The weights bring the rare classes back at some cost in
# the common ones, in both.

# %% [markdown]
# ## The map
#
# With its confusion matrix, by rows of the truth.

# %%
best = make_pipeline(StandardScaler(), QSVC(C=10, class_weight="balanced", random_state=0))
mapped = best.fit(pixels[train], labels[train]).predict(pixels)
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
left.imshow(cover, cmap=COLOURS, interpolation="nearest")
left.set_title("truth")
codes = np.argmax(mapped[:, None] == NAMES, axis=1).reshape(cover.shape)
middle.imshow(codes, cmap=COLOURS, interpolation="nearest")
middle.set_title(f"map from {len(train)} pixels")
shares = confusion_matrix(labels, mapped, labels=NAMES, normalize="true")
right.imshow(shares, cmap="Greens", vmin=0, vmax=1)
for i in range(5):
    for j in range(5):
        right.text(j, i, f"{shares[i, j]:.2f}", ha="center", va="center", fontsize=9)
right.set_xticks(range(5), NAMES, rotation=30)
right.set_yticks(range(5), NAMES)
right.set_title("what became of each class")
for axes in (left, middle):
    axes.axis("off")
plt.show()

# %% [markdown]
# ## How good were the samples?
#
# Each pair is a QUBO of its own; the report takes its number. On a quantum annealer the same model is
# `QSVC(sampler="qpu", sampler_options={"max_access_time": 2})`: the access time of all ten pairs is
# estimated, and compared with the limit, before anything is submitted.

# %%
report = best[-1].sampler_report(0)
