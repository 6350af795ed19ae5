"""scikit-learn's own checks of an estimator's conventions."""

from __future__ import annotations

import pytest
from sklearn.svm import SVR

from conventions import EXPECTED_FAILURES, parametrize_with_conventions
from qsvr import QSVR

ESTIMATORS = [
    QSVR(),
    QSVR(kernel="linear", n_bits=2, intercept="kkt", combination="best", num_reads=8),
    QSVR(kernel="laplacian", base=0.5, exponent_shift=0.005, C="implied", num_reads=8),
    QSVR(combination="mse", combination_fraction=0.25, polish=False, n_bits=8, num_reads=8),
    QSVR(sampler="relax-round", num_reads=8),
    QSVR(normalize_y=True, psd="clip", num_reads=8),
    QSVR(normalize_y=True, max_variables=60, num_reads=2, n_refinements=2, tol=0.1),
]
# A kernel matrix holds no copies of samples, so the two checks are not made.
PRECOMPUTED = [
    QSVR(kernel="precomputed", num_reads=8),
    QSVR(kernel="precomputed", num_reads=8, psd="clip", normalize_y=True),
    QSVR(kernel="precomputed", num_reads=8, psd="shift"),
]


@parametrize_with_conventions(ESTIMATORS)
@pytest.mark.filterwarnings("ignore:the best energy found:qsvr.CoarseEncodingWarning")
def test_scikit_learn_conventions(estimator, check):
    check(estimator)


@parametrize_with_conventions(PRECOMPUTED)
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
