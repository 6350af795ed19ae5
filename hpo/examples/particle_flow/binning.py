"""Sorting elements into bins of neighbours by locality-sensitive hashing.

Message passing between all pairs of n elements costs n squared. Elements are therefore projected
on random directions; the direction that an element points along most is its bin, so that close
elements mostly share one. Sorted by bin and cut into pieces of `bin_size`, messages pass within a
piece only, which costs n times `bin_size`.

References
----------
Kitaev et al., Reformer, arXiv 2001.04451 (angular hashing); Pata et al., MLPF, arXiv 2101.08578
(its use for particle flow).
"""

from __future__ import annotations

import torch
from torch import Tensor


def n_bins(n_elements: int, bin_size: int) -> int:
    """Return how many bins of `bin_size` hold `n_elements`."""
    return -(-n_elements // bin_size)


def bin_order(places: Tensor, present: Tensor, codebook: Tensor, bin_size: int) -> Tensor:
    """Return the order of elements in which every `bin_size` neighbours form a bin.

    Parameters
    ----------
    places : Tensor of shape (n_events, n_elements, n_dimensions)
        Where elements lie in the space in which close ones are to share a bin; n_elements is a
        multiple of `bin_size`.
    present : Tensor of shape (n_events, n_elements), bool
        Elements that are there; the others come last.
    codebook : Tensor of shape (n_dimensions, n_directions)
        Random directions; ``n_directions >= n_bins / 2``.
    bin_size : int
        Elements in a bin.

    Returns
    -------
    Tensor of shape (n_events, n_elements), int64
        Numbers of elements.

    Raises
    ------
    ValueError
        If n_elements is no multiple of `bin_size`, or the codebook is too small.
    """
    n_elements = places.shape[1]
    if n_elements % bin_size:
        raise ValueError(f"n_elements must be a multiple of bin_size={bin_size}, got {n_elements}")
    half = -(-n_bins(n_elements, bin_size) // 2)
    if half > codebook.shape[1]:
        raise ValueError(f"codebook must have at least {half} directions, got {codebook.shape[1]}")
    projected = places.detach() @ codebook[:, :half]  # (n_events, n_elements, half)
    key = torch.cat([projected, -projected], dim=2).argmax(dim=2)
    key = torch.where(present, key, 2 * half)
    return key.argsort(dim=1, stable=True)


def into_bins(values: Tensor, order: Tensor, bin_size: int) -> Tensor:
    """Sort values by `order` and cut them into bins.

    Parameters
    ----------
    values : Tensor of shape (n_events, n_elements, n_features)
        One row an element.
    order : Tensor of shape (n_events, n_elements)
        From `bin_order`.
    bin_size : int
        Elements in a bin.

    Returns
    -------
    Tensor of shape (n_events, n_bins, bin_size, n_features)
    """
    n_events, _, n_features = values.shape
    return _rows(values, order).reshape(n_events, -1, bin_size, n_features)


def from_bins(binned: Tensor, order: Tensor) -> Tensor:
    """Undo `into_bins`.

    Parameters
    ----------
    binned : Tensor of shape (n_events, n_bins, bin_size, n_features)
        One row an element.
    order : Tensor of shape (n_events, n_elements)
        As they were sorted.

    Returns
    -------
    Tensor of shape (n_events, n_elements, n_features)
    """
    values = binned.flatten(1, 2)
    return _rows(values, order.argsort(dim=1, stable=True))


def _rows(values: Tensor, order: Tensor) -> Tensor:
    return values.gather(1, order[:, :, None].expand(-1, -1, values.shape[2]))
