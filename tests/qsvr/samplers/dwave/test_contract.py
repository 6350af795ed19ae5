"""The samplers' contract for those that need a service; their reads do not repeat with a seed."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from qsvr import FixedPointEncoding, Sampler, SVRDual, SVRQubo, get_sampler


@pytest.fixture(params=["qpu", "clique", "hybrid", "cqm", "nl"])
def sampler(request, api):
    return get_sampler(request.param)


@pytest.fixture
def qubo(data):
    X, y = data
    kernel = np.exp(-0.5 * ((X[:6, None] - X[None, :6]) ** 2).sum(-1))
    dual = SVRDual(kernel, y[:6] - y[:6].mean(), 0.1, np.full(6, 5.0), 2.0)
    return SVRQubo(dual, FixedPointEncoding.for_box(dual.C, 3))


def test_it_has_a_samplers_interface(sampler):
    assert isinstance(sampler, Sampler)
    assert isinstance(sampler.parameters, frozenset)
    assert not {"num_reads", "seed"} & sampler.parameters
    assert sampler.max_variables is None or sampler.max_variables >= 18


def test_it_can_neither_be_copied_nor_sent(sampler):
    for travel in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="holds a live connection"):
            travel(sampler)


@pytest.mark.parametrize("num_reads", [1, 9])
def test_samples_are_feasible_and_energies_are_the_duals(sampler, qubo, num_reads):
    samples = sampler.sample(qubo, num_reads=num_reads, seed=0)
    assert 1 <= len(samples) <= num_reads
    assert samples.bits.dtype == np.uint8
    assert samples.bits.shape == (len(samples), qubo.n_variables)
    assert samples.bits.max() <= 1
    energies = qubo.dual.energy(qubo.encoding.decode(samples.bits))
    np.testing.assert_allclose(samples.energies, energies, rtol=1e-9)
    assert samples.energies.min() >= qubo.dual.relax().bound
    assert samples.info["sampler"]
    assert samples.info["sampling_time"] > 0
    assert samples.info["polished"] is False


def test_an_unknown_option_raises_and_is_named(sampler, qubo):
    with pytest.raises(ValueError, match=r"sampler_options has \['no_such_option'\]"):
        sampler.sample(qubo, num_reads=1, seed=0, no_such_option=3)
