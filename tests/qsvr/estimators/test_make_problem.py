"""From data to a problem for somebody else's annealer, and back."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import ClassVar

import dimod
import numpy as np
import pytest
from dwave.samplers import SimulatedAnnealingSampler

from friedman import X_NEW, X, Y, make_model
from qsvr import QSVR, CapacityError, QSVRProblem
from qsvr.solve import DirectSolver

X, Y = X[:8], Y[:8]


class RecordingSampler(dimod.Sampler):
    """A user's sampler, which keeps what it was asked and what it answered."""

    parameters: ClassVar = {"num_reads": [], "seed": []}
    properties: ClassVar = {}

    def __init__(self, vartype="BINARY"):
        self.vartype = vartype

    def sample(self, bqm, *, num_reads, seed):
        self.bqm = bqm
        answer = SimulatedAnnealingSampler().sample(bqm, num_reads=num_reads, seed=seed)
        self.answer = answer.aggregate().change_vartype(self.vartype, inplace=False)
        return self.answer


class RecordingCQMSampler:
    parameters: ClassVar = {}

    def sample_cqm(self, cqm, **options):
        self.cqm = cqm
        self.answer = dimod.ExactCQMSolver().sample_cqm(cqm)
        return self.answer


def through_a_file(bqm):
    with bqm.to_file() as file:
        return dimod.BinaryQuadraticModel.from_file(file)


def through_json(sample_set):
    text = json.dumps(sample_set.to_serializable())
    return dimod.SampleSet.from_serializable(json.loads(text))


def same_model(model, other):
    for name in ("dual_coef_", "intercept_", "support_", "energy_", "relaxation_bound_"):
        np.testing.assert_array_equal(getattr(model, name), getattr(other, name))
    mine, others = (each.predict(X_NEW, return_std=True) for each in (model, other))
    np.testing.assert_array_equal(mine, others)
    for name in ("raw_energies", "energies", "random_energies"):
        np.testing.assert_array_equal(model.sampler_info_[name], other.sampler_info_[name])


@pytest.mark.parametrize("vartype", ["BINARY", "SPIN"])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"polish": False},
        {"normalize_y": True, "C": 3.0},
        {"combination": "mse", "combination_fraction": 0.25},
        {"base": 0.5, "C": "implied", "overlap_penalty": 1.0},
        {"kernel": "sigmoid", "gamma": 0.02, "coef0": -0.5, "psd": "clip"},
    ],
)
def test_the_samplers_own_samples_give_the_fit(parameters, vartype):
    """Through files of dimod's own format, there and back, to the last bit."""
    sampler = RecordingSampler(vartype)
    weight = 1.0 + np.arange(8) % 2
    fitted = make_model(sampler=sampler, **parameters).fit(X, Y, sample_weight=weight)
    model = make_model(**parameters)
    problem = model.make_problem(X, Y, sample_weight=weight)
    assert through_a_file(problem.to_bqm()) == sampler.bqm
    model.fit_samples(X, Y, through_json(sampler.answer), sample_weight=weight)
    same_model(model, fitted)
    assert model.sampler_info_["sampler"] == "given"


def test_an_integer_model_through_an_lp_file():
    """LP files have text labels, so the variables are renamed; labels may end in the number."""
    parameters = {"sampler": RecordingCQMSampler(), "n_bits": 2, "num_reads": 10_000}
    rows, targets = X[:3], Y[:3]
    fitted = make_model(**parameters).fit(rows, targets)
    model = make_model(n_bits=2)
    cqm = model.make_problem(rows, targets).to_cqm()
    assert cqm.is_equal(fitted.sampler.cqm)
    text = dimod.lp.dumps(cqm.relabel_variables({i: f"x{i}" for i in range(6)}, inplace=False))
    solved = dimod.ExactCQMSolver().sample_cqm(dimod.lp.loads(text))
    model.fit_samples(rows, targets, through_json(solved))
    np.testing.assert_allclose(model.energy_, fitted.energy_, rtol=1e-12)
    np.testing.assert_allclose(model.predict(X_NEW), fitted.predict(X_NEW), rtol=1e-9)
    exact = make_model(n_bits=2).fit_samples(rows, targets, fitted.sampler.answer)
    np.testing.assert_array_equal(exact.predict(X_NEW), fitted.predict(X_NEW))
    levels = model.make_problem(rows, targets).decode(solved)
    np.testing.assert_allclose((levels[:, 0] - levels[:, 1]).sum(axis=1), 0.0, atol=1e-12)


def test_labels_may_stand_in_any_order():
    problem = make_model().make_problem(X, Y)
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, size=(5, problem.n_variables), dtype=np.int8)
    order = rng.permutation(problem.n_variables)
    expected = problem.qubo.encoding.decode(bits)
    for labels in (order.tolist(), [f"q[{i}" for i in order], [str(i) for i in order]):
        samples = dimod.SampleSet.from_samples(
            (bits[:, order], labels), vartype="BINARY", energy=problem.qubo.energies(bits)
        )
        np.testing.assert_array_equal(problem.decode(samples), expected)
    spins = dimod.SampleSet.from_samples(
        (2 * bits[:, order] - 1, order.tolist()), vartype="SPIN", energy=problem.qubo.energies(bits)
    )
    np.testing.assert_array_equal(problem.decode(spins), expected)
    result = problem.to_samples(spins)
    np.testing.assert_array_equal(result.bits, bits)
    np.testing.assert_allclose(result.energies, problem.to_bqm().energies(bits))


def test_occurrences_count():
    problem = make_model().make_problem(X, Y)
    bits = np.eye(3, problem.n_variables, dtype=np.int8)
    samples = dimod.SampleSet.from_samples(
        bits, vartype="BINARY", energy=problem.qubo.energies(bits), num_occurrences=[2, 0, 3]
    )
    np.testing.assert_array_equal(problem.to_samples(samples).bits, bits[[0, 0, 2, 2, 2]])


def test_the_problem_is_that_of_the_fit():
    problem = make_model().make_problem(X, Y, sample_weight=np.arange(8))
    assert isinstance(problem, QSVRProblem)
    assert (problem.n_samples, problem.n_variables) == (7, 42)
    assert problem.to_cqm().constraints.keys() == {"sum_b"}
    found = DirectSolver(RecordingSamplerOfOurs(), 4).solve(
        problem.qubo.dual, problem.qubo.encoding, n_solutions=2, seed=0
    )
    assert found.energies[0] < 0


class RecordingSamplerOfOurs:
    parameters: ClassVar = frozenset()
    max_variables = None

    def sample(self, qubo, *, num_reads, seed, **options):
        from qsvr import get_sampler

        return get_sampler("structured").sample(qubo, num_reads=num_reads, seed=seed)


def test_making_a_problem_leaves_the_model_unfitted():
    model = make_model()
    model.make_problem(X, Y)
    assert not [name for name in vars(model) if name.endswith("_") and not name.startswith("_")]
    fitted = make_model().fit(X, Y)
    expected = fitted.predict(X_NEW)
    fitted.make_problem(X[:, :3], Y)
    np.testing.assert_array_equal(fitted.predict(X_NEW), expected)


def test_no_sampler_is_opened():
    """A user without an account prepares a problem for somebody who has one."""
    code = """
import sys
import dimod, numpy as np
from qsvr import QSVR
X, y = np.arange(6.0).reshape(3, 2), np.arange(3.0)
model = QSVR(sampler="qpu", sampler_options={"region": "na-west-1"}, n_bits=2, random_state=0)
problem = model.make_problem(X, y)
answer = dimod.ExactSolver().sample(problem.to_bqm())
print(model.fit_samples(X, y, answer).predict(X).round(1))
assert not [name for name in sys.modules if name.startswith(("dwave.system", "dwave.cloud"))]
assert not [name for name in sys.modules if name.startswith("qsvr.samplers.dwave")]
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[")


def test_large_problems_are_one_qubo():
    rows = np.linspace(0, 1, 120)[:, None]
    problem = QSVR(sampler="qpu", n_bits=1).make_problem(rows, rows[:, 0])
    assert problem.n_variables == 240
    with pytest.raises(
        CapacityError, match="240 binary variables, and max_variables of QSVR is 60"
    ):
        QSVR(n_bits=1, max_variables=60).make_problem(rows, rows[:, 0])


def _samples(values, labels=None, vartype="BINARY", **more):
    labels = list(range(np.shape(values)[1])) if labels is None else labels
    return dimod.SampleSet.from_samples(
        (np.asarray(values), labels), vartype=vartype, **{"energy": 0.0, **more}
    )


ZEROS = np.zeros((2, 48), dtype=np.int8)
WRONG = {
    "no sample set": ([{0: 1}], TypeError, "sampleset must be a dimod.SampleSet; got list"),
    "an array": (ZEROS, TypeError, "must be a dimod.SampleSet; got ndarray.*from_samples"),
    "no sample": (_samples(ZEROS[:0]), ValueError, "at least one sample; got an empty one"),
    "another size": (
        _samples(ZEROS[:, :30]),
        ValueError,
        r"has 30 variables; the problem has 48 bits \(to_bqm\) or 16 levels.*n_bits of make_",
    ),
    "a missing variable": (
        _samples(ZEROS, [*range(5), *range(6, 49)]), ValueError, "no value for variable 5; its",
    ),
    "other labels": (_samples(ZEROS, [f"v{i}a" for i in range(48)]), ValueError, "no value for"),
    "numbers twice": (_samples(ZEROS, [*range(47), "x3"]), ValueError, "no value for variable 47"),
    "NaN": (_samples(np.full((1, 48), np.nan)), ValueError, "bits of 0 or 1; got nan"),
    "no bits": (_samples(ZEROS + 2), ValueError, "must have bits of 0 or 1; got 2"),
    "half bits": (_samples(ZEROS + 0.5), ValueError, r"bits of 0 or 1; got 0\.5"),
    "no spins": (_samples(ZEROS, vartype="SPIN"), ValueError, "spins of -1 or 1; got 0"),
    "a level too high": (
        _samples(np.full((1, 16), 8), vartype="INTEGER"), ValueError, "levels from 0 to 7; got 8",
    ),
    "a level below 0": (
        _samples(np.full((1, 16), -1), vartype="INTEGER"), ValueError, "0 to 7; got -1",
    ),
    "no level": (
        _samples(np.full((1, 16), 0.4), vartype="INTEGER"), ValueError, r"0 to 7; got 0\.4",
    ),
    "negative occurrences": (
        _samples(ZEROS, num_occurrences=[-1, 2]), ValueError, "num_occurrences.*got -1 to 2",
    ),
    "no occurrence": (_samples(ZEROS, num_occurrences=[0, 0]), ValueError, "not all 0"),
    "too many occurrences": (
        _samples(ZEROS, num_occurrences=[10**9, 1]), ValueError, "1000000001 reads.*to 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_sample_sets_of_something_else(name):
    sample_set, kind, message = WRONG[name]
    problem = make_model().make_problem(X, Y)
    with pytest.raises(kind, match=message):
        problem.decode(sample_set)
    with pytest.raises(kind, match=message):
        make_model().fit_samples(X, Y, sample_set)


def test_energies_of_another_problem_are_noticed():
    problem = make_model().make_problem(X, Y)
    bits = np.eye(2, 48, dtype=np.int8)
    answer = dimod.SampleSet.from_samples_bqm(bits, problem.to_bqm())
    problem.decode(answer)
    other = make_model().make_problem(X, 3.0 * Y)
    with pytest.warns(UserWarning, match="energies of sampleset differ by up to .* other data"):
        other.decode(answer)


def test_levels_off_the_constraint_are_used_where_there_is_nothing_else():
    problem = make_model().make_problem(X, Y)
    off = np.zeros((1, 16), dtype=np.int64)
    off[0, 0] = 7
    samples = problem.to_samples(_samples(off, vartype="INTEGER"))
    assert len(samples) == 1
    both = problem.to_samples(_samples(np.vstack([off, 0 * off]), vartype="INTEGER"))
    np.testing.assert_array_equal(both.bits, 0)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_refinements": 3}, "n_refinements of QSVR must be 0 for fit_samples; got 3.*use fit"),
        ({"C": -1}, "C of QSVR must be"),
        (
            {"combination_fraction": 0.25, "random_state": None},
            "random_state of QSVR must be an integer with combination_fraction",
        ),
    ],
)
def test_parameters_that_do_not_fit(parameters, message):
    answer = dimod.SampleSet.from_samples_bqm(ZEROS, make_model().make_problem(X, Y).to_bqm())
    with pytest.raises(ValueError, match=message):
        make_model(**parameters).fit_samples(X, Y, answer)


def test_a_failure_of_a_live_sampler_keeps_what_was_fitted():
    """The partial model was made by a copy that a live sampler refused."""

    class Live:
        parameters: ClassVar = frozenset()
        max_variables = None

        def __init__(self):
            self.calls = 0

        def __reduce__(self):
            raise TypeError("a connection cannot be pickled")

        def sample(self, qubo, *, num_reads, seed, **options):
            from qsvr import SamplerError, get_sampler

            self.calls += 1
            if self.calls > 1:
                raise SamplerError("offline")
            return get_sampler("structured").sample(qubo, num_reads=num_reads, seed=seed)

    from qsvr import SamplerError

    with pytest.raises(SamplerError, match="offline") as caught:
        make_model(sampler=Live(), n_refinements=3, C=5.0).fit(X, Y)
    assert caught.value.partial_model.predict(X).shape == (8,)


def test_a_problem_is_shown_by_its_size():
    problem = QSVR(n_bits=2, random_state=0).make_problem(X, Y)
    assert repr(problem) == "QSVRProblem(n_samples=8, n_variables=32)"
