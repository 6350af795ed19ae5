"""Draw an epsilon tube: QSVR and scikit-learn's SVR on data with one input.

Support vector regression puts a tube of half-width epsilon around its curve. Samples inside the
tube cost nothing. Those on its edge or outside are the support vectors: they alone determine the
curve. QSVR solves the same problem over bits, 3 for each coefficient here, so that its support
vectors lie close to the edge instead of exactly on it. It also returns a standard deviation with
each prediction::

    python docs/pictures/tube.py
"""

from __future__ import annotations

from typing import Any

import numpy as np
import style
from numpy.typing import NDArray
from sklearn.svm import SVR

from qsvr import QSVR

SETTING: dict[str, Any] = {"C": 1.0, "epsilon": 0.15, "gamma": 1.0}
Array = NDArray[np.float64]


def data() -> tuple[Array, Array]:
    """Return 30 samples of a wave with noise."""
    rng = np.random.default_rng(7)
    x = np.sort(rng.uniform(0, 6, 30))
    return x, np.sin(1.6 * x) + 0.15 * rng.normal(size=x.size)


def draw_tube(ax: Any, grid: Array, curve: Array) -> None:
    """Draw the tube around a curve and the curve."""
    epsilon = SETTING["epsilon"]
    ax.fill_between(grid, curve - epsilon, curve + epsilon, color=style.ORANGE, alpha=0.25, lw=0)
    for sign in (-1, 1):
        ax.plot(grid, curve + sign * epsilon, color=style.ORANGE, lw=1)
    ax.plot(grid, curve, color=style.BLUE, lw=2.2)


def draw_samples(ax: Any, x: Array, y: Array, support: Any) -> None:
    """Draw the samples; support vectors have a ring."""
    ax.plot(x, y, "o", color="black", ms=4.5)
    ax.plot(x[support], y[support], "o", mfc="none", mec=style.RED, mew=1.6, ms=10)


def point_at(ax: Any, text: str, target: tuple[float, float], where: tuple[float, float]) -> None:
    """Write a text and draw a line from it to what it names."""
    line = {"arrowstyle": "-", "color": style.GREY, "shrinkA": 2, "shrinkB": 5}
    ax.annotate(text, target, where, ha="left", va="center", arrowprops=line)


def main() -> None:
    """Draw the picture."""
    plt = style.use()
    x, y = data()
    grid = np.linspace(-0.1, 6.1, 400)
    model = QSVR(n_bits=3, n_refinements=0, random_state=0, **SETTING).fit(x[:, None], y)
    exact = SVR(**SETTING).fit(x[:, None], y)
    mean, std = model.predict(grid[:, None], return_std=True)

    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(style.WIDTH, 7.2), sharex=True, sharey=True, layout="constrained"
    )
    for sign in (-1, 1):
        top.plot(grid, mean + sign * std, color=style.BLUE, lw=1.2, ls=(0, (4, 2)))
    draw_tube(top, grid, mean)
    draw_samples(top, x, y, model.support_)
    draw_tube(bottom, grid, exact.predict(grid[:, None]))
    draw_samples(bottom, x, y, exact.support_)
    point_at(top, "prediction and one\nstandard deviation", (2.5, -0.50), (2.35, 1.15))
    point_at(top, "support vector", (3.09, -1.21), (3.7, -1.3))
    point_at(bottom, "tube, epsilon = 0.15\non each side", (2.15, -0.15), (2.35, 1.15))
    point_at(bottom, "inside the tube:\nno support vector", (3.32, -0.70), (3.75, -1.15))
    top.set_title(f"QSVR, 3 bits: {len(model.support_)} support vectors")
    bottom.set_title(f"scikit-learn SVR: {len(exact.support_)} support vectors")
    for ax in (top, bottom):
        ax.set(ylabel="target y", xlim=(-0.1, 6.1), xticks=range(7), yticks=(-1, 0, 1))
    bottom.set_xlabel("input x")
    style.save(figure, "tube.png")


if __name__ == "__main__":
    main()
