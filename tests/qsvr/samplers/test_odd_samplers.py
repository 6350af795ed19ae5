"""Local samplers whose answers no sampler should give: a `SamplerError` that keeps the reads."""

from __future__ import annotations

from typing import ClassVar

import dimod
import numpy as np
import pytest

from qsvr import QSVR, FixedPointEncoding, SVRQubo, get_sampler
from qsvr.exceptions import SamplerError, ServiceError
from qsvr.samplers.answers import read_answer, whole_levels
from qsvr.samplers.dimod import ordered_reads

N_VARIABLES = 12


class Answering:
    """A sampler that gives the answer that it is told to, whatever the model."""

    parameters: ClassVar = {"num_reads": [], "seed": []}
    properties: ClassVar = {}

    def __init__(self, answer):
        self.answer = answer

    def sample(self, bqm, **_parameters):
        return self.answer


@pytest.fixture
def qubo(make_dual):
    dual = make_dual(3)
    return SVRQubo(dual, FixedPointEncoding.for_box(dual.C, 2))


def _answer(rows=None, labels=None, vartype="BINARY", occurrences=None):
    rows = np.eye(3, N_VARIABLES, dtype=np.int8) if rows is None else np.asarray(rows)
    labels = list(range(rows.shape[1])) if labels is None else labels
    return dimod.SampleSet.from_samples(
        (rows, labels), vartype, np.zeros(len(rows)), num_occurrences=occurrences,
        sort_labels=False,
    )  # fmt: skip


def _with(value, dtype=float):
    rows = np.eye(3, N_VARIABLES).astype(dtype)
    rows[0, 5] = value
    return rows


ODD = {
    "no sample set": (None, 0, "a NoneType instead of a sample set"),
    "a table": ([[0] * N_VARIABLES], 0, "a list instead of a sample set"),
    "a variable is missing": (_answer(np.eye(3, 11)), 0, "no value for 1 of 12 variables"),
    "a variable too many": (_answer(np.eye(3, 13)), 3, "values for 13 variables instead of 12"),
    "labels are text": (_answer(labels=[str(i) for i in range(12)]), 3, "named by text"),
    "labels are names": (_answer(labels=list("abcdefghijkl")), 0, "no value for 12 of 12"),
    "negative occurrences": (_answer(occurrences=[1, -2, 1]), 3, "1 of 3 samples have a number"),
    "half an occurrence": (_answer(occurrences=[1, 1.5, 1]), 3, "1 of 3 samples have a number"),
    "NaN occurrences": (_answer(occurrences=[1, np.nan, 1]), 3, "1 of 3 samples have a number"),
    "integers": (_answer(vartype="INTEGER"), 3, "of the kind INTEGER"),
    "reals": (_answer(vartype="REAL"), 3, "of the kind REAL"),
    "beyond bits": (_answer(_with(7)), 2, "1 of 3 samples have values other than 0 and 1"),
    "half a bit": (_answer(_with(0.5)), 2, "1 of 3 samples have values"),
    "NaN": (_answer(_with(np.nan)), 2, "1 of 3 samples have values"),
    "infinite": (_answer(_with(np.inf)), 2, "1 of 3 samples have values"),
    "wrong spins": (
        _answer(2 * _with(1, np.int8) * _with(1, np.int8) - 1 + 0, vartype="BINARY"), 0,
        "3 of 3 samples have values other than 0 and 1",
    ),
    "no spins": (_answer(vartype="SPIN"), 0, "3 of 3 samples have values other than -1 and 1"),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "n_left", "words"), ODD.values(), ids=ODD)
def test_it_is_a_sampler_error_that_keeps_the_reads(qubo, answer, n_left, words):
    with pytest.raises(SamplerError, match=words) as caught:
        get_sampler(Answering(answer)).sample(qubo, num_reads=9, seed=0)
    error = caught.value
    assert not isinstance(error, ServiceError)
    assert (0 if error.samples is None else len(error.samples)) == n_left
    if n_left:
        np.testing.assert_allclose(error.samples.energies, qubo.energies(error.samples.bits))


def test_what_is_left_makes_a_model():
    X = np.linspace(0, 1, 6)[:, None]
    rows = np.random.default_rng(0).integers(0, 2, (5, 24))
    rows[2, 3] = 9
    with pytest.raises(SamplerError) as caught:
        QSVR(n_bits=2, sampler=Answering(_answer(rows))).fit(X, X[:, 0])
    partial = caught.value.partial_model
    assert partial.sampler_info_["n_reads"] == 4
    assert np.isfinite(partial.predict(X)).all()


def test_a_bad_label_is_no_type_error():
    answer = _answer(labels=[0, "b", (1, 2), *range(3, 12)])
    with pytest.raises(SamplerError, match="no value for 2 of 12"):
        ordered_reads(answer, N_VARIABLES)


def test_a_timing_that_is_no_table_is_left_out(qubo):
    answer = _answer()
    answer.info["timing"] = None
    samples = get_sampler(Answering(answer)).sample(qubo, num_reads=3, seed=0)
    assert "timing" not in samples.info


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.float32, float, bool, object])
def test_proper_answers_of_any_type_have_no_faults(dtype):
    bits = np.random.default_rng(0).integers(0, 2, (4, 3))
    for vartype, rows in (("BINARY", bits), ("SPIN", 2 * bits - 1)):
        if vartype == "SPIN" and dtype in (np.uint8, bool):
            continue
        record = dimod.SampleSet.from_samples(
            (rows, [2, 0, 1]), vartype, np.zeros(4), num_occurrences=[1, 0, 2, 1],
            sort_labels=False,
        ).record  # fmt: skip
        record = type("Record", (), {
            "dtype": record.dtype, "sample": record.sample.astype(dtype),
            "num_occurrences": record.num_occurrences.astype(float),
        })  # fmt: skip
        kind = type("Kind", (), {"name": vartype})
        answer = type("Set", (), {"record": record, "variables": [2, 0, 1], "vartype": kind})
        reads = read_answer(answer, range(3))
        assert reads.faults == ()
        np.testing.assert_array_equal(reads.rows, [0, 2, 2, 3])
        np.testing.assert_array_equal(reads.values, bits[[0, 2, 2, 3]][:, [1, 2, 0]])


def test_levels_may_be_off_by_rounding_only():
    numbers = np.array([[0.0, 7.0], [1e-9, 7 - 1e-9], [0.01, 1], [8, 0], [-1, 0], [np.nan, 1]])
    levels, is_good = whole_levels(numbers, 7)
    np.testing.assert_array_equal(is_good, [True, True, False, False, False, False])
    np.testing.assert_array_equal(levels[:2], [[0, 7], [0, 7]])


def test_occurrences_are_limited_before_they_fill_the_memory():
    reads = read_answer(_answer(occurrences=[900_000, 900_000, 1]), range(12), limit=5)
    assert len(reads) == 11
    assert reads.faults == ()
