"""Spaces of ConfigSpace, Optuna and Ray Tune, from and to ours."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hpo.integrations.configspace import from_configspace, to_configspace
from hpo.space import Categorical, Constant, Float, Int, Scipy, SearchSpace

FLAT = {
    "lr": Float(1e-4, 1e-1, log=True),
    "dropout": Float(0.0, 0.5),
    "momentum": Float(0.0, 1.0, step=0.25),
    "layers": Int(1, 4),
    "width": Int(8, 512, log=True),
    "heads": Int(2, 8, step=2),
    "act": Categorical(("relu", "tanh", True, 3)),
    "batch": Constant(32),
}
SPACE = SearchSpace(FLAT)
CONDITIONAL = SearchSpace(
    {**FLAT, "nesterov": Categorical((True, False)), "decay": Float(1e-6, 1e-2, log=True)},
    {"nesterov": {"act": ("relu",)}, "decay": {"act": ("tanh", 3), "layers": (2, 3)}},
)


class TestConfigSpace:
    @pytest.fixture(autouse=True)
    def package(self):
        return pytest.importorskip("ConfigSpace")

    @pytest.mark.parametrize("space", [SPACE, CONDITIONAL], ids=["flat", "conditional"])
    def test_there_and_back(self, space):
        assert from_configspace(to_configspace(space, seed=0)) == space

    def test_samples_of_theirs_are_configurations_of_ours(self):
        theirs = to_configspace(CONDITIONAL, seed=0)
        for config in theirs.sample_configuration(40):
            CONDITIONAL.validate(dict(config))

    def test_samples_of_ours_are_valid_there(self, package):
        theirs = to_configspace(CONDITIONAL, seed=0)
        rng = np.random.default_rng(0)
        for _ in range(20):
            package.Configuration(theirs, values=CONDITIONAL.sample(rng))

    def test_a_space_as_smac_users_write_it(self, package):
        theirs = package.ConfigurationSpace(
            {"lr": (1e-4, 1e-1), "depth": (2, 9), "kernel": ["rbf", "poly"], "seed": 7}
        )
        theirs.add(package.OrdinalHyperparameter("size", ["small", "large"]))
        theirs.add(package.Float("bias", (-3, 3), distribution=package.Normal(0, 2)))
        ours = from_configspace(theirs)
        bias = ours.domains["bias"]
        assert {name: d for name, d in ours.domains.items() if name != "bias"} == {
            "lr": Float(1e-4, 1e-1),
            "depth": Int(2, 9),
            "kernel": Categorical(("rbf", "poly")),
            "seed": Constant(7),
            "size": Categorical(("small", "large")),
        }
        assert bias.support == (-3.0, 3.0)
        assert bias.sample(np.random.default_rng(0)) in bias

    def test_what_we_do_not_have_is_refused_by_name(self, package):
        def theirs(*parts):
            space = package.ConfigurationSpace()
            space.add(*parts)
            return space

        kernel = package.Categorical("kernel", ["rbf", "poly"], weights=[0.9, 0.1])
        depth = package.Integer("depth", (2, 9))
        with pytest.raises(ValueError, match="'kernel' has weighted choices"):
            from_configspace(theirs(kernel))
        with pytest.raises(ValueError, match="forbidden clauses"):
            from_configspace(theirs(depth, package.ForbiddenEqualsClause(depth, 3)))
        width = package.Integer("width", (2, 9))
        with pytest.raises(ValueError, match="'width' has the condition"):
            from_configspace(theirs(depth, width, package.GreaterThanCondition(width, depth, 4)))
        beta = package.Float("share", (0, 1), distribution=package.Beta(2, 2))
        with pytest.raises(ValueError, match="'share' is a BetaFloat"):
            from_configspace(theirs(beta))
        with pytest.raises(ValueError, match=r"'x'.*scipy.stats.gamma"):
            to_configspace(SearchSpace.from_dict({"x": stats.gamma(2.0)}))

    def test_single_values_become_constants(self):
        space = SearchSpace.from_dict({"a": Int(3, 3), "b": Float(0.5, 0.5)})
        assert from_configspace(to_configspace(space)).domains == {
            "a": Constant(3),
            "b": Constant(0.5),
        }


class TestOptuna:
    @pytest.fixture(autouse=True)
    def package(self):
        optuna = pytest.importorskip("optuna")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        return optuna

    def test_there_and_back(self):
        from hpo.integrations.optuna import from_optuna, to_optuna

        again = from_optuna(to_optuna(SPACE))
        assert again == SearchSpace({**FLAT, "batch": Categorical((32,))})

    def test_a_study_samples_configurations_of_ours(self, package):
        from hpo.integrations.optuna import to_optuna

        space = SearchSpace.from_dict({**FLAT, "n": stats.randint(2, 9), "one": Int(5, 5)})
        study = package.create_study(sampler=package.samplers.RandomSampler(seed=0))
        for _ in range(20):
            params = study.ask(fixed_distributions=to_optuna(space)).params
            space.validate(params)
            assert type(params["n"]) is int

    def test_conditions_are_refused(self):
        from hpo.integrations.optuna import to_optuna

        with pytest.raises(ValueError, match=r"no conditions.*'nesterov', 'decay'"):
            to_optuna(CONDITIONAL)


class TestRay:
    @pytest.fixture(autouse=True)
    def package(self):
        return pytest.importorskip("ray.tune")

    def test_there_and_back(self):
        from hpo.integrations.ray import from_ray, to_ray

        assert from_ray(to_ray(SPACE)) == SPACE

    def test_a_space_as_ray_users_write_it(self, package):
        from hpo.integrations.ray import from_ray

        theirs = {
            "lr": package.loguniform(1e-4, 1e-1),
            "units": package.randint(1, 10),
            "steps": package.qrandint(10, 30, 5),
            "noise": package.randn(0.0, 2.0),
            "net": package.choice([[64], [64, 32]]),
            "grid": package.grid_search([1, 2]),
            "kernel": [3, 3],
        }
        assert from_ray(theirs).domains == {
            "lr": Float(1e-4, 1e-1, log=True),
            "units": Int(1, 9),
            "steps": Int(10, 30, step=5),
            "noise": Scipy("norm", (0.0, 2.0)),
            "net": Categorical(((64,), (64, 32))),
            "grid": Categorical((1, 2)),
            "kernel": Constant((3, 3)),
        }

    def test_samples_of_theirs_are_configurations_of_ours(self):
        from hpo.integrations.ray import to_ray

        space = SearchSpace.from_dict({**FLAT, "odd": Int(3, 9, step=2), "one": Float(2, 2)})
        theirs = to_ray(space)
        for _ in range(20):
            config = {
                name: each.sample() if hasattr(each, "sample") else each
                for name, each in theirs.items()
            }
            space.validate(config)

    def test_what_has_no_counterpart_is_refused_by_name(self, package):
        from hpo.integrations.ray import from_ray, to_ray

        with pytest.raises(ValueError, match=r"'model'.*not nested"):
            from_ray({"model": {"lr": package.uniform(0, 1)}})
        with pytest.raises(ValueError, match=r"'f'.*no counterpart"):
            from_ray({"f": package.sample_from(lambda: 1)})
        with pytest.raises(ValueError, match=r"'lr'.*step.*log"):
            from_ray({"lr": package.qloguniform(1e-4, 1e-1, 1e-4)})
        with pytest.raises(ValueError, match="Ray Tune has no conditions"):
            to_ray(CONDITIONAL)
