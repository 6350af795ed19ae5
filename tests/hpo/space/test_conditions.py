"""Conditional hyperparameters: what is refused, what models see, what neighbours do."""

from __future__ import annotations

import numpy as np
import pytest

from hpo.predictors.regression import CurveFeatures
from hpo.report.importance import importance
from hpo.searchers import CurveSearcher, GridSearcher, RandomSearcher, SpaceCandidates
from hpo.space import SearchSpace
from hpo.space.domains import Categorical, Float
from hpo.trial import Curve, TrialStatus, TrialSummary

UNIT = {"type": "float", "low": 0.0, "high": 1.0}
LAYERS = {"type": "int", "low": 1, "high": 4}
OPT = ["adam", "sgd"]
SPACE = SearchSpace.from_dict(
    {
        "opt": OPT,
        "lr": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
        "momentum": {**UNIT, "when": {"opt": "sgd"}},
        "nesterov": {"type": "categorical", "choices": [True, False], "when": {"opt": "sgd"}},
        "damping": {**UNIT, "when": {"nesterov": False}},
    }
)


def test_a_toml_file_has_conditions(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(
        '[opt]\ntype = "categorical"\nchoices = ["adam", "sgd"]\n'
        '[momentum]\ntype = "float"\nlow = 0.0\nhigh = 1.0\nwhen = { opt = "sgd" }\n'
    )
    space = SearchSpace.from_toml(path)
    assert space.conditions == {"momentum": {"opt": ("sgd",)}}
    table = {"type": "float", "low": 0.0, "high": 1.0, "log": False, "step": None}
    assert space.to_dict()["momentum"] == {**table, "when": {"opt": ["sgd"]}}
    assert "when" not in space.to_dict()["opt"]
    domains = {"opt": Categorical(("adam", "sgd")), "momentum": Float(0.0, 1.0)}
    assert space == SearchSpace(domains, {"momentum": {"opt": ("sgd",)}})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"a": {**UNIT, "when": "b"}}, "'a': when must be a table of .* got 'b'"),
        ({"a": {**UNIT, "when": {}}}, "'a': when must be a table of .* got {}"),
        (
            {"a": {**UNIT, "when": {"b": 1}}},
            r"'a': when must name hyperparameters of the space \('a'\), got 'b'",
        ),
        ({"o": OPT, "a": {**UNIT, "when": {"o": []}}}, "'a': when must give 'o' at least one"),
        (
            {"o": OPT, "a": {**UNIT, "when": {"o": "adm"}}},
            "'a': when gives 'o' the value 'adm', which it cannot take; it takes 'adam', 'sgd'",
        ),
        (
            {"n": LAYERS, "a": {**UNIT, "when": {"n": [2, 5]}}},
            "'a': when gives 'n' the value 5, .* it takes whole numbers from 1 to 4",
        ),
        ({"n": LAYERS, "a": {**UNIT, "when": {"n": 1.5}}}, "'a'.* the value 1.5"),
        ({"n": LAYERS, "a": {**UNIT, "when": {"n": True}}}, "'a'.* the value True"),
        ({"n": LAYERS, "a": {**UNIT, "when": {"n": [[1]]}}}, r"'a'.* the value \(1,\)"),
        ({"c": 3, "a": {**UNIT, "when": {"c": 4}}}, "'a'.* the value 4, .* it is always 3"),
        ({"x": UNIT, "a": {**UNIT, "when": {"x": 0.5}}}, "'a': when names 'x', a float, .* use an"),
        ({"a": {"choices": OPT, "when": {"a": "sgd"}}}, "'a': type must be one of"),
        ({"a": {**LAYERS, "when": {"a": 1}}}, "circular: 'a' needs 'a'; remove one"),
        (
            {
                "a": {**LAYERS, "when": {"c": 1}},
                "b": {**LAYERS, "when": {"a": 1}},
                "c": {**LAYERS, "when": {"b": 1}},
            },
            "circular: 'a' needs 'c' needs 'b' needs 'a'; remove one",
        ),
        (
            {
                "o": OPT,
                "b": {**LAYERS, "when": {"o": "sgd"}},
                "a": {**UNIT, "when": {"b": 1, "o": "adam"}},
            },
            "'a' can never be present: 'o' would have to be 'adam' and 'sgd' at once",
        ),
    ],
)
def test_bad_conditions_name_parameter_rule_and_value(spec, message):
    with pytest.raises(ValueError, match=message):
        SearchSpace.from_dict(spec)


def test_a_condition_for_nothing():
    with pytest.raises(ValueError, match="a condition for 'b', which is not in the search space"):
        SearchSpace({"a": Float(0.0, 1.0)}, {"b": {"a": (1,)}})
    with pytest.raises(ValueError, match="'a': when must name at least one other"):
        SearchSpace({"a": Float(0.0, 1.0)}, {"a": {}})


SGD = {"opt": "sgd", "lr": 0.01, "momentum": 0.9, "nesterov": True}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"opt": "adam"}, "a value for 'lr', got none"),
        ({"opt": "sgd", "lr": 0.01, "nesterov": True}, "a value for 'momentum', got none"),
        (SGD | {"opt": "adam"}, r"has 'momentum', which is present only when \{'opt': \['sgd'\]\}"),
        (SGD | {"damping": 0.1}, "has 'damping', which is present only when .* remove it"),
        (SGD | {"depth": 3}, "has 'depth', which is not in the search space"),
        (SGD | {"momentum": 1.5}, "'momentum' must lie in its domain .*'high': 1.0.* got 1.5"),
        (SGD | {"momentum": "0.5"}, "'momentum' must lie in its domain"),
        (SGD | {"nesterov": 1}, "'nesterov' must lie in its domain .* got 1"),
    ],
)
def test_configurations_that_are_not_of_the_space(config, message):
    SPACE.validate(SGD)
    SPACE.validate({"opt": "adam", "lr": 0.1 * (1 + 1e-12)})
    with pytest.raises(ValueError, match=message):
        SPACE.validate(config)


def test_domains_tell_their_values():
    space = SearchSpace.from_dict(
        {
            "n": LAYERS,
            "step": {**UNIT, "step": 0.25},
            "count": {"type": "scipy", "name": "poisson", "args": [4.0]},
            "scale": {"type": "scipy", "name": "uniform", "args": [2.0, 3.0]},
        }
    )
    good = {"n": np.int64(3), "step": 0.75, "count": 9, "scale": np.float64(4.5)}
    space.validate(good)
    for name, value in {"n": 2.5, "step": 0.3, "count": 1.5, "scale": 5.5, "n ": 1}.items():
        with pytest.raises(ValueError, match=name):
            space.validate(good | {name: value})
    for value in (True, 0, "2", None, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="'n' must lie in its domain"):
            space.validate(good | {"n": value})


def test_features_tell_what_is_absent():
    names = ["opt=adam", "opt=sgd", "lr", "momentum is there", "momentum"]
    names += ["nesterov=True", "nesterov=False", "damping is there", "damping"]
    assert list(SPACE.feature_names) == names
    rows = {
        (1, 0, 1, 0, 0.5, 0, 0, 0, 0.5): {"opt": "adam", "lr": 0.1},
        (0, 1, 1, 1, 0.9, 1, 0, 0, 0.5): SGD | {"lr": 0.1},
        (0, 1, 1, 1, 0.9, 0, 1, 1, 0.2): SGD | {"lr": 0.1, "nesterov": False, "damping": 0.2},
    }
    for expected, config in rows.items():
        np.testing.assert_allclose(SPACE.to_features(config), expected)
    with pytest.raises(ValueError, match="a value for 'damping', got none"):
        SPACE.to_features(SGD | {"nesterov": False})
    curves = [Curve(i, config, (1.0,)) for i, config in enumerate(rows.values())]
    assert CurveFeatures(space=SPACE)(curves, np.ones((3, 1))).shape == (3, 1 + len(names))


def test_a_grid_has_every_point_once_and_fulfils_every_condition():
    grid = GridSearcher(SPACE, 2)
    configs = [grid.propose(trial) for trial in range(len(grid))]
    assert len(grid) == 2 * (1 + 2 * (1 + 2))
    assert [c["opt"] for c in configs] == ["adam"] * 2 + ["sgd"] * 12
    assert len({repr(config) for config in configs}) == 14
    wide = SearchSpace.from_dict(
        {"n": {"type": "int", "low": 1, "high": 99}, "a": {**UNIT, "when": {"n": [40, 41, 42]}}}
    )
    grid = GridSearcher(wide, 3)
    assert [values for _, values in grid.axes] == [(1, 41, 50, 99), (0.0, 0.5, 1.0)]
    assert len(grid) == 3 + 3


def test_a_large_grid_is_counted_not_listed():
    tables = {f"x{i}": {**UNIT, "when": {"opt": OPT[i % 2]}} for i in range(40)}
    grid = GridSearcher(SearchSpace.from_dict({"opt": OPT, **tables}), 4)
    assert len(grid) == 2 * 4**20
    assert set(grid.propose(len(grid) - 1)) == {"opt", *(f"x{i}" for i in range(1, 40, 2))}
    assert set(grid.propose(0).values()) == {"adam", 0.0}


def test_a_neighbour_with_another_parent_gets_its_children():
    candidates = SpaceCandidates(SPACE, parents=1)
    found = candidates.some([SGD], 400, np.random.default_rng(0))[200:]  # the near ones
    assert {config["opt"] for config in found} == set(OPT)
    near = [config["momentum"] for config in found if config["opt"] == "sgd"]
    assert near.count(0.9) > len(near) / 4
    assert all("momentum" not in config for config in found if config["opt"] == "adam")
    adam = {"opt": "adam", "lr": 0.01}
    found = candidates.some([adam], 400, np.random.default_rng(0))[200:]
    drawn = [config["momentum"] for config in found if config["opt"] == "sgd"]
    assert len(drawn) > 50
    assert np.std(drawn) > 0.2


def loss_of(config):
    if config["opt"] == "adam":
        return 1.0 + (np.log10(config["lr"]) + 3) ** 2
    extra = (config["damping"] - 0.3) ** 2 if "damping" in config else 0.5
    return (np.log10(config["lr"]) + 2) ** 2 + (config["momentum"] - 0.9) ** 2 + extra


def test_proposals_find_the_branch_and_what_is_good_in_it():
    configs = [RandomSearcher(SPACE).propose(trial) for trial in range(50)]
    curves = [Curve(i, config, (loss_of(config),)) for i, config in enumerate(configs)]
    searcher = CurveSearcher(SPACE, random_share=0.0)
    found = searcher.suggest(curves, 12, max_resource=1, seed=0)
    for config in found:
        SPACE.validate(config)
    assert np.median([loss_of(c) for c in found]) < 0.4 * np.median([loss_of(c) for c in configs])
    assert sum(config["opt"] == "sgd" for config in found) >= 10


def test_importance_where_some_trials_lack_a_hyperparameter():
    configs = [RandomSearcher(SPACE).propose(trial) for trial in range(150)]
    trials = [
        TrialSummary(i, c, 0, 0, TrialStatus.COMPLETED, (3 * (c["opt"] == "adam") + c["lr"],))
        for i, c in enumerate(configs)
    ]
    told = importance(trials, 1)
    assert told.names[0] == "opt"  # not what is there only with it
    assert set(told.names) == set(SPACE.domains)
    worth = dict(zip(told.names, told.mean, strict=True))
    assert worth["opt"] > 5 * max(abs(worth[name]) for name in ("momentum", "nesterov", "damping"))
