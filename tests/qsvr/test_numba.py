"""The first fit, where compiled code cannot be cached, its cache is damaged, or Ctrl-C comes."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import qsvr

PACKAGE = Path(qsvr.__file__).parent
# A fit that compiles two functions, and not the annealer.
FIT = """
import warnings, numpy as np
from qsvr import QSVR
X = np.linspace(0, 1, 8)[:, None]
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    model = QSVR(sampler="relax-round", num_reads=2, random_state=0).fit(X, X[:, 0])
print(repr(float(model.predict(X[:1])[0])), model.sampler_info_["energies"].min())
print(*(str(each.message) for each in caught if "NUMBA_CACHE_DIR" in str(each.message)), sep="\\n")
"""


def run(code, *, path, prefix=(), shows="", **environment):
    """Run code in a fresh interpreter; return its standard output.

    Standard error must contain ``shows``, and be empty where that is None.
    """
    env = {**os.environ, "PYTHONPATH": str(path), **environment}
    for name in [name for name, value in environment.items() if value is None]:
        del env[name]
    done = subprocess.run(
        [*prefix, sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (shows in done.stderr) if shows is not None else not done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def copy():
    """Yield a folder that anyone may read, with a copy of the package without compiled code."""
    root = Path(tempfile.mkdtemp(prefix="qsvr-"))
    root.chmod(0o755)
    shutil.copytree(PACKAGE, root / "qsvr", ignore=shutil.ignore_patterns("__pycache__"))
    yield root
    for path in [root, *root.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(root)


def lock(root):
    """Take away all rights to write below a folder."""
    for path in sorted(root.rglob("*"), reverse=True):
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222)
    root.chmod(0o555)


def other_user():
    """Return a command's prefix that drops the superuser's rights, which no folder is safe from."""
    if os.geteuid() != 0:
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("run by the superuser without setpriv, no folder is read-only")
    return (setpriv, "--reuid", "65534", "--regid", "65534", "--clear-groups")


COMPILES = "qsvr: compiling for the first fit, which takes some seconds (kept in "


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Return a cache folder that a fit has filled, and what the fit printed."""
    folder = tmp_path_factory.mktemp("numba")
    places = {"path": PACKAGE.parent, "NUMBA_CACHE_DIR": str(folder)}
    printed = run(FIT, shows=f"{COMPILES}{folder}", **places)
    assert printed[1:] == [""]
    assert len(list(folder.rglob("*.nbc"))) == 2
    return folder, printed


@pytest.mark.slow
def test_a_read_only_place_is_a_warning_and_the_same_model(compiled, copy):
    lock(copy)
    home = copy / "nowhere"
    code = f"{FIT}\nimport os; assert not os.access({str(copy / 'qsvr')!r}, os.W_OK)"
    places = {"HOME": str(home), "XDG_CACHE_HOME": str(home), "NUMBA_CACHE_DIR": None}
    found = run(code, path=copy, prefix=other_user(), **places)
    assert found[0] == compiled[1][0]
    assert len(found) == 2  # one warning, however many functions are compiled
    assert "no folder for compiled code can be written" in found[1]
    assert not list(copy.rglob("*.nbc"))


@pytest.mark.slow
@pytest.mark.parametrize("silent", [False, True])
def test_damaged_cache_files_are_compiled_anew(compiled, tmp_path, silent):
    """A line says when compiling begins, and can be silenced."""
    folder = tmp_path / "numba"
    shutil.copytree(compiled[0], folder)
    (smo,), (descend,) = folder.rglob("_smo.smo-*.nbc"), folder.rglob("_local_search.*.nbc")
    whole = smo.read_bytes()
    damage = {smo: b""} if silent else {smo: whole[: len(whole) // 2], descend: whole}
    for path, content in damage.items():
        path.write_bytes(content)
    quiet = "import logging; logging.getLogger('qsvr').setLevel('ERROR')\n" if silent else ""
    shows = None if silent else f"{COMPILES}{folder}"
    places = {"path": PACKAGE.parent, "NUMBA_CACHE_DIR": str(folder)}
    assert run(quiet + FIT, shows=shows, **places) == compiled[1]
    for path, content in damage.items():
        assert path.read_bytes() != content


WARM_UP = """
import gc, runpy
import qsvr
before = qsvr.warm_up
assert qsvr.warm_up(verbose=0) > 0.0
import qsvr.warm_up
from qsvr.warm_up import warm_up
assert qsvr.warm_up is before and callable(warm_up)

def compiled():
    '''The types for which each function was compiled, or loaded from the cache.'''
    from numba.core.dispatcher import Dispatcher
    functions = [each for each in gc.get_objects() if isinstance(each, Dispatcher)]
    return {(f.__module__, f.__name__): f.signatures for f in functions if f.signatures}

warm = compiled()
assert len(warm) > 2
"""
KINDS = """
import warnings, numpy as np
from qsvr import QSVR
warnings.simplefilter("ignore")
X = np.linspace(0.0, 1.0, 600)[:, None] ** 2
y, few = np.cos(9.0 * X[:, 0]), slice(None, None, 25)
for options in (
    {}, {"n_bits": 8}, {"n_refinements": 3}, {"base": 2.0, "exponent_shift": 2.0, "C": "implied"},
    {"base": 3.0, "C": "implied"}, {"max_variables": 48, "max_iter": 3}, {"sampler": "relax-round"},
    {"sampler": "sa"}, {"overlap_penalty": 0.1}, {"kernel": "sigmoid"}, {"polish": False},
):
    model = QSVR(num_reads=4, random_state=0, **options).fit(X[few], y[few])
    model.predict(X, return_std=True)
QSVR(random_state=0).fit(X[few], y[few], 1.0 + X[few, 0])
QSVR(random_state=0, max_iter=5).fit(X, y)
assert compiled() == warm
runpy.run_module("qsvr.warm_up", run_name="__main__")
assert compiled() == warm
"""


@pytest.mark.slow
def test_after_warm_up_nothing_is_compiled():
    """It is called before and after its import, and as a command."""
    (line,) = run(WARM_UP + KINDS, path=PACKAGE.parent)
    assert line.startswith("[qsvr] compiled or loaded in ")


def doubled(source, folder, monkeypatch):
    """Return a compiled function, as a process has it that finds a folder of compiled code."""
    from numba.core import config

    from qsvr._numba import njit

    monkeypatch.setattr(config, "CACHE_DIR", str(folder))
    names = {}
    exec(compile(source.read_text(), str(source), "exec"), names)
    return njit(names["doubled"])


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "doubled.py"
    path.write_text("def doubled(x):\n    return x + x\n")
    return path


def test_two_that_compile_at_once_keep_their_code_apart(source, tmp_path, monkeypatch):
    """Each saves the code of its own types when the other has looked into the folder as well."""
    from numba.core.caching import IndexDataCacheFile

    both, original = threading.Barrier(2, timeout=60), IndexDataCacheFile._open_for_write
    waited = threading.local()

    def open_for_write(self, path):
        if not hasattr(waited, "once"):
            waited.once = True
            both.wait()
        return original(self, path)

    kept = (source, tmp_path / "numba", monkeypatch)
    codes = {"for integers": 1, "for floats": 2}
    with monkeypatch.context() as patch, ThreadPoolExecutor(2) as pool:
        patch.setattr(IndexDataCacheFile, "_open_for_write", open_for_write)
        files = [doubled(*kept)._cache._cache_file for _ in codes]
        list(pool.map(lambda file, code: file.save(*code), files, codes.items()))
    later = doubled(*kept)._cache._cache_file
    assert {types: later.load(types) for types in codes} == codes


def test_code_of_an_earlier_source_is_neither_used_nor_kept(source, tmp_path, monkeypatch):
    kept = (source, tmp_path / "numba", monkeypatch)
    assert doubled(*kept)(21) == 42
    (before,) = (tmp_path / "numba").rglob("*.nbc")
    source.write_text("def doubled(x):\n    return x * 2 + 0\n")
    assert doubled(*kept)(21) == 42
    (after,) = (tmp_path / "numba").rglob("*.nbc")
    assert after != before


@pytest.mark.slow
def test_ctrl_c_while_numba_is_imported_leaves_a_process_that_can_fit(compiled):
    code = f"""
import os, signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run behind

class Interrupt:
    '''Sends the signal in the middle of numba's import.'''
    sent = False
    def find_spec(self, name, path=None, target=None):
        if name == "numba.core.typing" and not Interrupt.sent:
            Interrupt.sent = True
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
import numpy as np
from qsvr import QSVR
X = np.linspace(0, 1, 8)[:, None]
try:
    QSVR(num_reads=2, random_state=0).fit(X, X[:, 0])
except KeyboardInterrupt:
    print("interrupted", Interrupt.sent)
{FIT}
"""
    found = run(code, path=PACKAGE.parent)
    assert found[0] == "interrupted True"
    assert found[1] == compiled[1][0]
