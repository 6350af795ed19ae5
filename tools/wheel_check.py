"""Build the wheel and the sdist, check what they hold, and try them where there is no compiler.

::

    make wheel-check        # about 2 minutes; the files are left in dist/

Everything is installed into new virtual environments in a temporary folder. The search path of
commands there holds the environment only, and pip may install nothing but wheels, so a dependency
that would have to be compiled is an error.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
NOT_IN_SDIST = (
    ".ci/",
    ".editorconfig",
    ".github/",
    ".gitignore",
    ".pre-commit",
    "recipe/",
    "paper.",
)
IN_WHEEL = (
    "hpo/py.typed",
    "hpo/report/assets/",
    "hpo/simulation/sample/digits.csv",
    "qsvr/py.typed",
    ".dist-info/licenses/LICENSE",
)
SMOKE = """
import importlib.metadata, pathlib, sys
import numpy as np
import qsvr
from hpo import SearchSpace, Tuner, make_scheduler, make_searcher
from qsvr import QSVR

assert pathlib.Path(qsvr.__file__).is_relative_to(sys.prefix), qsvr.__file__
assert importlib.metadata.version("qsvr") == qsvr.__version__
X = np.linspace(0, 1, 30)[:, None]
y = np.sin(6 * X[:, 0])
model = QSVR(C=10, epsilon=0.01, gamma=5, random_state=0).fit(X, y)
assert model.score(X, y) > 0.95, model.score(X, y)

def train(config, start, stop, checkpoint):
    return [config["x"] ** 2 + 1 / (unit + 1) for unit in range(start, stop)]

space = SearchSpace.from_dict({"x": {"type": "float", "low": -1, "high": 1}})
scheduler = make_scheduler("hyperband", make_searcher("random", space), max_resource=9)
best = Tuner(train, scheduler, executor="inline").run().best
assert best.value < 0.3, best
"""
TRAINER = """
def train(config, start, stop, checkpoint):
    return [config["x"] ** 2 + 1 / (unit + 1) for unit in range(start, stop)]
"""
SPACE = '[x]\ntype = "float"\nlow = -1.0\nhigh = 1.0\n'
COMMANDS = (
    ("--version",),
    ("list",),
    ("simulate", "--seeds", "1", "--max-resource", "8"),
    ("run", "trainer.py:train", "--space", "space.toml", "--max-resource", "4", "--quiet"),
    ("report", "trainer-swift-asha.jsonl", "--html", "report.html"),
)


def run(*command: object, cwd: Path = ROOT, env: dict[str, str] | None = None) -> None:
    """Run a command; end the program where it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}\nwheel-check: failed: {' '.join(words)[:200]}")


def environment(folder: Path) -> Path:
    """Make a virtual environment; return its folder of commands."""
    run(sys.executable, "-m", "venv", folder)
    return folder / ("Scripts" if os.name == "nt" else "bin")


def pip(commands: Path, *arguments: object, env: dict[str, str] | None = None) -> None:
    """Install with the pip of an environment."""
    pip_install = (commands / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check")
    run(*pip_install, *arguments, env=env)


def build(folder: Path) -> tuple[Path, Path]:
    """Build both files into dist/ and run the checks of the packaging tools."""
    print("Building the wheel and the sdist", flush=True)
    commands = environment(folder / "build")
    pip(commands, "build", "twine", "check-wheel-contents")
    shutil.rmtree(DIST, ignore_errors=True)
    run(commands / "python", "-m", "build", "--outdir", DIST, ROOT)
    (wheel,), (sdist,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    run(commands / "python", "-m", "twine", "check", "--strict", wheel, sdist)
    # W002: the packages share no module, so that two small ones are equal.
    run(commands / "check-wheel-contents", "--toplevel", "hpo,qsvr", "--ignore", "W002", wheel)
    return wheel, sdist


def check_contents(wheel: Path, sdist: Path) -> None:
    """Compare what the files hold with what is committed."""
    with zipfile.ZipFile(wheel) as archive:
        inside = archive.namelist()
    missing = [name for name in IN_WHEEL if not any(name in each for each in inside)]
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    code = [name for name in listed if name.startswith(("qsvr/", "hpo/"))]
    missing += sorted(set(code) - set(inside))
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    missing += [n for n in listed if n not in held and not n.startswith(NOT_IN_SDIST)]
    if missing:
        sys.exit(f"wheel-check: not in the wheel or the sdist: {', '.join(missing)}")
    sizes = ", ".join(f"{each.name} {each.stat().st_size / 1e6:.1f} MB" for each in (wheel, sdist))
    print(f"Contents are complete: {sizes}", flush=True)


def smoke(folder: Path, commands: Path, env: dict[str, str]) -> None:
    """Fit, search and use the command line in an environment."""
    folder.mkdir()
    (folder / "trainer.py").write_text(TRAINER, encoding="utf-8")
    (folder / "space.toml").write_text(SPACE, encoding="utf-8")
    run(commands / "python", "-c", SMOKE, cwd=folder, env=env)
    for arguments in COMMANDS:
        run(commands / "hpo", *arguments, cwd=folder, env=env)
    if not (folder / "report.html").stat().st_size > 10_000:
        sys.exit("wheel-check: the HTML report is empty")


def main() -> None:
    """Build, check and try both files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel, sdist = build(folder)
        check_contents(wheel, sdist)
        commands = environment(folder / "clean")
        env = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "CC", "CXX"}}
        env |= {"PATH": str(commands), "NUMBA_CACHE_DIR": str(folder / "compiled")}
        if os.name != "nt" and any(shutil.which(c, path=env["PATH"]) for c in ("cc", "gcc")):
            sys.exit("wheel-check: there is a compiler in the clean environment")
        print("Installing the wheel, without a compiler", flush=True)
        pip(commands, "--only-binary=:all:", wheel, env=env)
        smoke(folder / "wheel", commands, env)
        print("The wheel works. Installing the sdist", flush=True)
        pip(commands, "--no-deps", "--force-reinstall", sdist, env=env)
        smoke(folder / "sdist", commands, env)
    print("The sdist works.", flush=True)


if __name__ == "__main__":
    main()
