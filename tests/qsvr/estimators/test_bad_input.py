"""What a user reads when something is wrong: the parameter, the rule, the value, the remedy."""

from __future__ import annotations

from typing import ClassVar

import dimod
import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.metrics.pairwise import rbf_kernel

from qsvr import QSVR, CapacityError, QSVRError, SamplerError, SamplerFactory, get_sampler
from qsvr.samplers import StructuredAnnealer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(10, 2))
Y = X[:, 0] + 0.1 * RNG.normal(size=10)
WITH_NAN = np.where(np.arange(10) == 3, np.nan, 1.0)


class _FakeSampler(dimod.Sampler):
    """A sampler that takes no options."""

    parameters: ClassVar = {"num_reads": []}
    properties: ClassVar = {}


class EmptySampler(_FakeSampler):
    def sample(self, bqm, **parameters):
        return dimod.SampleSet.from_samples_bqm(np.empty((0, len(bqm))), bqm)


class FailingSampler(_FakeSampler):
    def sample(self, bqm, **parameters):
        raise ConnectionError("the solver is offline")


class ForgetfulSampler(_FakeSampler):
    """It answers for all variables but the last."""

    def sample(self, bqm, **parameters):
        zeros = np.zeros((1, len(bqm) - 1), dtype=np.int8)
        return dimod.SampleSet.from_samples(zeros, energy=[0.0], vartype=dimod.BINARY)


class WrongShapeSampler:
    """One of ours, not dimod's: it returns one bit too few."""

    parameters: ClassVar = frozenset()
    max_variables = None

    def sample(self, qubo, *, num_reads, seed, **options):
        samples = get_sampler("structured").sample(qubo, num_reads=num_reads, seed=seed)
        return type(samples)(samples.bits[:, :-1], samples.energies)


PARAMETERS = [
    ({"epsilon": -0.1}, r"epsilon of QSVR must be a finite number >= 0; got -0\.1"),
    ({"epsilon": np.nan}, "epsilon of QSVR must be a finite number >= 0; got nan"),
    ({"epsilon": "small"}, "epsilon of QSVR must be a finite number >= 0; got 'small'"),
    ({"C": 0.0}, r"C of QSVR must be a finite number > 0; got 0\.0"),
    ({"C": -1}, r"C of QSVR must be a finite number > 0; got -1\. The default is 1\.0\.$"),
    ({"C": np.inf}, "C of QSVR must be a finite number > 0; got inf"),
    ({"C": "implied"}, "C of QSVR must be.*got 'implied'.*requires base, whose weights determine"),
    (
        {"C": 2.0, "base": 0.5},
        r"C of QSVR must be 'implied' or 1\.75 when base.*got 2\.0.*Leave base",
    ),
    ({"C": "scale", "base": 0.5}, r"C of QSVR must be 'implied' or 1\.75 when base.*got 'scale'"),
    ({"C": None, "base": 0.5}, r"C of QSVR must be 'implied' or 1\.75 when base.*got None"),
    ({"base": -1.0, "C": "implied"}, r"base of QSVR must be a finite number > 0; got -1\.0"),
    ({"base": "two", "C": "implied"}, "base of QSVR must be a finite number > 0; got 'two'"),
    (
        {"base": 0.5, "C": "implied", "exponent_shift": "half"},
        "exponent_shift of QSVR must be a finite number.*got 'half'",
    ),
    ({"n_bits": 0}, "n_bits of QSVR must be an integer from 1 to 16; got 0. 2 to 3 bits suit"),
    ({"n_bits": 64}, "n_bits of QSVR must be an integer from 1 to 16; got 64"),
    ({"n_bits": 2.5}, r"n_bits of QSVR must be an integer from 1 to 16; got 2\.5"),
    ({"n_bits": True}, "n_bits of QSVR must be an integer from 1 to 16; got True"),
    ({"kernel": "gauss"}, r"kernel='gauss' is not known; use one of \['linear', .*or a callable"),
    ({"kernel": 3}, "kernel=3 is not known"),
    ({"kernel": ["rbf"]}, r"kernel=\['rbf'\] is not known"),
    (
        {"gamma": "wide"},
        "gamma of QSVR must be a finite number >= 0; got 'wide'.*'scale' and 'auto'",
    ),
    ({"gamma": -1.0}, r"gamma of QSVR must be a finite number >= 0; got -1\.0.*'scale' and 'auto'"),
    ({"gamma": None}, "gamma of QSVR must be a finite number >= 0; got None.*'scale' and 'auto'"),
    ({"degree": -1}, "degree of QSVR must be an integer >= 0; got -1"),
    ({"degree": 2.5}, r"degree of QSVR must be an integer >= 0; got 2\.5"),
    ({"coef0": np.nan}, "coef0 of QSVR must be a finite number.*got nan"),
    ({"coef0": -np.inf}, "coef0 of QSVR must be a finite number.*got -inf"),
    ({"equality_penalty": -1.0}, "equality_penalty of QSVR must be.*'scale' derives it from the"),
    ({"equality_penalty": "auto"}, "equality_penalty of QSVR must be.*got 'auto'"),
    ({"overlap_penalty": -1.0}, r"overlap_penalty of QSVR must be a finite number >= 0; got -1\.0"),
    ({"num_reads": 0}, "num_reads of QSVR must be an integer >= 1; got 0"),
    ({"num_reads": 10.0}, r"num_reads of QSVR must be an integer >= 1; got 10\.0"),
    ({"n_solutions": 0}, "n_solutions of QSVR must be an integer >= 1; got 0"),
    ({"combination": "median"}, r"combination of QSVR must be one of \['mean', .*got 'median'"),
    ({"combination": None}, "combination of QSVR must be one of.*got None"),
    ({"intercept": "svm"}, r"intercept of QSVR must be one of \['primal', 'kkt'\]; got 'svm'"),
    ({"combination_fraction": 1.0}, r"combination_fraction of QSVR must be.*< 1; got 1\.0"),
    ({"combination_fraction": -0.1}, "combination_fraction of QSVR must be.*>= 0"),
    ({"combination_fraction": 0.95}, "leaves 0 of 10 samples to train on.*Lower it"),
    ({"n_jobs": 0}, "n_jobs of QSVR must not be 0"),
    ({"sampler": "dwave"}, r"sampler='dwave' is not known; use one of \['structured', 'sa', "),
    (
        {"sampler_options": {"sweeps": 9}},
        r"\['sweeps'\], which the sampler 'structured' does not have\. Its options are \['beta_r",
    ),
    (
        {"sampler": "sa", "sampler_options": {"num_reads": 9}},
        r"sampler_options has \['num_reads'\], which the sampler 'sa' does not have",
    ),
    ({"sampler_options": {"num_sweeps": 0}}, "num_sweeps of sampler_options must be an integer"),
    ({"sampler_options": {"num_sweeps": "x"}}, "num_sweeps of sampler_options .* got 'x'"),
    ({"sampler_options": {"num_sweeps": np.nan}}, "num_sweeps of sampler_options .* got nan"),
    ({"sampler_options": {"num_sweeps": np.inf}}, "num_sweeps of sampler_options .* got inf"),
    ({"sampler_options": {"n_jobs": np.nan}}, "n_jobs of sampler_options .* got nan"),
    ({"sampler_options": {"n_jobs": "x"}}, "n_jobs of sampler_options .* got 'x'"),
    ({"sampler_options": {"beta_range": 5}}, "beta_range of sampler_options must be two.* got 5"),
    ({"sampler_options": {"beta_range": (1, 2, 3)}}, "beta_range of sampler_options must be two"),
    ({"sampler_options": {"beta_range": "ab"}}, "beta_range of sampler_options must be two"),
    ({"sampler_options": {"num_sweeps": 1.5}}, r"num_sweeps of sampler_options .* got 1\.5"),
    (
        {"sampler_options": {"beta_range": (2.0, 1.0)}},
        r"beta_range of sampler_options must be two.*got \(2\.0, 1\.0\)",
    ),
    ({"sampler_options": {"beta_range": (0.0, 1.0)}}, "beta_range of .* two.*0 < hot <= cold"),
    ({"sampler": SamplerFactory("no.such.Sampler")}, "path='no.such.Sampler' cannot be imported"),
    ({"sampler": SamplerFactory("dimod.NoSuch")}, "path='dimod.NoSuch' cannot be imported"),
]


@pytest.mark.parametrize(
    ("parameters", "message"), PARAMETERS, ids=[str(parameters) for parameters, _ in PARAMETERS]
)
def test_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        QSVR(**parameters).fit(X, Y)


def test_parameters_are_not_checked_before_fit():
    """Conventions of scikit-learn: the constructor stores, ``fit`` checks."""
    model = QSVR(n_bits=64, sampler="dwave", C=-1)
    assert model.get_params()["C"] == -1
    assert model.set_params(C=2).C == 2


DATA = {
    "NaN in X": (np.column_stack([WITH_NAN, WITH_NAN]), Y, "Input X contains NaN"),
    "infinity in X": (np.where(X > 1, np.inf, X), Y, "Input X contains infinity"),
    "NaN in y": (X, WITH_NAN, "Input y contains NaN"),
    "no y": (X, None, "requires y to be passed, but the target y is None"),
    "X of one dimension": (Y, Y, "Expected 2D array, got 1D array"),
    "two targets": (X, X, r"y should be a 1d array, got an array of shape \(10, 2\)"),
    "lengths differ": (X, Y[:9], r"inconsistent numbers of samples: \[10, 9\]"),
    "no sample": (X[:0], Y[:0], r"0 sample\(s\).*while a minimum of 2 is required"),
    "one sample": (X[:1], Y[:1], r"1 sample\(s\).*while a minimum of 2 is required"),
    "strings": (np.array([["a"] * 2] * 10), Y, "could not convert string to float"),
    "complex": (X + 1j, Y, "Complex data not supported"),
}


@pytest.mark.parametrize("name", DATA)
def test_training_data(name):
    rows, targets, message = DATA[name]
    with pytest.raises(ValueError, match=message):
        QSVR().fit(rows, targets)


def test_prediction_data():
    model = QSVR(random_state=0).fit(X, Y)
    with pytest.raises(ValueError, match="X has 3 features, but QSVR is expecting 2 features"):
        model.predict(np.zeros((4, 3)))
    with pytest.raises(ValueError, match="Input X contains NaN"):
        model.predict(np.full((1, 2), np.nan))
    with pytest.raises(NotFittedError, match="not fitted yet"):
        QSVR().predict(X)


WEIGHTS = {
    "negative": (np.linspace(-1, 1, 10), r"must not be negative; got -1\.0 .*Use 0 to leave"),
    "all zero": (np.zeros(10), "got 0 of 10|contain at least one non-zero"),
    "one positive": (np.eye(10)[0], "positive for at least 2 samples; got 1 of 10"),
    "NaN": (WITH_NAN, "Input sample_weight contains NaN"),
    "wrong length": (np.ones(9), r"sample_weight.shape == \(9,\), expected \(10,\)"),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights(name):
    weight, message = WEIGHTS[name]
    with pytest.raises(ValueError, match=message):
        QSVR().fit(X, Y, sample_weight=weight)


def _with_nan(A, B):
    return np.where(rbf_kernel(A, B) < 0.5, np.nan, 1.0)


def _asymmetric(A, B):
    return rbf_kernel(A, B) + np.arange(len(A))[:, None]


KERNELS = {
    "one value": (lambda A, B: 1.0, r"array of shape \(\); it must return .*= \(10, 10\)"),
    "one row too few": (lambda A, B: rbf_kernel(A, B)[1:], r"array of shape \(9, 10\)"),
    "NaN": (_with_nan, "the kernel callable must return finite values; got NaN or infinity"),
    "asymmetric": (_asymmetric, r"must be symmetric; entries differ by up to 9 .*\(K \+ K.T\) / 2"),
}


@pytest.mark.parametrize("name", KERNELS)
def test_kernel_callables(name):
    kernel, message = KERNELS[name]
    with pytest.raises(ValueError, match=message):
        QSVR(kernel=kernel).fit(X, Y)


def test_precomputed_kernels():
    model = QSVR(kernel="precomputed")
    with pytest.raises(ValueError, match=r"must be the square kernel matrix.*got shape \(10, 2\)"):
        model.fit(X, Y)
    with pytest.raises(ValueError, match="must be symmetric; entries differ by up to 9"):
        model.fit(_asymmetric(X, X), Y)
    with pytest.raises(ValueError, match="must be symmetric; entries differ by"):
        QSVR(kernel="precomputed", max_variables=36).fit(_asymmetric(X, X), Y)  # working sets
    with pytest.raises(TypeError, match="Sparse data was passed"):
        model.fit(sparse.csr_matrix(rbf_kernel(X)), Y)
    with pytest.raises(ValueError, match="X has 2 features, but QSVR is expecting 10 features"):
        model.fit(rbf_kernel(X), Y).predict(X)


SAMPLERS = {
    "no sample": (EmptySampler(), "the sampler returned no sample. Check its options"),
    "raises": (
        FailingSampler(),
        "the sampler 'FailingSampler' failed: ConnectionError: the solver is offline. Try sampler=",
    ),
    "too few variables": (ForgetfulSampler(), "no value for 1 of 60 variables, such as 59"),
    "too few bits": (WrongShapeSampler(), r"bits of shape \(64, 59\); it must return.*\(64, 60\)"),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_failing_samplers(name):
    sampler, message = SAMPLERS[name]
    with pytest.raises(SamplerError, match=message) as caught:
        QSVR(sampler=sampler).fit(X, Y)
    assert isinstance(caught.value, QSVRError)


def test_the_cause_of_a_samplers_failure_is_kept():
    with pytest.raises(SamplerError) as caught:
        QSVR(sampler=FailingSampler()).fit(X, Y)
    assert isinstance(caught.value.__cause__, ConnectionError)


@pytest.mark.parametrize("sampler", [3, object(), np.array, dimod.ExactSolver, StructuredAnnealer])
def test_objects_that_are_no_samplers(sampler):
    with pytest.raises(TypeError, match=r"sampler must be None, one of .* a SamplerFactory"):
        QSVR(sampler=sampler).fit(X, Y)


def test_capacity_names_the_remedy():
    message = (
        r"10 samples at n_bits=3 need 60 binary variables in one QUBO, and the sampler 'exact' "
        r"takes at most 18. Use sampler='structured'.*fewer bits, or at most 3 samples.*"
        r"max_samples=3"
    )
    with pytest.raises(CapacityError, match=message) as caught:
        QSVR(sampler="exact", max_variables=None).fit(X, Y)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, QSVRError)
    # samples of weight 0 need no variables
    weight = (np.arange(10) < 3).astype(float)
    assert QSVR(sampler="exact").fit(X, Y, sample_weight=weight).energy_ < 0


@pytest.mark.parametrize("name", ["token", "API_Token"])
def test_a_factory_never_holds_a_token(name):
    with pytest.raises(ValueError, match=r"must not hold a token.*configuration") as caught:
        SamplerFactory("dwave.system.DWaveSampler", {name: "DEV-1234"})
    assert "DEV-1234" not in str(caught.value)


def test_a_factory_needs_a_module():
    with pytest.raises(ValueError, match=r"import path with a module.*got 'Sampler'"):
        SamplerFactory("Sampler")


def test_a_factory_needs_its_arguments_by_name():
    with pytest.raises(ValueError, match=r"arguments must be a mapping.*got str"):
        SamplerFactory("dwave.samplers", "SimulatedAnnealingSampler")


# --- unusual, and fine ----------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", ["structured", "sa", "neal", "tabu", "relax-round"])
@pytest.mark.parametrize("intercept", ["primal", "kkt"])
def test_constant_targets_are_predicted(sampler, intercept):
    model = QSVR(sampler=sampler, num_reads=3, intercept=intercept, random_state=0)
    model.fit(X, np.full(10, 7.5))
    np.testing.assert_array_equal(model.predict(X), 7.5)
    assert model.support_.size == 0
    assert model.dual_coef_.shape == (1, 0)
    assert model.n_support_.tolist() == [0]


def test_two_samples_are_enough():
    model = QSVR(C=10, epsilon=0.0, n_bits=8, random_state=0).fit([[0.0], [1.0]], [0.0, 1.0])
    np.testing.assert_allclose(model.predict([[0.0], [1.0]]), [0.0, 1.0], atol=0.05)


def test_repeated_samples_and_constant_features():
    rows, targets = np.zeros((12, 3)), np.arange(12.0) % 3
    prediction = QSVR(C=1.0, random_state=0).fit(rows, targets).predict(rows[:2])
    np.testing.assert_allclose(prediction, 1.0, atol=0.11)  # the median, within epsilon


def test_a_single_feature_and_a_huge_scale():
    rows = np.linspace(0, 1, 12)[:, None]
    targets = 1e12 * rows[:, 0]
    model = QSVR(C=1e12, epsilon=1e10, n_bits=8, random_state=0).fit(rows, targets)
    assert model.score(rows, targets) > 0.95
