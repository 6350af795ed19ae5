"""Compile all code that fits need, for example in an image: ``python -m qsvr.warm_up``.

The first fit on a machine compiles its inner loops, which takes some seconds, and keeps them on
disk: beside the package, in the user's cache folder, or in the folder NUMBA_CACHE_DIR. After

>>> import qsvr
>>> seconds = qsvr.warm_up(verbose=0)

no fit has to wait. The module can be called like its function, so that ``qsvr.warm_up()`` works
before and after ``import qsvr.warm_up``.
"""

from __future__ import annotations

import sys
import time
import warnings
from types import ModuleType
from typing import Any

import numpy as np

from qsvr._text import say
from qsvr.estimators import QSVR

__all__ = ["warm_up"]


def warm_up(*, verbose: int = 1) -> float:
    """Compile the code of fits, refinement, decomposition and prediction in advance.

    Code that was compiled before is loaded. If no folder can be written, the compiled code is used
    by this process only, and a RuntimeWarning is issued.

    Parameters
    ----------
    verbose : int, default=1
        1 prints the time and the folder of the compiled code; 0 prints nothing.

    Returns
    -------
    seconds : float
        Processor time.

    Examples
    --------
    >>> import qsvr
    >>> qsvr.warm_up(verbose=0) > 0
    True
    """
    start = time.process_time()
    X = np.linspace(0.0, 1.0, 520)[:, None]
    y, weight = np.sin(6.0 * X[:, 0]), 1.0 + X[:, 0]
    settings: dict[str, Any] = {"num_reads": 2, "random_state": 0}
    kinds: list[dict[str, Any]] = [{}, {"n_refinements": 2}, {"base": 3.0, "C": "implied"}]
    few = slice(None, None, 40)
    with warnings.catch_warnings():
        # The models do not matter here; warnings about the folder are still shown.
        warnings.filterwarnings("ignore", category=UserWarning)
        for options in kinds:
            QSVR(**settings, **options).fit(X[few], y[few])
        QSVR(**settings).fit(X[few], y[few], weight[few])
        QSVR(**settings, max_variables=36, max_iter=2).fit(X[few], y[few])
        model = QSVR(**settings, max_iter=3).fit(X, y)  # by working sets
        model.predict(X[few], return_std=True)
    seconds = time.process_time() - start
    if verbose:
        from qsvr._numba import kept_in

        say(f"[qsvr] compiled or loaded in {seconds:.1f} s; {kept_in()}")
    return seconds


class _CallableModule(ModuleType):
    """A module that can be called like the function of the same name."""

    __module__ = "qsvr"  # which offers it

    def __call__(self, *, verbose: int = 1) -> float:
        return warm_up(verbose=verbose)


if __name__ == "__main__":
    warm_up()
else:
    sys.modules[__name__].__class__ = _CallableModule
