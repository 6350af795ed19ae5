"""The documentation builds without a warning, where Sphinx is installed (the extra ``docs``)."""

from __future__ import annotations

import subprocess
import sys

import pytest

for name in ("sphinx", "pydata_sphinx_theme", "numpydoc", "myst_nb", "sphinx_design"):
    pytest.importorskip(name, reason='building the site needs: pip install ".[docs]"')


@pytest.mark.slow
def test_the_site_builds_without_warnings(root, tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run(
        [*command, "-d", str(tmp_path / "trees"), str(root / "docs"), str(tmp_path / "html")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pages = {path.relative_to(tmp_path / "html").as_posix() for path in tmp_path.rglob("*.html")}
    assert {"index.html", "guide/samplers.html", "api/objects/qsvr.QSVR.html"} <= pages
