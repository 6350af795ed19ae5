"""Subsamples for the members of an ensemble: at random, stratified by target, or by k-means.

Members take turns: no sample is used twice before each has been used once, as far as the way of
sampling allows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits

__all__ = ["SAMPLINGS", "draw_subsamples"]

SAMPLINGS = ("random", "stratified", "kmeans")


def draw_subsamples(
    sampling: str,
    X: Any,
    y: NDArray[np.float64],
    *,
    size: int,
    n_members: int,
    random_state: np.random.RandomState,
) -> list[NDArray[np.intp]]:
    """Return the sorted samples of each member.

    Parameters
    ----------
    sampling : {"random", "stratified", "kmeans"}
        Stratified: one sample from each of ``size`` groups of neighbouring targets. k-means: one
        from each of ``size`` clusters of the features, a coreset that covers the data's space.
    X : {ndarray, sparse matrix} of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,)
    size : int
        Samples of a member, at most ``n_samples``.
    n_members : int
    random_state : RandomState
    """
    if sampling == "random":
        groups = [np.arange(y.size)]
    elif sampling == "stratified":
        groups = np.array_split(np.argsort(y, kind="stable"), size)
    else:
        groups = _clusters(X, size, random_state)
    per_group = _shares(size, len(groups))
    streams = [
        _rounds(group, share * n_members, random_state)
        for group, share in zip(groups, per_group, strict=True)
    ]
    members = []
    for m in range(n_members):
        parts = [
            stream[m * share : (m + 1) * share]
            for stream, share in zip(streams, per_group, strict=True)
        ]
        members.append(np.unique(np.concatenate(parts)))
    return members


def _clusters(X: Any, size: int, random_state: np.random.RandomState) -> list[NDArray[np.intp]]:
    """Return the non-empty clusters of the rows of X."""
    model = MiniBatchKMeans(size, n_init=1, random_state=random_state)
    with threadpool_limits(1):  # small products, for which threads only wait for one another
        labels = model.fit_predict(X)
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]


def _shares(size: int, n_groups: int) -> list[int]:
    """Return how many samples each group gives, larger shares first."""
    quotient, remainder = divmod(size, n_groups)
    return [quotient + (g < remainder) for g in range(n_groups)]


def _rounds(
    group: NDArray[np.intp], n: int, random_state: np.random.RandomState
) -> NDArray[np.intp]:
    """Return n samples of a group, shuffled anew each time that all have been used."""
    n_rounds = max(-(-n // group.size), 1)
    return np.concatenate([random_state.permutation(group) for _ in range(n_rounds)])[:n]
