"""Every parameter with every kind of odd value: an error that names it, or a fit that is right."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest

from qsvr import QSVR, CoarseEncodingWarning, QSVREnsemble

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 2))
Y = X[:, 0] + 0.1 * RNG.normal(size=8)
ODD = {
    "None": None,
    "NaN": np.nan,
    "infinity": np.inf,
    "minus infinity": -np.inf,
    "text": "x",
    "empty text": "",
    "list": [],
    "array": np.array([1.0, 2.0]),
    "array of one": np.array([1.0]),
    "text array": np.array(["scale", "auto"]),
    "dict": {},
    "True": True,
    "False": False,
    "numpy bool": np.True_,
    "0": 0,
    "-1": -1,
    "0.5": 0.5,
    "complex": 1j,
    "beyond float": 10**400,
    "beyond text": 10**5000,
    "far below": -(10**400),
    "1e308": 1e308,
    "-1e308": -1e308,
    "1e-308": 1e-308,
    "object": object(),
    "class": int,
}


def parameters_of(estimator):
    return [name for name in inspect.signature(estimator.__init__).parameters if name != "self"]


def check(model, name):
    """Fit and predict; the error must name the parameter, the fit must be a sane one."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", CoarseEncodingWarning)
        warnings.filterwarnings("ignore", "refinement ended by time_limit")
        warnings.filterwarnings("ignore", "decomposition stopped")
        try:
            prediction = model.fit(X, Y).predict(X)
        except (ValueError, TypeError) as error:
            message = str(error)
            if name in message and len(message) < 1200:
                return
            raise
    assert np.isfinite(prediction).all()
    # With any box, tube and kernel a fit on these data is no worse than this.
    assert np.abs(prediction - np.median(Y)).max() < 4 * np.ptp(Y)


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
@pytest.mark.parametrize("name", parameters_of(QSVR))
def test_qsvr(name, value):
    if name == "kernel" and callable(value):
        pytest.skip("a callable is a kernel, and its own errors are passed on")
    check(QSVR(**{"num_reads": 4, "random_state": 0, name: value}), name)


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
@pytest.mark.parametrize("name", parameters_of(QSVREnsemble))
def test_ensemble(name, value):
    member = QSVR(num_reads=4)
    check(
        QSVREnsemble(**{"estimator": member, "n_estimators": 2, "random_state": 0, name: value}),
        name,
    )


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
@pytest.mark.parametrize("name", ["degree", "gamma", "coef0"])
@pytest.mark.parametrize("kernel", ["poly", "sigmoid", "laplacian"])
@pytest.mark.filterwarnings("ignore:the kernel matrix is indefinite")
def test_parameters_of_kernels(kernel, name, value):
    model = QSVR(kernel=kernel, num_reads=4, random_state=0, psd="clip")
    check(model.set_params(**{name: value}), name)


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
@pytest.mark.parametrize("name", ["C", "base", "exponent_shift"])
def test_parameters_of_the_papers_encoding(name, value):
    model = QSVR(C="implied", base=0.5, num_reads=4, random_state=0)
    check(model.set_params(**{name: value}), name)


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
@pytest.mark.parametrize("name", ["tol", "max_iter", "cache_size", "warm_start", "verbose"])
def test_parameters_of_working_sets(name, value, capsys):
    check(QSVR(max_variables=36, num_reads=4, random_state=0).set_params(**{name: value}), name)


def test_numbers_of_numpy_and_fractions_of_numbers_are_taken():
    reference = QSVR(C=2.0, num_reads=4, random_state=0).fit(X, Y).predict(X)
    model = QSVR(
        C=np.float32(2), n_bits=np.int64(3), num_reads=np.int32(4), polish=np.True_, verbose=False,
        random_state=np.int64(0), gamma="scale", n_jobs=np.int64(1),
    )  # fmt: skip
    np.testing.assert_array_equal(model.fit(X, Y).predict(X), reference)


@pytest.mark.parametrize("value", [np.nan, 0.5, 0, True, "x", 10**400], ids=lambda v: str(v)[:5])
def test_n_jobs(value):
    for estimator in (QSVR(n_jobs=value), QSVREnsemble(n_jobs=value)):
        owner = type(estimator).__name__
        with pytest.raises(ValueError, match=f"n_jobs of {owner} must .*; got "):
            estimator.fit(X, Y)


def test_the_module_numpy_random_does_not_mean_its_global_generator():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    QSVR(random_state=np.random, num_reads=2).fit(X, Y)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
