"""The joint process against dense algebra: kernel, gradient, posterior, held-out losses."""

from __future__ import annotations

import numpy as np
import pytest

from hpo.surrogates.joint_gp import JointProcess, Points

SETTINGS = np.log([0.6, 0.8, 0.2, 0.4, 0.5, 0.1, 0.6, 0.9])
LENGTHS = np.log([0.5, 1.3])
THETA = np.concatenate([SETTINGS, LENGTHS])


def some_points(n, seed=0, first_trial=0):
    rng = np.random.default_rng(seed)
    trial = np.sort(rng.integers(0, max(n // 2, 1), n))
    x = rng.random((n, 2))[trial]  # points of one trial share their hyperparameters
    return Points(x, rng.random(n), first_trial + trial)


def kernel(p, i, q, j):
    """Return the covariance of two points, written out from the module's formula."""
    surface, drift, level, wander, common, _, drift_length, wander_length = np.exp(SETTINGS)
    r = np.sqrt(5 * np.sum(((p.x[i] - q.x[j]) / np.exp(LENGTHS)) ** 2))
    k_x = (1 + r + r**2 / 3) * np.exp(-r)
    apart = abs(p.when[i] - q.when[j])
    s = np.sqrt(5) * apart / drift_length
    w = np.sqrt(3) * apart / wander_length
    k = k_x * (surface**2 + drift**2 * (1 + s + s**2 / 3) * np.exp(-s))
    if p.trial[i] == q.trial[j]:
        k += level**2 + wander**2 * (1 + w) * np.exp(-w)
    return k + common**2 * (1 + np.exp(-0.5 * (apart / 0.5) ** 2))


def dense(p, q):
    return np.array([[kernel(p, i, q, j) for j in range(len(q))] for i in range(len(p))])


NOISE = np.exp(2 * SETTINGS[5]) + 1e-6


def conditioned(n=25):
    points = some_points(n)
    values = np.random.default_rng(1).standard_normal(n)
    return points, values, JointProcess(points, values, THETA).condition()


def test_posterior_is_that_of_dense_algebra():
    points, values, process = conditioned()
    asked = some_points(9, seed=2)  # of the same trials' numbers, at other places
    known = dense(points, points) + NOISE * np.eye(len(points))
    cross = dense(asked, points)
    mean = cross @ np.linalg.solve(known, values)
    covariance = dense(asked, asked) - cross @ np.linalg.solve(known, cross.T)
    found, joint = process.joint(asked)
    np.testing.assert_allclose(found, mean, atol=1e-8)
    np.testing.assert_allclose(joint, covariance, atol=1e-8)
    each, std = process.each(asked)
    np.testing.assert_allclose(each, mean, atol=1e-8)
    np.testing.assert_allclose(std, np.sqrt(np.diag(covariance)), atol=1e-7)


def test_objective_is_the_negative_log_posterior():
    points, values, _ = conditioned()
    process = JointProcess(points, values)
    known = dense(points, points) + NOISE * np.eye(len(points))
    likelihood = 0.5 * values @ np.linalg.solve(known, values)
    likelihood += 0.5 * np.linalg.slogdet(known)[1]
    away = (THETA - process._means) / process._spreads
    assert process.objective(THETA)[0] == pytest.approx(likelihood + 0.5 * away @ away)


def test_gradient_is_that_of_differences():
    points, values, _ = conditioned()
    process = JointProcess(points, values)
    _, gradient = process.objective(THETA)
    step = 1e-5 * np.eye(len(THETA))
    differences = [
        (process.objective(THETA + s)[0] - process.objective(THETA - s)[0]) / 2e-5 for s in step
    ]
    np.testing.assert_allclose(gradient, differences, rtol=1e-5, atol=1e-5)


def test_a_fit_raises_the_posterior():
    points, values, _ = conditioned()
    process = JointProcess(points, values)
    before = process.objective(process.theta)[0]
    assert process.fit(20).objective(process.theta)[0] < before - 0.1


def test_held_out_losses_are_those_of_a_process_without_them():
    points, values, process = conditioned(15)
    held_out = process.held_out()
    for row in range(15):
        others = np.delete(np.arange(15), row)
        without = JointProcess(points.take(others), values[others], THETA).condition()
        assert without.each(points.take(np.array([row])))[0][0] == pytest.approx(held_out[row])


def test_one_more_loss_is_taken_in_as_if_it_had_been_there():
    points, values, process = conditioned()
    rng = np.random.default_rng(3)
    x, new = rng.random((4, 2)), 100 + np.arange(4)
    before, ahead = Points(x, np.full(4, 0.4), new), Points(x, np.ones(4), new)
    losses = rng.standard_normal(4)
    mean, std = process.after_one(before, losses, ahead)
    for row in range(4):
        one = np.array([row])
        more = Points(
            np.vstack([points.x, x[one]]),
            np.append(points.when, 0.4),
            np.append(points.trial, new[row]),
        )
        whole = JointProcess(more, np.append(values, losses[row]), THETA).condition()
        expected, spread = whole.each(ahead.take(one))
        assert mean[row] == pytest.approx(expected[0])
        assert std[row] == pytest.approx(spread[0])


def test_what_losses_tell_is_their_correlation_without_what_all_curves_share():
    """Against draws from the process: of many trials far apart, with hardly anything in common."""
    theta = JointProcess(
        Points(np.zeros((1, 1)), np.ones(1), np.zeros(1)), np.zeros(1)
    ).theta.copy()
    theta[4] = -12.0  # what all do together
    n = 4000
    points = Points(
        np.repeat(50.0 * np.arange(n // 20), 2)[:, None],
        np.tile([0.3, 1.0], n // 20),
        np.repeat(np.arange(n // 20), 2),
    )
    none = Points(np.full((1, 1), -1e6), np.ones(1), -np.ones(1))
    process = JointProcess(none, np.zeros(1), theta).condition()
    _, covariance = process.joint(points)
    root = np.linalg.cholesky(covariance + 1e-9 * np.eye(len(covariance)))
    drawn = np.random.default_rng(0).standard_normal((20, len(root))) @ root.T
    early, late = drawn[:, ::2].ravel(), drawn[:, 1::2].ravel()
    told = process.correlation_with_end(np.array([0.3, 1.0]))
    assert told[1] == pytest.approx(1.0)
    assert told[0] == pytest.approx(np.corrcoef(early, late)[0, 1], abs=0.03)
    theta[4] = 1.0  # nothing of that counts
    np.testing.assert_allclose(
        JointProcess(none, np.zeros(1), theta).correlation_with_end(np.array([0.3])), told[:1]
    )
