"""scikit-learn's checks of conventions, for several settings of one estimator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

# Weights are factors on C, as in SVR and SVC: a sample of weight 2 has one coefficient in a box
# twice as large, two copies have two coefficients. The box, the penalty and gamma="scale" differ.
_REASON = "sample_weight scales C, as in libsvm, which is not the same as repeating samples."
EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": _REASON,
    "check_sample_weight_equivalence_on_sparse_data": _REASON,
}
# Made of the first setting only: these repeat another check with another container or memory
# layout, which all settings read alike, or are expected to fail. The check on read-only data of
# single precision, and that on sparse arrays, are made of every setting.
_ONCE = {
    "check_classifiers_train",
    "check_classifiers_train(readonly_memmap=True)",
    "check_estimator_sparse_matrix",
    "check_regressors_train",
    "check_regressors_train(readonly_memmap=True)",
    *EXPECTED_FAILURES,
}


def parametrize_with_conventions(
    estimators: Sequence[Any], *, leave_out: Sequence[tuple[int, str]] = ()
) -> pytest.MarkDecorator:
    """Return `parametrize_with_checks` without repetitions.

    ``leave_out`` holds further checks that are not made, each with the index of its estimator.
    """
    mark = parametrize_with_checks(
        list(estimators), expected_failed_checks=lambda _: EXPECTED_FAILURES
    )
    names, cases = mark.args
    name_of = mark.kwargs["ids"]
    index = {id(each): i for i, each in enumerate(estimators)}
    kept, left_out = [], []
    for case in cases:
        estimator, check = getattr(case, "values", case)
        place = (index[id(estimator)], name_of(check))
        if place in leave_out:
            left_out.append(place)
        elif place[0] == 0 or place[1] not in _ONCE:
            kept.append(case)
    assert sorted(left_out) == sorted(leave_out), "a check that is left out does not exist"
    return pytest.mark.parametrize(names, kept, ids=name_of)
