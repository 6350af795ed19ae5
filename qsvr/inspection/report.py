"""Quality of samples: energies against the relaxation bound and against random bit strings.

Polish reaches a low minimum from almost any start, so polished energies say little about the
sampler. Its raw energies do, compared with those of as many uniformly random bit strings.

>>> import numpy as np
>>> report = SamplerReport.from_info(
...     {"sampler": "demo", "raw_energies": np.array([-1.0, -0.8]),
...      "energies": np.array([-1.2, -1.2]), "random_energies": np.array([0.5, 2.0])},
...     bound=-1.25)
>>> report.beats_random, round(report.share_improved, 2)
(1.0, 1.0)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.stats import mannwhitneyu

from qsvr._typing import FloatArray

__all__ = ["EnergySummary", "SamplerReport", "fit_summary"]

_SIGNIFICANT = 0.01  # level of the test


@dataclass(frozen=True)
class EnergySummary:
    """Energies above the relaxation bound.

    Attributes
    ----------
    best, median, mean, worst : float

    Examples
    --------
    >>> import numpy as np
    >>> from qsvr.inspection.report import EnergySummary
    >>> EnergySummary.of(np.array([1.0, 2.0, 6.0]), bound=0.5).best
    0.5
    """

    best: float
    median: float
    mean: float
    worst: float

    @classmethod
    def of(cls, energies: FloatArray, bound: float) -> Self:
        """Summarise by how much energies of shape (n_reads,) exceed the bound."""
        gap = np.asarray(energies) - bound
        return cls(float(gap.min()), float(np.median(gap)), float(gap.mean()), float(gap.max()))


@dataclass(frozen=True, eq=False)
class SamplerReport:
    """Quality of one fit's samples; ``str`` is a table.

    Attributes
    ----------
    sampler : str
    bound : float
        No solution has a lower energy.
    raw_energies, polished_energies, random_energies : ndarray of shape (n_reads,)
        As sampled, after polish, and of as many uniformly random bit strings.
    beats_random : float
        Probability that a raw sample has a lower energy than a random string, ties counted half;
        0.5 is no better.
    p_value : float
        One-sided Mann-Whitney test of the hypothesis that samples are no better than random
        strings: small values speak against it.
    share_improved : float
        Fraction of samples that polish lowered.
    sampler_polishes : bool, default=False
        Whether the sampler polished its samples itself: then no energy here is raw.
    chain_break_fraction : float or None, default=None
        Fraction of chains whose qubits disagreed, on a quantum annealer.
    best_from : str, default="sampler"
        Origin of the solution of lowest energy: "sampler", or "relaxation" or "zeros", which are
        ranked beside the samples in every fit, or "incumbent" (an earlier round).

    See Also
    --------
    SampleEnergyDisplay : Plot of the energies.

    Examples
    --------
    >>> from sklearn.datasets import make_friedman1
    >>> from qsvr import QSVR, SamplerReport
    >>> X, y = make_friedman1(20, random_state=0)
    >>> model = QSVR(n_refinements=0, random_state=0).fit(X, y)
    >>> report = SamplerReport.from_info(model.sampler_info_, model.relaxation_bound_)
    >>> report.beats_random > 0.5
    True
    """

    sampler: str
    bound: float
    raw_energies: FloatArray
    polished_energies: FloatArray
    random_energies: FloatArray
    beats_random: float
    p_value: float
    share_improved: float
    sampler_polishes: bool = False
    chain_break_fraction: float | None = None
    best_from: str = "sampler"

    @classmethod
    def from_info(cls, info: Mapping[str, Any], bound: float) -> Self:
        """Compute the report from what a fit recorded in ``sampler_info_``.

        Parameters
        ----------
        info : mapping
            ``sampler_info_`` of a fitted `QSVR`.
        bound : float
            Its ``relaxation_bound_``.
        """
        raw, polished = np.asarray(info["raw_energies"]), np.asarray(info["energies"])
        random = np.asarray(info["random_energies"])
        test = mannwhitneyu(raw, random, alternative="less")
        scale = np.abs(raw).max(initial=1e-300)
        return cls(
            sampler=str(info["sampler"]),
            bound=bound,
            raw_energies=raw,
            polished_energies=polished,
            random_energies=random,
            beats_random=1.0 - float(test.statistic) / (raw.size * random.size),
            p_value=float(test.pvalue),
            share_improved=float(np.mean(polished < raw - 1e-12 * scale)),
            sampler_polishes=info["sampler"] == "relax-round",
            chain_break_fraction=info.get("chain_break_fraction"),
            best_from=_best_from(info),
        )

    @property
    def raw(self) -> EnergySummary:
        """Energies as sampled."""
        return EnergySummary.of(self.raw_energies, self.bound)

    @property
    def polished(self) -> EnergySummary:
        """Energies after polish."""
        return EnergySummary.of(self.polished_energies, self.bound)

    @property
    def random(self) -> EnergySummary:
        """Energies of random bit strings."""
        return EnergySummary.of(self.random_energies, self.bound)

    @property
    def verdict(self) -> str:
        """One sentence on the contribution of the sampler."""
        if self.sampler_polishes:
            return "This sampler polishes its own samples, so there are no raw energies to judge."
        chance = f"a sample is lower than a random string with probability {self.beats_random:.1%}"
        if self.finding == "better than random":
            return (
                f"The samples are better than random bit strings ({chance}); polish improved "
                f"{self.share_improved:.0%} of them."
            )
        if self.finding == "too few reads to judge":
            return (
                f"{self._n_reads} cannot show whether the samples are better than random bit "
                f"strings ({chance}). Draw more, at least num_reads=20."
            )
        if self.finding == "equal to random":
            return (
                "Samples and random bit strings all have the same energy, so they cannot be "
                "compared."
            )
        return (
            f"The samples are NOT significantly better than random bit strings ({chance}). "
            "The quality of the model comes from the polish."
        )

    @property
    def finding(self) -> str:
        """The verdict in a few words, such as ``"better than random"``."""
        if self.p_value < _SIGNIFICANT:
            return "better than random"
        if self.smallest_p_value >= _SIGNIFICANT:
            return "too few reads to judge"
        if np.ptp(np.concatenate([self.raw_energies, self.random_energies])) == 0.0:
            return "equal to random"
        return "no better than random"

    @property
    def _n_reads(self) -> str:
        return "1 read" if self.raw_energies.size == 1 else f"{self.raw_energies.size} reads"

    @property
    def smallest_p_value(self) -> float:
        """The p-value that the test would give if every sample beat every random string."""
        n, m = self.raw_energies.size, self.random_energies.size
        best = mannwhitneyu(np.arange(n), np.arange(n, n + m), alternative="less")
        return float(best.pvalue)

    def __str__(self) -> str:
        head = f"Samples of {self.sampler}: {self._n_reads}; energies above"
        lines = [
            f"{head} the bound {self.bound:.6g}",
            f"{'':>18} {'best':>11} {'median':>11} {'mean':>11} {'worst':>11}",
        ]
        rows = {
            "random strings": self.random,
            "as sampled": self.raw,
            "after polish": self.polished,
        }
        lines += [
            f"{name:>18} {row.best:11.4g} {row.median:11.4g} {row.mean:11.4g} {row.worst:11.4g}"
            for name, row in rows.items()
        ]
        lines.append(self.verdict)
        if not self.sampler_polishes:
            lines.append(
                f"test (Mann-Whitney): p = {self.p_value:.2g} for the hypothesis that samples are "
                "no better than random strings; below 0.01 it is rejected"
            )
        if self.chain_break_fraction is not None:
            lines.append(f"broken chains: {self.chain_break_fraction:.1%}")
        if self.best_from in _OTHERS:
            lines.append(
                f"the solution of lowest energy is not a sample: {_OTHERS[self.best_from]}"
            )
        return "\n".join(lines)


# Solutions that are ranked beside the samples.
_OTHERS = {
    "relaxation": "it is the rounded relaxation",
    "zeros": "all coefficients are 0",
    "incumbent": "it comes from an earlier round",
}


def fit_summary(info: Mapping[str, Any], n_qubos: int, energy: float, bound: float) -> str:
    """Return one line on the QUBOs, the sampler, its time, and the energy.

    Parameters
    ----------
    info : mapping
        ``sampler_info_`` of a fitted `QSVR`.
    n_qubos : int
    energy, bound : float
        Lowest energy found, and its lower bound.
    """
    sets = f"{n_qubos} QUBOs, the last of " if n_qubos > 1 else ""
    return (
        f"{sets}{info['n_variables']} variables, {info['n_reads']} reads by {info['sampler']} in "
        f"{info['sampling_time']:.3g} s; energy {energy:.6g} (raw "
        f"{info['raw_energies'].min():.6g}), at most {energy - bound:.3g} above the best possible"
    )


def _best_from(info: Mapping[str, Any]) -> str:
    history = info.get("refinement_history")
    return str(history[-1].source if history else info.get("best_from", "sampler"))
