"""Figures in scikit-learn's style: a ``Display`` holds what it draws.

matplotlib is an optional dependency: ``pip install ".[plot]"``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from qsvr._text import install_hint
from qsvr._text import label as shown
from qsvr.inspection.report import SamplerReport

__all__ = ["SampleEnergyDisplay"]

_LOOKS: tuple[dict[str, Any], ...] = (
    {"facecolor": "#DDDDDD", "edgecolor": "#777777", "histtype": "stepfilled", "linewidth": 1.2},
    {"facecolor": "#56B4E9", "edgecolor": "#0072B2", "histtype": "stepfilled", "alpha": 0.75},
    {"facecolor": "#E69F00", "edgecolor": "#7F5800", "histtype": "stepfilled", "alpha": 0.75},
)
"""Random, as sampled, after polish: colours of Okabe and Ito, also apart in greyscale."""


@dataclass(eq=False)
class SampleEnergyDisplay:
    """Energies of a sampler's reads against the best possible and against random bit strings.

    Parameters
    ----------
    report : SamplerReport
        Report of a fit, as `QSVR.sampler_report` returns it.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What was drawn on, after `plot`.

    See Also
    --------
    QSVR.sampler_report : The same comparison as a table.
    SamplerReport : Its figures.

    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> from qsvr import QSVR, SampleEnergyDisplay
    >>> X, y = make_friedman1(30, random_state=0)
    >>> report = QSVR(random_state=0).fit(X, y).sampler_report()  # doctest: +ELLIPSIS
    Samples of structured: 64 reads; ...
    >>> display = SampleEnergyDisplay(report).plot()
    >>> display.ax_.get_ylabel()
    'reads'
    """

    report: SamplerReport

    def plot(self, ax: Any = None) -> Self:
        """Draw the distribution of the gap to the bound, on a logarithmic axis.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            A new figure by default.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        if ax is None:
            try:
                from matplotlib import pyplot as plt
            except ImportError as error:
                raise ImportError(
                    f"figures need matplotlib, which is not installed: {install_hint('plot')}"
                ) from error
            ax = plt.subplots(figsize=(6.4, 4.4), layout="constrained")[1]
        report, scale = self.report, abs(self.report.bound) or 1.0
        energies = {
            "random bit strings": report.random_energies,
            f"{report.sampler}, as sampled": report.raw_energies,
            "after polish": report.polished_energies,
        }
        gaps = [np.maximum((each - report.bound) / scale, 1e-9) for each in energies.values()]
        every = np.concatenate(gaps)
        edges = np.geomspace(every.min() * 0.9, every.max() * 1.1, 60)
        for name, gap, look in zip(energies, gaps, _LOOKS, strict=True):
            ax.hist(gap, edges, **look, label=f"{shown(name)}: median {np.median(gap):.2g}")
            ax.axvline(np.median(gap), color=look["edgecolor"], linewidth=1.0, linestyle="--")
        title = f"Samples {report.finding} (p = {report.p_value:.1g})"
        if report.chain_break_fraction is not None:
            title += f"\n{report.chain_break_fraction:.0%} of chains broken"
        ax.set(
            xscale="log",
            xlabel="gap to the lower bound, (energy − bound) / |bound|",
            ylabel="reads",
        )
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        legend = ax.legend(
            loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2, frameon=False
        )
        ax.set_title(title, pad=8 + 1.65 * 3 * legend.get_texts()[0].get_fontsize())
        self.ax_ = ax
        return self
