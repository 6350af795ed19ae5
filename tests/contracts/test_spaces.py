"""The contract of `hpo.SearchSpace` and of what looks at spaces, conditions or none."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.searchers import GridSearcher, RandomSearcher, SpaceCandidates
from hpo.space import SearchSpace

UNIT = {"type": "float", "low": 0.0, "high": 1.0}
SPACES = {
    "flat": {"x": UNIT, "n": {"type": "int", "low": 1, "high": 3}, "k": ["a", "b"], "c": 7},
    "one": {"opt": ["adam", "sgd"], "momentum": {**UNIT, "when": {"opt": "sgd"}}},
    "child first": {"momentum": {**UNIT, "when": {"opt": "sgd"}}, "opt": ["adam", "sgd"]},
    "nested": {
        "opt": ["adam", "sgd", "lion"],
        "schedule": {
            "type": "categorical",
            "choices": ["flat", "cosine"],
            "when": {"opt": ["sgd", "lion"]},
        },
        "warmup": {"type": "int", "low": 1, "high": 9, "when": {"schedule": "cosine"}},
        "peak": {**UNIT, "when": {"warmup": [4, 5, 6, 7, 8, 9]}},
    },
    "both": {
        "layers": {"type": "int", "low": 1, "high": 100},
        "drop": [True, False, 1],
        "rate": {**UNIT, "step": 0.25, "when": {"drop": True, "layers": [2, 3, 5]}},
        "norm": {
            "type": "scipy",
            "name": "norm",
            "args": [0.0, 1.0],
            "kwds": {},
            "when": {"drop": [1, False]},
        },
        "units": {"type": "constant", "value": 64, "when": {"layers": 77}},
        "kind": {"type": "categorical", "choices": [None, "a"], "when": {"units": 64}},
    },
}


@st.composite
def specs(draw, most=7):
    """Spaces of up to `most` hyperparameters, each needing some of those before it, shuffled."""
    spec = {}
    for place in range(draw(st.integers(1, most))):
        kinds = [UNIT, {"type": "int", "low": 0, "high": 3}]
        kinds += [{"type": "categorical", "choices": list(c)} for c in ("xyz", (0, False, None))]
        table = dict(draw(st.sampled_from(kinds)))
        parents = [name for name, other in spec.items() if other["type"] != "float"]
        chosen = (
            draw(st.lists(st.sampled_from(parents), unique=True, max_size=2)) if parents else ()
        )
        if chosen:
            table["when"] = {name: draw(_some_of(spec[name])) for name in chosen}
        spec[f"p{place}"] = table
    order = draw(st.permutations(list(spec)))
    return {name: spec[name] for name in order}


def _some_of(table):
    values = table.get("choices", range(4))
    several = st.lists(st.sampled_from(list(values)), min_size=1, max_size=3)
    return st.one_of(st.sampled_from(list(values)), several)


def possible(spec):
    """Return the space, None where conditions exclude each other."""
    try:
        return SearchSpace.from_dict(spec)
    except ValueError as error:
        if "can never be present" not in str(error):
            raise
        return None


def configs_of(space, n):
    rng = np.random.default_rng(0)
    return [space.sample(rng) for _ in range(n)]


def key(config):
    return json.dumps(config, sort_keys=True)


def check_samples(space):
    for config in configs_of(space, 12):
        space.validate(config)
        assert list(config) == [name for name in space.domains if name in config]
        assert set(config) == set(space.present(config))
    rng, again = np.random.default_rng(3), np.random.default_rng(3)
    everything = space.sample_all(rng)
    assert set(everything) == set(space.domains)
    assert space.without_absent(everything) == space.sample(again)


def check_features(space):
    for config in configs_of(space, 12):
        features = space.to_features(config)
        assert features.shape == (len(space.feature_names),)
        assert np.all((features >= 0) & (features <= 1 + 1e-12))
        full = space.sample_all(np.random.default_rng(1)) | config
        np.testing.assert_array_equal(space.to_features(full), features)


def check_round_trip(space):
    again = SearchSpace.from_dict(json.loads(json.dumps(space.to_dict())))
    assert again == space
    assert configs_of(again, 5) == configs_of(space, 5)
    assert again.feature_names == space.feature_names


def check_grid(space):
    searcher = GridSearcher(space, 2)
    configs = [searcher.propose(trial) for trial in range(len(searcher))]
    assert searcher.propose(len(searcher)) is None
    assert len({key(config) for config in configs}) == len(configs)
    assert {name for config in configs for name in config} == set(space.domains)
    for config in configs:
        space.validate(config)


def check_neighbours(space):
    tried = configs_of(space, 4)
    candidates = SpaceCandidates(space)
    found = candidates.some(tried, 16, np.random.default_rng(0))
    for config in found:
        space.validate(config)
        assert list(config) == [name for name in space.domains if name in config]
    assert not {key(config) for config in found} & {key(config) for config in tried}
    if found:
        shape = (len(found), len(space.feature_names))
        assert candidates.features(found).shape == shape


CHECKS = [check_samples, check_features, check_round_trip, check_grid, check_neighbours]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("spec", SPACES.values(), ids=SPACES)
def test_contract(spec, check):
    check(SearchSpace.from_dict(spec))


@given(specs())
@settings(max_examples=25, deadline=None)
def test_any_space_keeps_the_contract(spec):
    space = possible(spec)
    if space is not None:
        for check in CHECKS:
            check(space)


@given(specs(4))
@settings(max_examples=25, deadline=None)
def test_points_are_those_of_the_plain_grid_without_what_is_absent(spec):
    """The oracle: every value of every parent, and conditions read as they are written."""

    def there(name, values):
        rule = spec[name].get("when", {})
        return all(_meets(values[p], each) and there(p, values) for p, each in rule.items())

    plain = {name: {k: v for k, v in t.items() if k != "when"} for name, t in spec.items()}
    grid = GridSearcher(SearchSpace.from_dict(plain), 4)
    expected, seen = set(), set()
    for values in map(grid.propose, range(len(grid))):
        left = {name: value for name, value in values.items() if there(name, values)}
        expected.add(key(left))
        seen.update(left)
    space = possible(spec)
    assert (space is not None) == (seen == set(spec))
    if space is not None:
        ours = GridSearcher(space, 4)
        assert {key(ours.propose(trial)) for trial in range(len(ours))} == expected


def _meets(value, wanted):
    several = wanted if isinstance(wanted, list) else [wanted]
    return any(repr(value) == repr(each) for each in several)


def test_conditions_move_no_other_value():
    free = {name: {k: v for k, v in t.items() if k != "when"} for name, t in _tables().items()}
    rich, plain = SearchSpace.from_dict(_tables()), SearchSpace.from_dict(free)
    for trial in range(20):
        config = RandomSearcher(rich, 1).propose(trial)
        whole = RandomSearcher(plain, 1).propose(trial)
        assert config == {name: whole[name] for name in config}


def _tables():
    return {n: t for n, t in SPACES["both"].items() if isinstance(t, dict)} | {
        "drop": {"type": "categorical", "choices": [True, False, 1]}
    }
