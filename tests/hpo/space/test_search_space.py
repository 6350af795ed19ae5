from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hpo.searchers import GridSearcher, ListSearcher, RandomSearcher, SpaceCandidates
from hpo.space import SearchSpace
from hpo.space.domains import Categorical, Constant, Float, Int, Scipy
from hpo.trial import TrainJob

SPEC = {
    "lr": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
    "momentum": {"type": "float", "low": 0.0, "high": 0.9, "step": 0.1},
    "layers": {"type": "int", "low": 1, "high": 4},
    "width": {"type": "int", "low": 8, "high": 512, "log": True},
    "kind": ["relu", "tanh", None, True],
    "decay": stats.loguniform(1e-6, 1e-2),
    "batch": 32,
}


@pytest.fixture
def space():
    return SearchSpace.from_dict(SPEC)


def test_samples_are_plain_values_in_their_domains(space):
    rng = np.random.default_rng(0)
    for _ in range(200):
        config = space.sample(rng)
        assert 1e-4 <= config["lr"] <= 1e-1
        assert config["layers"] in (1, 2, 3, 4)
        assert 8 <= config["width"] <= 512
        assert config["kind"] in ("relu", "tanh", None, True)
        assert config["batch"] == 32
        assert all(type(v) in (float, int, str, bool, type(None)) for v in config.values())
        steps = config["momentum"] / 0.1
        assert math.isclose(steps, round(steps), abs_tol=1e-9)
        features = space.to_features(config)
        assert features.shape == (len(space.feature_names),)
        assert np.all((features >= 0) & (features <= 1 + 1e-12))


def test_every_step_and_choice_comes_up(space):
    rng = np.random.default_rng(0)
    configs = [space.sample(rng) for _ in range(400)]
    assert len({round(c["momentum"], 9) for c in configs}) == 10
    assert {c["layers"] for c in configs} == {1, 2, 3, 4}
    assert {c["kind"] for c in configs} == {"relu", "tanh", None, True}


def test_dict_and_back(space):
    again = SearchSpace.from_dict(space.to_dict())
    assert again == space
    first, second = (s.sample(np.random.default_rng(5)) for s in (space, again))
    assert first == second


def test_toml(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(
        '[lr]\ntype = "float"\nlow = 1e-4\nhigh = 1e-1\nlog = true\n'
        '[k]\ntype = "categorical"\nchoices = [1, 2]\n'
    )
    space = SearchSpace.from_toml(path)
    assert space.domains == {"lr": Float(1e-4, 1e-1, log=True), "k": Categorical((1, 2))}
    path.write_text("[lr\n")
    with pytest.raises(ValueError, match="no valid TOML"):
        SearchSpace.from_toml(path)


def test_optuna_distributions():
    distributions = pytest.importorskip("optuna.distributions")
    space = SearchSpace.from_dict(
        {
            "a": distributions.FloatDistribution(0.1, 1.0, log=True),
            "b": distributions.IntDistribution(1, 5),
            "c": distributions.CategoricalDistribution(["x", "y"]),
            "d": distributions.IntDistribution(0, 4, step=2),
        }
    )
    assert space.domains == {
        "a": Float(0.1, 1.0, log=True),
        "b": Int(1, 5),
        "c": Categorical(("x", "y")),
        "d": Int(0, 4, step=2),
    }


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "empty"),
        ({"lr": {"type": "float", "low": 0.0, "high": 1.0, "log": True}}, "'lr'.*zero"),
        ({"lr": {"type": "float", "low": -1.0, "high": 1.0, "log": True}}, "'lr'.*zero"),
        ({"lr": {"type": "float", "low": 2.0, "high": 1.0}}, "'lr'.*above high"),
        ({"lr": {"type": "float", "low": 0.0, "high": math.inf}}, "'lr'.*finite"),
        ({"lr": {"type": "float", "low": "a", "high": 1.0}}, "'lr'.*real number"),
        ({"lr": {"type": "float", "low": 0.0}}, "'lr'.*high is missing"),
        ({"lr": {"type": "flaot", "low": 0.0, "high": 1.0}}, "'lr'.*type must be one of"),
        ({"lr": {"low": 0.0, "high": 1.0}}, "'lr'.*type must be one of"),
        ({"lr": {"type": "float", "low": 0.0, "high": 1.0, "base": 2}}, "'lr'.*base"),
        ({"lr": {"type": "float", "low": 0.0, "high": 1.0, "step": 2.0}}, "'lr'.*step"),
        ({"n": {"type": "int", "low": 1.5, "high": 3}}, "'n'.*whole"),
        ({"k": []}, "'k'.*at least one"),
        ({"k": [1, 1]}, "'k'.*distinct"),
        ({"k": [[1], [1]]}, "'k'.*distinct"),
        ({"k": [{"a": 1}, 2]}, "'k'.*number"),
        ({"k": [[1, math.nan], 2]}, "'k'.*nan"),
        ({"k": {1, 2}}, "'k'.*a set has no order"),
        ({"k": stats.uniform}, "'k'.*frozen"),
        ({"k": (1e-4, 1e-1)}, r"'k'.*range or two choices; write \{.*\"log\": True\} for a range"),
        ({"k": (8, 64)}, r"'k'.*\"int\".* or the list \[8, 64\]"),
        ({"k": (1e-4, 1e-1, "log-uniform")}, "'k'.*range or two choices"),
        ({"n": {"type": "int", "low": 1, "high": 9, "step": 0}}, "'n'.*step"),
        ({"n": {"type": "int", "low": 1, "high": 9, "step": 9}}, "'n'.*step"),
        ({"n": {"type": "int", "low": 1, "high": 9, "step": 2, "log": True}}, "'n'.*step.*log"),
        ({"k": object()}, "'k'.*constant"),
        ({"k": {"type": "scipy", "name": "nothing"}}, "'k'.*no distribution"),
        ({"k": {"type": "scipy", "name": "norm", "args": [0.0, -1.0]}}, "'k'.*not defined"),
    ],
)
def test_bad_spaces_name_the_parameter(spec, message):
    with pytest.raises(ValueError, match=message):
        SearchSpace.from_dict(spec)


def test_features(space):
    config = {"lr": 1e-1, "momentum": 0.0, "layers": 4, "width": 8, "kind": True, "decay": 1e-6}
    with pytest.raises(ValueError, match="a value for 'batch', got none"):
        space.to_features(config)
    features = dict(
        zip(space.feature_names, space.to_features(config | {"batch": 32}), strict=True)
    )
    assert features == {
        "lr": 1.0,
        "momentum": 0.0,
        "layers": 1.0,
        "width": 0.0,
        "kind=relu": 0.0,
        "kind=tanh": 0.0,
        "kind=None": 0.0,
        "kind=True": 1.0,
        "decay": 0.0,
    }
    with pytest.raises(ValueError, match="none of the choices"):
        Categorical(("a",)).features("b")


def test_random_searcher_depends_on_seed_and_trial_alone(space):
    first, second = RandomSearcher(space, 3), RandomSearcher(space, 3)
    forward = [first.propose(i) for i in range(5)]
    backward = [second.propose(i) for i in reversed(range(5))]
    assert forward == backward[::-1]
    assert RandomSearcher(space, 4).propose(0) != forward[0]
    with pytest.raises(ValueError, match="seed"):
        RandomSearcher(space, -1)


def test_list_searcher_ends():
    searcher = ListSearcher([{"a": 1}])
    assert searcher.propose(0) == {"a": 1}
    assert searcher.propose(1) is None
    with pytest.raises(ValueError, match="at least one"):
        ListSearcher([])


def test_grid_searcher_covers_every_point(space):
    searcher = GridSearcher(space, 2)
    configs = [searcher.propose(i) for i in range(len(searcher))]
    assert searcher.propose(len(searcher)) is None
    assert len({tuple(c.items()) for c in configs}) == len(searcher) == 2 * 2 * 2 * 2 * 4 * 2
    assert {c["lr"] for c in configs} == {1e-4, 1e-1}
    assert list(configs[0]) == list(SPEC)
    with pytest.raises(ValueError, match="points"):
        GridSearcher(space, 0)


def test_integers_on_a_logarithmic_scale_stand_for_their_surroundings():
    """n is drawn where the logarithm falls between those of n - 0.5 and n + 0.5."""
    rng = np.random.default_rng(0)
    drawn = np.bincount([Int(1, 4, log=True).sample(rng) for _ in range(5000)], minlength=5)
    expected = np.diff(np.log(np.arange(0.5, 5.0))) / np.log(4.5 / 0.5)
    assert drawn[0] == 0
    np.testing.assert_allclose(drawn[1:] / 5000, expected, atol=0.03)


def test_one_point_of_a_grid_is_the_middle():
    assert Float(2.0, 4.0).grid(1) == (3.0,)
    assert Float(1e-4, 1e-2, log=True).grid(1) == pytest.approx((1e-3,))
    assert Scipy("norm", (3.0, 2.0)).grid(1) == pytest.approx((3.0,))
    assert len(GridSearcher(SearchSpace.from_dict({"x": SPEC["lr"]}), 1)) == 1


def test_quantiles_are_those_of_the_distribution_and_finite():
    normal = Scipy("norm", (3.0, 2.0))
    assert normal.quantile(0.975) == pytest.approx(3.0 + 2.0 * 1.959964, abs=1e-5)
    assert math.isfinite(normal.quantile(0.0))
    assert math.isfinite(normal.quantile(1.0))
    assert Scipy("poisson", (4.0,)).quantile(0.5) == 4


@given(st.integers(-20, 20), st.integers(1, 30), st.integers(1, 8))
def test_grid_of_integers_stays_in_range(low, width, points):
    values = Int(low, low + width).grid(points)
    assert all(low <= value <= low + width for value in values)
    assert len(set(values)) == len(values) <= max(points, 1)


def test_constants_have_no_features():
    assert Constant(3).features(3) == ()
    assert Constant("a").grid(5) == ("a",)


def test_a_choice_is_told_from_its_equals_of_another_type():
    kinds = Categorical((True, 1, 0, "a"))
    assert kinds.features(kinds.choices[0]) == (1.0, 0.0, 0.0, 0.0)
    assert kinds.features(1) == (0.0, 1.0, 0.0, 0.0)
    numbers = Categorical((1, 2))
    assert numbers.features(2.0) == (0.0, 1.0)  # as a file without a type for integers gives it
    with pytest.raises(ValueError, match="3 is none of the choices"):
        numbers.features(3)


NEW_FORMS = {
    "layers": [[64], (64, 32), [128, 64, 32]],
    "width": {"type": "int", "low": 16, "high": 100, "step": 16},
    "numpy width": np.array([8, 16]),
    "numpy number": np.int64(3),
    "numpy choices": [np.float32(0.5), np.array([True])[0], np.str_("a")],
    "numpy ends": {"type": "int", "low": np.int64(1), "high": np.int64(3)},
    "whole ends": {"type": "float", "low": 0, "high": 2, "step": 1},
    "whole log ends": {"type": "float", "low": 1, "high": 10, "log": True},
    "range": range(10, 31, 10),
    "one float": {"type": "float", "low": 0.5, "high": 0.5},
    "one int": {"type": "int", "low": 4, "high": 4, "log": True},
    "drawn": stats.randint(2, 9),
    "drawn with numpy": stats.randint(low=np.int64(2), high=np.int64(9)),
}
EXPECTED = {
    "layers": tuple,
    "numpy choices": (float, bool, str),
    "whole ends": float,
    "whole log ends": float,
    "one float": float,
}


@pytest.fixture
def new_space():
    return SearchSpace.from_dict(NEW_FORMS)


def test_values_have_exact_types(new_space):
    """scipy's randint once gave 7.0 to a layer that wants 7."""
    rng = np.random.default_rng(0)
    configs = [new_space.sample(rng) for _ in range(30)] + new_space.samples(rng, 30)
    configs += [GridSearcher(new_space, 2).propose(trial) for trial in range(30)]
    for config in configs:
        new_space.validate(config)
        for name, value in config.items():
            kinds = EXPECTED.get(name, int)
            assert type(value) in (kinds if isinstance(kinds, tuple) else (kinds,)), name
    assert {c["width"] for c in configs} == {16, 32, 48, 64, 80, 96}
    assert {c["layers"] for c in configs} == {(64,), (64, 32), (128, 64, 32)}
    assert {c["range"] for c in configs} == {10, 20, 30}


@pytest.mark.parametrize(
    "family",
    [
        stats.binom(5, 0.5),
        stats.poisson(3.0),
        stats.geom(0.5),
        stats.nbinom(3, 0.5),
        stats.zipf(3.0),
        stats.bernoulli(0.3),
        stats.dlaplace(1.0),
        stats.hypergeom(20, 7, 12),
    ],
)
def test_discrete_distributions_give_whole_numbers(family):
    domain = SearchSpace.from_dict({"n": family}).domains["n"]
    rng = np.random.default_rng(0)
    values = [domain.sample(rng), *domain.samples(rng, 5), *domain.grid(3), domain.quantile(0.3)]
    assert {type(value) for value in values} == {int}


def test_new_forms_survive_json_and_toml(new_space, tmp_path):
    assert SearchSpace.from_dict(json.loads(json.dumps(new_space.to_dict()))) == new_space
    path = tmp_path / "space.toml"
    path.write_text(
        "layers = [[64], [64, 32]]\n"
        '[width]\ntype = "int"\nlow = 16\nhigh = 100\nstep = 16\n'
        '[act]\ntype = "categorical"\nchoices = [["relu", 0.1], "tanh"]\n'
        '[fixed]\ntype = "constant"\nvalue = [1, 2]\n'
        '[momentum]\ntype = "float"\nlow = 0.5\nhigh = 0.5\nwhen = { layers = [[64, 32]] }\n'
    )
    space = SearchSpace.from_toml(path)
    assert space.domains == {
        "layers": Categorical(((64,), (64, 32))),
        "width": Int(16, 100, step=16),
        "act": Categorical((("relu", 0.1), "tanh")),
        "fixed": Constant((1, 2)),
        "momentum": Float(0.5, 0.5),
    }
    assert space.present({"layers": [64, 32], "width": 16})[-1] == "momentum"
    assert "momentum" not in space.present({"layers": [64], "width": 16})


def test_new_forms_survive_a_journal(new_space):
    config = new_space.sample(np.random.default_rng(0))
    job = TrainJob(trial_id=0, config=config, start=0, stop=1)
    again = TrainJob.from_json(json.loads(json.dumps(job.to_json())))
    assert again == job
    assert type(again.config["layers"]) is tuple


def test_features_of_new_forms(new_space):
    config = new_space.sample(np.random.default_rng(0)) | {"layers": [64, 32], "width": 96}
    features = dict(zip(new_space.feature_names, new_space.to_features(config), strict=True))
    assert [features[f"layers={c}"] for c in ((64,), (64, 32), (128, 64, 32))] == [0, 1, 0]
    assert features["width"] == pytest.approx(80 / 84)
    assert features["one float"] == features["one int"] == 0.5
    assert all(0 <= value <= 1 for value in features.values())


@pytest.mark.parametrize("make", [RandomSearcher, SpaceCandidates])
def test_small_spaces_of_new_forms_are_used_up_without_a_repeat(make):
    space = SearchSpace.from_dict(
        {
            "layers": [[64], [64, 32]],
            "width": {"type": "int", "low": 16, "high": 100, "step": 40},
            "one": {"type": "float", "low": 1, "high": 1},
        }
    )
    searcher = make(space)
    draw = searcher.propose if make is RandomSearcher else searcher.first
    configs = [draw(trial) for trial in range(7)]
    assert configs[6] is None
    assert {(c["layers"], c["width"]) for c in configs[:6]} == {
        (layers, width) for layers in ((64,), (64, 32)) for width in (16, 56, 96)
    }


def test_choices_of_one_range_differ_from_a_list():
    assert SearchSpace.from_dict({"k": [1e-4, 1e-1]}).domains["k"].choices == (1e-4, 1e-1)
    assert SearchSpace.from_dict({"k": ("a", "b")}).domains["k"].choices == ("a", "b")
    assert SearchSpace.from_dict({"k": (16, 32, 64)}).domains["k"].choices == (16, 32, 64)
    assert SearchSpace.from_dict({"k": (True, False)}).domains["k"].choices == (True, False)
