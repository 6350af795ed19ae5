"""scikit-learn's own checks of an estimator's conventions."""

from __future__ import annotations

import pytest
from sklearn.svm import SVR
from sklearn.utils.estimator_checks import parametrize_with_checks

from qsvr import QSVR

# Weights are factors on C, as in SVR: a sample of weight 2 has one coefficient in a box twice as
# large, two copies have two coefficients. The box, the penalty and gamma="scale" differ.
_REASON = "sample_weight scales C, as in SVR, which is not the same as repeating samples."
EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": _REASON,
    "check_sample_weight_equivalence_on_sparse_data": _REASON,
}
ESTIMATORS = [
    QSVR(),
    QSVR(kernel="linear", n_bits=2, intercept="kkt", combination="best", num_reads=8),
    QSVR(kernel="laplacian", base=0.5, exponent_shift=0.005, C="implied", num_reads=8),
    QSVR(combination="mse", combination_fraction=0.25, polish=False, n_bits=8, num_reads=8),
    QSVR(sampler="relax-round", num_reads=8),
    QSVR(normalize_y=True, psd="clip", num_reads=8),
    QSVR(normalize_y=True, max_variables=60, num_reads=8, n_refinements=2),
]
# A kernel matrix holds no copies of samples, so the two checks are not made.
PRECOMPUTED = [
    QSVR(kernel="precomputed", num_reads=8),
    QSVR(kernel="precomputed", num_reads=8, psd="clip", normalize_y=True),
    QSVR(kernel="precomputed", num_reads=8, psd="shift"),
]


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=lambda _: EXPECTED_FAILURES)
@pytest.mark.filterwarnings("ignore:the best energy found:qsvr.CoarseEncodingWarning")
def test_scikit_learn_conventions(estimator, check):
    check(estimator)


@parametrize_with_checks(PRECOMPUTED)
@pytest.mark.filterwarnings("ignore:the best energy found:qsvr.CoarseEncodingWarning")
@pytest.mark.filterwarnings("ignore:the kernel matrix is indefinite:qsvr.IndefiniteKernelWarning")
def test_scikit_learn_conventions_of_a_precomputed_kernel(estimator, check):
    check(estimator)


def test_expected_failures_are_those_of_scikit_learns_svr():
    generator = pytest.importorskip("sklearn.utils._test_common.instance_generator")
    excused = getattr(generator, "PER_ESTIMATOR_XFAIL_CHECKS", None)
    if excused is None:
        pytest.skip(
            "this scikit-learn does not list the checks that its estimators are excused from"
        )
    assert set(EXPECTED_FAILURES) <= set(excused[SVR])
