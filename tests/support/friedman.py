"""A small regression problem, and models and kernels for it."""

from __future__ import annotations

from functools import partial

from sklearn.datasets import make_friedman1
from sklearn.metrics.pairwise import (
    laplacian_kernel,
    linear_kernel,
    polynomial_kernel,
    rbf_kernel,
    sigmoid_kernel,
)

from qsvr import QSVR, SamplerFactory

GAMMA = 0.4
DESCENT = SamplerFactory("dwave.samplers.SteepestDescentSampler")


def _data(n_samples, seed=0):
    X, y = make_friedman1(n_samples, noise=0.5, random_state=seed)
    return X, (y - y.mean()) / y.std()


X, Y = _data(30)
X_NEW, Y_NEW = _data(40, seed=1)


def make_model(**parameters):
    return QSVR(**{"gamma": GAMMA, "num_reads": 16, "random_state": 0, **parameters})


def make_varied(**parameters):
    """Return a model that anneals in haste and does not polish: it finds many solutions."""
    return make_model(**{"polish": False, "sampler_options": {"num_sweeps": 8}, **parameters})


NAMED = {
    "rbf": partial(rbf_kernel, gamma=GAMMA),
    "linear": linear_kernel,
    "poly": partial(polynomial_kernel, gamma=GAMMA, degree=2, coef0=1.0),
    "sigmoid": partial(sigmoid_kernel, gamma=0.02, coef0=-0.5),
    "laplacian": partial(laplacian_kernel, gamma=GAMMA),
}


def make_by_name(name, **parameters):
    gamma = 0.02 if name == "sigmoid" else GAMMA
    coef0 = -0.5 if name == "sigmoid" else 1.0
    return make_model(kernel=name, gamma=gamma, degree=2, coef0=coef0, **parameters)
