"""Answers that no service should give: errors of ours, reads are kept, no budget is gained."""

from __future__ import annotations

import base64

import dimod
import numpy as np
import pytest

from fake_solvers import states_file
from qsvr import QSVR, QSVREnsemble, SVRQubo, get_sampler
from qsvr.exceptions import (
    CostLimitError,
    FallbackWarning,
    IncompleteAnswerError,
    InvalidAnswerError,
    MemberFailedWarning,
)
from qsvr.problem.dual import SVRDual
from qsvr.problem.encoding import FixedPointEncoding
from qsvr.samplers.budget import AccessBudget
from qsvr.samplers.dwave.hybrid import CQMSampler, HybridSampler, NLSampler
from qsvr.samplers.dwave.qpu import QPUSampler

N = 6  # samples: 36 variables at 3 bits
READS = 8


def _fit(data, sampler, **options):
    X, y = data
    options = {"timeout": 100, **options}
    model = QSVR(C=5, sampler=sampler, num_reads=READS, random_state=0, sampler_options=options)
    return model.fit(X[:N], y[:N])


def _numbers(text, kind):
    return np.frombuffer(base64.b64decode(text), kind).copy()


def _text(numbers):
    return base64.b64encode(np.ascontiguousarray(numbers).tobytes()).decode()


def _without_qubits(answer, n):
    """Drop the first qubits of an answer of a QPU."""
    qubits = _numbers(answer["active_variables"], "<i4")
    bits = np.unpackbits(_numbers(answer["solutions"], "u1").reshape(READS, -1), axis=1)
    bits = bits[:, n : qubits.size]
    return {
        **answer,
        "active_variables": _text(qubits[n:]),
        "solutions": _text(np.packbits(bits, axis=1)),
    }


def _occurrences(answer, first):
    counts = _numbers(answer["num_occurrences"], "<i4")
    counts[0] = first
    return {**answer, "num_occurrences": _text(counts)}


QPU_ANSWERS = {
    "a qubit is missing": (lambda answer: _without_qubits(answer, 1), READS),
    "all qubits are missing": (lambda answer: _without_qubits(answer, 10_000), 0),
    "negative occurrences": (lambda answer: _occurrences(answer, -3), READS),
    "occurrences beyond reason": (lambda answer: _occurrences(answer, 2**31 - 1), READS),
    "no list of qubits": (lambda answer: {**answer, "active_variables": None}, 0),
    "solutions cut off": (lambda answer: {**answer, "solutions": answer["solutions"][:8]}, 0),
    "unknown format": (lambda answer: {**answer, "format": "xyz"}, 0),
    "a list": (lambda answer: [answer], 0),
    "text": (lambda _answer: "done", 0),
}


@pytest.mark.parametrize(("alter", "n_left"), QPU_ANSWERS.values(), ids=QPU_ANSWERS)
def test_odd_answer_of_the_qpu(api, data, alter, n_left):
    api.alter["answer"] = alter
    with pytest.raises(InvalidAnswerError) as caught:
        _fit(data, "qpu")
    _assert_kept(caught.value, n_left, data)
    assert len(api.problems) == 1  # it is not bought again


def _assert_kept(error, n_left, data):
    X, _ = data
    assert error.__cause__ is None
    assert error.__context__ is None
    if n_left == 0:
        assert error.samples is None
        assert error.partial_model is None
        return
    assert len(error.samples) == n_left
    assert error.partial_model.sampler_info_["n_reads"] == n_left
    assert np.isfinite(error.partial_model.predict(X)).all()


def _altered(sample_set, **changes):
    """Return a sample set with other rows, labels, kind or occurrences."""
    rows = changes.get("rows", sample_set.record.sample)
    labels = changes.get("labels", list(sample_set.variables))
    return dimod.SampleSet.from_samples(
        (np.asarray(rows), labels),
        changes.get("vartype", sample_set.vartype),
        energy=np.zeros(len(rows)),
        num_occurrences=changes.get("occurrences"),
        sort_labels=False,
    )


def _in_column(sample_set, value, dtype=np.float64):
    """Return the rows twice, with another value in the first of them."""
    rows = np.repeat(np.asarray(sample_set.record.sample, dtype=dtype), 2, axis=0)
    rows[0, 3] = value
    return rows


BQM_ANSWERS = {
    "a variable is missing": (
        lambda s: _altered(s, rows=s.record.sample[:, 1:], labels=list(s.variables)[1:]), 0,
    ),
    "a variable too many": (
        lambda s: _altered(
            s, rows=np.hstack([s.record.sample, s.record.sample[:, :1]]),
            labels=[*s.variables, 999],
        ), 1,
    ),
    "labels are text": (lambda s: _altered(s, labels=[str(v) for v in s.variables]), 1),
    "labels are names": (lambda s: _altered(s, labels=[f"x{v}" for v in s.variables]), 0),
    "negative occurrences": (lambda s: _altered(s, occurrences=[-1]), 1),
    "half an occurrence": (lambda s: _altered(s, occurrences=[1.5]), 1),
    "integers": (lambda s: _altered(s, vartype="INTEGER"), 1),
    "an integer beyond bits": (
        lambda s: _altered(s, rows=_in_column(s, 7), vartype="INTEGER"), 1,
    ),
    "wrong spins": (
        lambda s: _altered(s, rows=_in_column(s, 0, np.int8) * 2 - 1, vartype="SPIN",
                           occurrences=[-1, 1]), 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("alter", "n_left"), BQM_ANSWERS.values(), ids=BQM_ANSWERS)
def test_odd_answer_of_the_bqm_solver(api, data, alter, n_left):
    api.alter["sample set"] = alter
    with pytest.raises(InvalidAnswerError) as caught:
        _fit(data, "hybrid")
    _assert_kept(caught.value, n_left, data)


CQM_ANSWERS = {
    "a level above the top": lambda s: _altered(s, rows=_in_column(s, 8), vartype="INTEGER"),
    "a negative level": lambda s: _altered(s, rows=_in_column(s, -1), vartype="INTEGER"),
    "half a level": lambda s: _altered(s, rows=_in_column(s, 2.5), vartype="REAL"),
    "no is_feasible": lambda s: _altered(s, vartype="INTEGER"),
    "labels are text": lambda s: _altered(s, labels=[str(v) for v in s.variables]),
}


@pytest.mark.parametrize("alter", CQM_ANSWERS.values(), ids=CQM_ANSWERS)
def test_odd_answer_of_the_cqm_solver(api, data, alter):
    api.alter["sample set"] = alter
    with pytest.raises(InvalidAnswerError) as caught:
        _fit(data, "cqm")
    _assert_kept(caught.value, len(caught.value.samples), data)


ROWS = np.tile([1.0, 2.0, 3.0, 3.0, 2.0, 1.0], (4, 2))  # sum(b) = 0
NL_ANSWERS = {
    "a level above the top": (states_file(np.vstack([ROWS, ROWS[:1] + 7])), 4),
    "half a level": (states_file(np.vstack([ROWS, ROWS[:1] + 0.5])), 4),
    "not a number": (states_file(np.vstack([ROWS, ROWS[:1] * np.nan])), 4),
    "only levels above the top": (states_file(ROWS + 7), 0),
    "another size": (states_file(ROWS[:, 1:]), 0),
    "a file cut off": (states_file(ROWS)[:100], 0),
    "a file of something else": (b"DWNL" + bytes(200), 0),
}


@pytest.mark.parametrize(("states", "n_left"), NL_ANSWERS.values(), ids=NL_ANSWERS)
def test_odd_answer_of_the_nonlinear_solver(api, data, states, n_left):
    api.alter["states"] = lambda _states: states
    with pytest.raises(InvalidAnswerError) as caught:
        _fit(data, "nl")
    _assert_kept(caught.value, n_left, data)


@pytest.mark.parametrize("sampler", ["hybrid", "cqm", "nl"])
def test_no_sample_at_all(api, data, sampler):
    empty = states_file(np.empty((0, 2 * N)))
    api.alter = {"states": lambda _states: empty} if sampler == "nl" else {
        "sample set": lambda s: s.slice(0)
    }  # fmt: skip
    with pytest.raises(IncompleteAnswerError, match="0 of 1 reads") as caught:
        _fit(data, sampler)
    _assert_kept(caught.value, 0, data)
    with pytest.warns(FallbackWarning, match="IncompleteAnswerError"):
        _fit(data, sampler, fallback="structured")


TIMES = {
    "null": None,
    "text": "long",
    "negative": -5e6,
    "boolean": True,
    "list": [1.0],
}


@pytest.mark.parametrize("value", TIMES.values(), ids=TIMES)
@pytest.mark.parametrize("sampler", ["qpu", "hybrid", "cqm", "nl"])
def test_a_time_that_is_none_is_replaced_by_the_estimate(api, data, sampler, value):
    usual = _fit(data, sampler).sampler_info_["access_time"]

    def alter(answer):
        name = "qpu_access_time" if sampler == "qpu" else "charge_time"
        timing = answer["data"]["info"] if "data" in answer else answer
        timing["timing"] = {**timing["timing"], name: value}
        return answer

    api.alter["answer"] = alter
    info = _fit(data, sampler).sampler_info_
    assert info["access_time"] == pytest.approx(usual, rel=0.05)
    assert all(isinstance(each, float | int) for each in info["timing"].values())


@pytest.mark.parametrize("timing", [None, "long", [], 5, {"charge_time": float("-inf")}], ids=str)
@pytest.mark.parametrize("sampler", ["qpu", "hybrid", "cqm", "nl"])
def test_timing_that_is_no_table(api, data, sampler, timing):
    if isinstance(timing, dict):
        timing = {"charge_time": -1e300}  # JSON has no infinity

    def alter(answer):
        (answer["data"]["info"] if "data" in answer else answer)["timing"] = timing
        return answer

    api.alter["answer"] = alter
    assert _fit(data, sampler).sampler_info_["access_time"] > 0


def test_a_negative_time_does_not_raise_what_is_left(api, data):
    usual = _fit(data, "qpu").sampler_info_["access_time"]
    api.alter["answer"] = lambda answer: {**answer, "timing": {"qpu_access_time": -1e9}}
    X, y = data
    options = {"max_access_time": 2.5 * usual, "retry_delay": 0.001}
    model = QSVR(C=5, sampler="qpu", num_reads=READS, sampler_options=options, max_variables=18)
    with pytest.raises(CostLimitError):
        model.fit(X, y)
    assert len(api.problems) <= 1 + 3


def test_fallback_takes_over_and_the_account_stays(api, data):
    api.alter["sample set"] = BQM_ANSWERS["integers"][0]
    with pytest.warns(FallbackWarning, match="InvalidAnswerError"):
        model = _fit(data, "hybrid", fallback="structured")
    assert model.sampler_info_["fallback"]["sampler"] == "structured"
    assert get_sampler("hybrid").total.seconds > 0


def test_members_with_odd_answers_are_left_out(api, data):
    X, y = data
    answers = iter(range(100))
    broken = QPU_ANSWERS["a qubit is missing"][0]
    api.alter["answer"] = lambda answer: broken(answer) if next(answers) == 1 else answer
    member = QSVR(C=5, sampler="qpu", num_reads=READS, sampler_options={"retry_delay": 0.001})
    ensemble = QSVREnsemble(member, n_estimators=4, max_samples=N, random_state=0)
    with pytest.warns(MemberFailedWarning, match="InvalidAnswerError"):
        ensemble.fit(X, y)
    assert [type(failure.error) for failure in ensemble.failures_] == [InvalidAnswerError]


@pytest.fixture
def qubo(data):
    X, y = data
    kernel = np.exp(-0.5 * ((X[:N, None] - X[None, :N]) ** 2).sum(-1))
    dual = SVRDual(kernel, y[:N] - y[:N].mean(), 0.1, np.full(N, 5.0), 2.0)
    return SVRQubo(dual, FixedPointEncoding.for_box(dual.C, 3))


class _Local:
    """A client without a service, which answers what it is told to."""

    parameters: dict = {}  # noqa: RUF012
    properties: dict = {}  # noqa: RUF012

    def __init__(self, answer):
        self.answer = answer

    def sample(self, *_args, **_options):
        return self.answer

    sample_cqm = sample


@pytest.mark.parametrize("make", [HybridSampler, CQMSampler, NLSampler])
@pytest.mark.parametrize(
    "answer", [None, {}, [1, 2], "text", 5, object()], ids=lambda a: type(a).__name__
)
def test_something_else_than_a_sample_set(qubo, make, answer):
    budget = AccessBudget()
    with pytest.raises(Exception, match=r"gave an answer|failed") as caught:
        make(client=_Local(answer)).sample(qubo, num_reads=3, seed=0, budget=budget)
    assert type(caught.value).__module__ == "qsvr.exceptions"
    assert budget.seconds >= 0


def test_values_that_are_not_numbers(qubo):
    rows = np.ones((3, qubo.n_variables))
    rows[0, 2], rows[1, 4] = np.nan, np.inf
    answer = dimod.SampleSet.from_samples(rows, "BINARY", energy=np.zeros(3))
    with pytest.raises(InvalidAnswerError, match="2 of 3 samples have values other") as caught:
        HybridSampler(client=_Local(answer)).sample(qubo, num_reads=3, seed=0)
    assert len(caught.value.samples) == 1


class _Device(_Local):
    """A structured one, which answers with spins that are none for some of its qubits."""

    nodelist = list(range(36))  # noqa: RUF012
    edgelist = [(i, j) for i in range(36) for j in range(i)]  # noqa: RUF012


def test_spins_that_are_none(qubo):
    spins = np.ones((4, 36), dtype=np.int8)
    spins[1, 7] = 0
    answer = dimod.SampleSet.from_samples(spins, "SPIN", energy=np.zeros(4))
    chains = {i: [i] for i in range(36)}
    sampler = QPUSampler(client=_Device(answer))
    with pytest.raises(InvalidAnswerError, match="values other than -1 and 1") as caught:
        sampler.sample(qubo, num_reads=4, seed=0, embedding=chains)
    np.testing.assert_array_equal(caught.value.samples.bits, np.ones((3, 36)))
