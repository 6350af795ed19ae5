"""Partition of the samples into the blocks that the structured annealer visits."""

from __future__ import annotations

import numpy as np

from qsvr.samplers.structured._arrays import Array

__all__ = ["neighbour_blocks"]


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
    diagonal = np.diag(K)
    blocks = np.zeros((len(orders), sizes.size, -(-sizes.max() // 4) * 4), np.int64)
    for order, partition in zip(orders, blocks, strict=True):
        taken = np.zeros(n, np.bool_)
        cursor = 0
        for size, block in zip(sizes, partition, strict=True):
            while taken[order[cursor]]:
                cursor += 1
            centre = order[cursor]
            distance = diagonal - 2.0 * K[centre]  # plus a constant
            distance[taken] = np.inf
            distance[centre] = -np.inf
            # The nearest ones, of equally near ones the first.
            limit = np.partition(distance, size - 1)[size - 1]
            near = np.flatnonzero(distance <= limit)
            nearest = near[np.argsort(distance[near], kind="stable")[:size]]
            block[:size] = nearest
            taken[nearest] = True
    return blocks
