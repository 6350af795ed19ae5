"""The documentation's own tables and folders, for its tests."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

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


@pytest.fixture(name="environment")
def environment_fixture() -> dict[str, str]:
    return environment()


@pytest.fixture(name="load", scope="session")
def load_fixture():
    """Return the function that imports a file of no package."""
    return load
