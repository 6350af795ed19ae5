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
            ax = plt.subplots(figsize=(7, 4), layout="constrained")[1]
        report, scale = self.report, abs(self.report.bound) or 1.0
        energies = {
            "random bit strings": report.random_energies,
            shown(f"{report.sampler}, as sampled"): report.raw_energies,
            "after polish": report.polished_energies,
        }
        gaps = [np.maximum((each - report.bound) / scale, 1e-9) for each in energies.values()]
        every = np.concatenate(gaps)
        edges = np.geomspace(every.min() * 0.9, every.max() * 1.1, 60)
        for label, gap, colour in zip(energies, gaps, ("0.6", "C0", "C1"), strict=True):
            ax.hist(gap, edges, color=colour, alpha=0.75, label=label)
        better = report.finding
        title = f"How good are the samples?\nAs sampled: {better} (p = {report.p_value:.1g})"
        if report.chain_break_fraction is not None:
            title += f", {report.chain_break_fraction:.0%} of chains broken"
        ax.set(
            xscale="log",
            xlabel="energy above the relaxation bound, relative to it",
            ylabel="reads",
            title=title,
        )
        ax.legend(frameon=False)
        self.ax_ = ax
        return self
