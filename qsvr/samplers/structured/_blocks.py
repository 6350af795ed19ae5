"""Compiled partition of the samples into the blocks that the structured annealer visits."""

from __future__ import annotations

import numpy as np

from qsvr._numba import njit
from qsvr.samplers.structured._arrays import Array

__all__ = ["neighbour_blocks"]


@njit
def neighbour_blocks(K: Array, orders: Array, sizes: Array) -> Array:
    """Partition the samples into blocks of near neighbours in the kernel's metric.

    Parameters
    ----------
    K : ndarray of shape (n, n)
    orders : ndarray of shape (n_partitions, n)
        For each partition, the order in which samples are tried as centres.
    sizes : ndarray of shape (n_blocks,)

    Returns
    -------
    ndarray of shape (n_partitions, n_blocks, sizes.max())
        Padded with 0 to a multiple of 4 members.
    """
    n = K.shape[0]
    blocks = np.zeros((orders.shape[0], sizes.size, -(-sizes.max() // 4) * 4), np.int64)
    for p in range(orders.shape[0]):
        free = np.ones(n, np.bool_)
        cursor = 0
        for b in range(sizes.size):
            while not free[orders[p, cursor]]:
                cursor += 1
            centre = orders[p, cursor]
            distance = np.empty(n)
            for m in range(n):
                distance[m] = K[m, m] - 2.0 * K[centre, m] if free[m] else np.inf
            distance[centre] = -np.inf
            for q in range(sizes[b]):
                nearest = np.argmin(distance)
                blocks[p, b, q] = nearest
                distance[nearest] = np.inf
                free[nearest] = False
    return blocks
