"""The documentation's own tables and folders, for its tests."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from filelock import FileLock

from workshop import environment

ROOT = Path(__file__).parents[2]


def load(path: Path):
    """Import a file that belongs to no package."""
    name = f"_documentation_{path.stem}"
    spec = spec_from_file_location(name, path)
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the repository's folder."""
    return ROOT


@pytest.fixture(scope="session")
def public_api():
    """Return the tables of public names."""
    return load(ROOT / "docs" / "_ext" / "public_api.py")


@pytest.fixture(scope="session")
def extension():
    """Return a function that imports one of the site's own extensions by its name."""
    return lambda name: load(ROOT / "docs" / "_ext" / f"{name}.py")


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """Return the built site: the one that ``SITE`` names, or one that is built once for all tests.

    A warning fails the build.
    """
    given = os.environ.get("SITE")
    if given:
        return Path(given)
    for name in ("sphinx", "pydata_sphinx_theme", "numpydoc", "myst_nb", "sphinx_design"):
        pytest.importorskip(name, reason='building the site needs: pip install ".[docs]"')
    folder = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        folder = folder.parent  # which all workers share
    built = folder / "site"
    with FileLock(folder / "site.lock", timeout=600):
        if not (built / "index.html").exists():
            command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
            done = subprocess.run(
                [*command, "-d", str(folder / "trees"), str(ROOT / "docs"), str(built)],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
    return built


@pytest.fixture(name="environment")
def environment_fixture() -> dict[str, str]:
    return environment()


@pytest.fixture(name="load", scope="session")
def load_fixture():
    """Return the function that imports a file of no package."""
    return load
