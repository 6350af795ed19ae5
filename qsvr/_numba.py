"""The one place where numba is imported, so that importing the package stays quick.

Modules that hold compiled functions import from here, and are themselves imported only when
something is fitted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

_F = TypeVar("_F", bound=Callable[..., Any])

__all__ = ["njit", "njit_lanes"]


def njit(function: _F) -> _F:
    """Compile without the global interpreter lock, cached on disk, with IEEE arithmetic."""
    compiled: Any = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return cast(_F, compiled)


def njit_lanes(function: _F) -> _F:
    """As `njit`, with multiply-adds fused: loops over lanes then fill the vector units."""
    compiled: Any = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=True)(function)
    return cast(_F, compiled)
