"""Partition of the samples into the blocks that the structured annealer visits."""

from __future__ import annotations

import numpy as np

from qsvr.samplers.structured._arrays import Array

__all__ = ["neighbour_blocks"]


def neighbour_blocks(K: Array, orders: Array, sizes: Array) -> Array:
    """Partition the samples into blocks of near neighbours in the kernel's metric.

    Parameters
    ----------
    K : ndarray of shape (..., n, n)
        One kernel or several.
    orders : ndarray of shape (..., n_partitions, n)
        For each partition, the order in which samples are tried as centres.
    sizes : ndarray of shape (n_blocks,)

    Returns
    -------
    ndarray of shape (..., n_partitions, n_blocks, sizes.max())
        Padded with 0 to a multiple of 4 members.
    """
    *several, n_partitions, n = orders.shape
    width = -(-sizes.max() // 4) * 4
    kernels = K.reshape(-1, n, n)
    rows = orders.reshape(-1, n)  # all partitions of all kernels, side by side
    row, kernel = np.arange(len(rows)), np.repeat(np.arange(len(kernels)), n_partitions)
    diagonal = np.diagonal(kernels, axis1=1, axis2=2)[kernel]
    blocks = np.zeros((len(rows), sizes.size, width), np.int64)
    taken = np.zeros(rows.shape, np.bool_)
    for b, size in enumerate(sizes):
        # The first sample in each order that is in no block yet.
        centre = rows[row, np.argmin(taken[row[:, None], rows], axis=1)]
        distance = diagonal - 2.0 * kernels[kernel, centre]  # plus a constant
        distance[taken] = np.inf
        distance[row, centre] = -np.inf
        # The nearest ones, of equally near ones the first.
        nearest = np.argsort(distance, axis=1, kind="stable")[:, :size]
        blocks[:, b, :size] = nearest
        taken[row[:, None], nearest] = True
    return blocks.reshape(*several, n_partitions, sizes.size, width)
