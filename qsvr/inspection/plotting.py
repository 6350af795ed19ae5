"""Figures in scikit-learn's style: a ``Display`` holds the numbers and draws them.

matplotlib is an optional dependency: ``pip install "qsvr[plot]"``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from qsvr._typing import FloatArray

if TYPE_CHECKING:
    from qsvr.estimators.svr import QSVR

__all__ = ["SampleEnergyDisplay"]


@dataclass(eq=False)
class SampleEnergyDisplay:
    """Energies of a sampler's reads against the best possible and against random bit strings.

    Parameters
    ----------
    raw, polished, random : ndarray of shape (n_reads,)
        Energies as sampled, after polish, and of uniformly random bit strings.
    bound : float
        No solution has a lower energy.
    sampler : str
        Name for the legend.
    p_value : float, optional
        Of the test that the samples are no better than random strings, for the title.
    chain_break_fraction : float, optional
        For the title.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What was drawn on, after `plot`.

    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> from qsvr import QSVR, SampleEnergyDisplay
    >>> X, y = make_friedman1(30, random_state=0)
    >>> display = SampleEnergyDisplay.from_estimator(QSVR(random_state=0).fit(X, y))
    >>> bool(display.raw.min() < display.random.min())
    True
    """

    raw: FloatArray
    polished: FloatArray
    random: FloatArray
    bound: float
    sampler: str
    p_value: float | None = None
    chain_break_fraction: float | None = None

    @classmethod
    def from_estimator(cls, model: QSVR) -> Self:
        """Take the energies that a fitted `QSVR` recorded.

        Parameters
        ----------
        model : QSVR
            Fitted.
        """
        from qsvr.inspection.report import SamplerReport

        info = model.sampler_info_
        report = SamplerReport.from_info(info, model.relaxation_bound_)
        return cls(
            raw=info["raw_energies"],
            polished=info["energies"],
            random=info["random_energies"],
            bound=model.relaxation_bound_,
            sampler=info["sampler"],
            p_value=report.p_value,
            chain_break_fraction=report.chain_break_fraction,
        )

    def plot(self, ax: Any = None) -> Self:
        """Draw the distribution of the gap to the bound, on a logarithmic axis.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            A new figure by default.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        if ax is None:
            ax = _pyplot().subplots(figsize=(7, 4), layout="constrained")[1]
        scale = abs(self.bound) or 1.0
        gaps = {
            "random bit strings": (self.random, "0.6"),
            f"{self.sampler}, as sampled": (self.raw, "C0"),
            "after polish": (self.polished, "C1"),
        }
        relative = {
            label: np.maximum((energies - self.bound) / scale, 1e-9)
            for label, (energies, _) in gaps.items()
        }
        lowest = min(gap.min() for gap in relative.values())
        highest = max(gap.max() for gap in relative.values())
        edges = np.geomspace(lowest * 0.9, highest * 1.1, 60)
        for label, (_, colour) in gaps.items():
            ax.hist(relative[label], edges, color=colour, alpha=0.75, label=label)
        ax.set(
            xscale="log",
            xlabel="energy above the relaxation bound, relative to it",
            ylabel="reads",
            title=self._title(),
        )
        ax.legend(frameon=False)
        self.ax_ = ax
        return self

    def _title(self) -> str:
        title = "How good are the samples?"
        if self.p_value is not None:
            better = "better than random" if self.p_value < 0.01 else "no better than random"
            title += f"\nAs sampled: {better} (p = {self.p_value:.1g})"
        if self.chain_break_fraction is not None:
            title += f", {self.chain_break_fraction:.0%} of chains broken"
        return title


def _pyplot() -> Any:
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise ImportError(
            "matplotlib is needed for figures; install it with: pip install 'qsvr[plot]'"
        ) from error
    return plt
