"""Optuna's samplers as a searcher."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

optuna = pytest.importorskip("optuna", reason="Optuna is not installed (extra optuna)")

from hpo.searchers.optuna import OptunaSearcher, observed_resource  # noqa: E402
from hpo.space import SearchSpace  # noqa: E402
from hpo.trial import Curve  # noqa: E402

pytestmark = pytest.mark.usefixtures("quiet_optuna")
SPACE = SearchSpace.from_dict(
    {
        "x": {"type": "float", "low": 0.01, "high": 1.0, "log": True},
        "stepped": {"type": "float", "low": 0.0, "high": 1.0, "step": 0.25},
        "layers": {"type": "int", "low": 1, "high": 64, "log": True},
        "kind": ["a", "b", None, True],
        "norm": {"type": "scipy", "name": "norm", "args": [3.0, 2.0]},
        "count": {"type": "scipy", "name": "poisson", "args": [4.0]},
        "fixed": 7,
    }
)


def observed(searcher, n, lengths=(4,)):
    """Return curves of proposals whose loss is low for small x and kind a."""
    curves = []
    for trial in range(n):
        config = searcher.propose(trial)
        loss = np.log10(config["x"]) + 2 * (config["kind"] != "a")
        length = lengths[trial % len(lengths)]
        curves.append(Curve(trial, config, tuple(loss + 1 / u for u in range(1, length + 1))))
    return curves


@pytest.mark.parametrize("sampler", ["tpe", lambda s: optuna.samplers.TPESampler(seed=s)])
def test_suggestions_learn_repeat_and_stay_in_the_space(sampler):
    searcher = OptunaSearcher(SPACE, sampler, seed=3)
    curves = observed(searcher, 40, lengths=(4, 4, 4, 1))
    found = searcher.suggest(curves, 6, max_resource=4, seed=5)
    assert found == searcher.suggest(curves, 6, max_resource=4, seed=5)
    assert found != searcher.suggest(curves, 6, max_resource=4, seed=6)
    for config in found:
        assert list(config) == list(SPACE.domains)
        SPACE.to_features(config)  # raises for a category outside the space
        assert 0.01 <= config["x"] <= 1.0
        assert config["stepped"] in (0.0, 0.25, 0.5, 0.75, 1.0)
        assert isinstance(config["layers"], int)
        assert isinstance(config["count"], int)
        assert config["fixed"] == 7
    assert len({config["x"] for config in found}) == 6
    proposed = [searcher.propose(100 + trial)["x"] for trial in range(50)]
    assert np.mean([config["x"] for config in found]) < np.mean(proposed)
    assert sum(config["kind"] == "a" for config in found) >= 4


@pytest.mark.slow
def test_a_gaussian_process_suggests_too():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra torch)")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    space = SearchSpace.from_dict({"x": {"type": "float", "low": 0.0, "high": 1.0}})
    sampler = partial(optuna.samplers.GPSampler, n_startup_trials=0)
    searcher = OptunaSearcher(space, lambda seed: sampler(seed=seed), seed=0)
    configs = [searcher.propose(trial) for trial in range(9)]
    curves = [Curve(t, c, ((c["x"] - 0.3) ** 2,)) for t, c in enumerate(configs)]
    found = searcher.suggest(curves, 2, max_resource=1, seed=1)
    assert found == searcher.suggest(curves, 2, max_resource=1, seed=1)
    assert all(0.15 < config["x"] < 0.45 for config in found)
    torch.set_num_threads(threads)


def test_before_anything_is_known_suggestions_are_random():
    searcher = OptunaSearcher(SPACE, "tpe", seed=0)
    few = observed(searcher, 3)
    assert searcher.suggest(few, 2, max_resource=4, seed=1) == searcher.suggest(
        [], 2, max_resource=4, seed=1
    )
    assert searcher.propose(3) == OptunaSearcher(SPACE, "random", seed=0).propose(3)


def test_diverged_trials_count_as_worst():
    searcher = OptunaSearcher(SPACE, "tpe", seed=0)
    curves = observed(searcher, 20)
    broken = [
        Curve(c.trial_id, c.config, (np.nan,) * 4) if c.config["kind"] == "b" else c for c in curves
    ]
    found = searcher.suggest(broken, 8, max_resource=4, seed=0)
    assert sum(config["kind"] == "b" for config in found) <= 2


def test_the_model_looks_at_the_longest_training_with_enough_trials():
    def curves(*lengths):
        return [Curve(t, {}, (1.0,) * length) for t, length in enumerate(lengths)]

    assert observed_resource(curves(1, 1, 1, 3, 3, 9), 4, 9) == 1
    assert observed_resource(curves(1, 1, 1, 3, 3, 9), 2, 9) == 3
    assert observed_resource(curves(9, 9, 9), 2, 4) == 4
    assert observed_resource(curves(1, 1), 3, 9) is None
    assert observed_resource([Curve(0, {}, (np.inf,))], 1, 9) is None


def test_bad_settings_of_the_searcher():
    with pytest.raises(ValueError, match="sampler must be one of tpe, random"):
        OptunaSearcher(SPACE, "annealer")
    with pytest.raises(ValueError, match="min_observations must be an integer of at least 2"):
        OptunaSearcher(SPACE, min_observations=1)


def test_a_domain_without_a_counterpart_is_refused_at_once():
    class Odd:
        """A domain of a user's own."""

    space = SearchSpace.from_dict({"x": 1})
    space.domains["odd"] = Odd()
    with pytest.raises(ValueError, match="Odd has no counterpart in Optuna"):
        OptunaSearcher(space)
