"""The cost of a fit: the estimate before anything is submitted, and the account during the fit.

`AccessPlan` is the estimate of a whole fit: problems times the solver's own estimate for one.
`AccessBudget` is the account of one fit: every submission, retries included, is charged before it
is sent, and refused if it would exceed the limit.

>>> plan = AccessPlan(n_problems=6, seconds_per_problem=0.03)
>>> str(plan)
'6 problems of 0.03 s: 0.18 s of access time'
>>> plan.times(5).seconds
0.8999999999999999
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from qsvr.exceptions import CostLimitError

__all__ = ["AccessBudget", "AccessPlan"]


@dataclass(frozen=True)
class AccessPlan:
    """Estimated cost of a fit: number of problems, and access time of each.

    Attributes
    ----------
    n_problems : int
        Number of problems that the fit submits.
    seconds_per_problem : float
        Estimate of the solver: QPU access time, or run time of a hybrid solver.

    See Also
    --------
    get_sampler : The samplers of a service have a method ``plan``, which returns such a value.

    Examples
    --------
    >>> from qsvr import AccessPlan
    >>> plan = AccessPlan(n_problems=11, seconds_per_problem=0.2)
    >>> print(plan)
    11 problems of 0.2 s: 2.2 s of access time
    """

    n_problems: int
    seconds_per_problem: float

    @property
    def seconds(self) -> float:
        """Access time of all problems, in seconds."""
        return self.n_problems * self.seconds_per_problem

    def times(self, n: int) -> AccessPlan:
        """Return the plan of many such fits, as in an ensemble or a search.

        Parameters
        ----------
        n : int
            Number of fits.

        Returns
        -------
        plan : AccessPlan
            Plan of all fits.
        """
        return replace(self, n_problems=n * self.n_problems)

    def check(self, max_access_time: float | None) -> None:
        """Check the plan against a limit.

        Parameters
        ----------
        max_access_time : float or None
            Limit in seconds; None means no limit.

        Raises
        ------
        CostLimitError
            If the plan exceeds the limit.
        """
        if max_access_time is not None and self.seconds > max_access_time:
            raise CostLimitError(
                f"max_access_time={max_access_time:g} s is less than the estimate for this fit: "
                f"{self}. Nothing was submitted. Raise max_access_time, or lower num_reads, "
                "n_refinements or the number of members."
            )

    def __str__(self) -> str:
        problems = "1 problem" if self.n_problems == 1 else f"{self.n_problems} problems"
        return (
            f"{problems} of {self.seconds_per_problem:.3g} s: {self.seconds:.3g} s of access time"
        )


class AccessBudget:
    """Account of the access time of one fit. Actual times replace the estimates that were charged.

    Parameters
    ----------
    max_access_time : float, default=None
        Limit in seconds.

    Attributes
    ----------
    seconds : float
        Access time spent: the reported time of each answer, else the estimate.
    n_submitted : int
        Number of problems submitted.

    Examples
    --------
    >>> from qsvr.samplers import AccessBudget
    >>> budget = AccessBudget(max_access_time=1.0)
    >>> budget.charge(0.25)
    >>> budget.settle(0.25, actual=0.125)
    >>> budget.seconds, budget.n_submitted
    (0.125, 1)
    """

    def __init__(self, max_access_time: float | None = None) -> None:
        self.max_access_time = max_access_time
        self.seconds = 0.0
        self.n_submitted = 0
        self._lock = threading.Lock()

    def charge(self, estimate: float) -> None:
        """Charge the estimate of one submission, in seconds.

        Raises
        ------
        CostLimitError
            If it would exceed the limit; then nothing is to be submitted.
        """
        with self._lock:
            total = self.seconds + estimate
            limit = self.max_access_time
            if limit is not None and total > limit * (1.0 + 1e-9):
                raise CostLimitError(
                    f"max_access_time={limit:g} s would be exceeded: {self.n_submitted} problems "
                    f"took {self.seconds:.3g} s, and the next one takes {estimate:.3g} s. It was "
                    "not submitted. Raise max_access_time, or request fewer reads or rounds."
                )
            self.seconds = total
            self.n_submitted += 1

    def refund(self, estimate: float) -> None:
        """Refund the estimate of a submission that the service certainly did not accept."""
        with self._lock:
            self.seconds -= estimate
            self.n_submitted -= 1

    def settle(self, estimate: float, actual: float) -> None:
        """Replace an estimate by the actual access time that the service reported."""
        with self._lock:
            self.seconds += actual - estimate
