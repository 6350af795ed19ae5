"""Three readers do what the pages say, with the files and commands of the pages.

One fits a model and switches to D-Wave (a server on loopback that speaks its protocol), one tunes a
PyTorch model and loads the best network, and one searches on two nodes of a Slurm cluster (both of
them this machine). Nothing is used that does not stand on the pages.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import fake_sapi
from fake_solvers import hybrid_solvers, qpu_solver
from hpo.run.results import Results
from slurm_machine import MISSING, Slurm
from waiting import wait_until

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
pytestmark = pytest.mark.slow


def files_of(page: str) -> dict[str, str]:
    """Return the files that a page shows, by their names."""
    blocks = re.finditer(
        r"^% file: (\S+)\n(?:% needs: [^\n]*\n)?```\w+\n(.*?)^```$",
        (DOCS / page).read_text("utf-8"),
        re.DOTALL | re.MULTILINE,
    )
    return {block[1]: block[2] for block in blocks}


def commands_of(page: str, *, start: str) -> list[list[str]]:
    """Return the commands of a page's consoles that begin with these words."""
    blocks = re.findall(
        r"^```console\n(.*?)^```$", (DOCS / page).read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return [
        shlex.split(command, comments=True) for command in commands if command.startswith(start)
    ]


def programs_of(page: str) -> list[str]:
    """Return the Python blocks of a page."""
    text = (DOCS / page).read_text("utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


class Reader:
    """Someone in an empty directory, with the environment that the pages ask for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path}

    def copies(self, files: dict[str, str]) -> None:
        """Write files into the directory."""
        for name, text in files.items():
            (self.folder / name).write_text(text, encoding="utf-8")

    def enters(self, command: list[str], **variables: str) -> str:
        """Run a command; return what it prints."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment, **variables},
            text=True,
            capture_output=True,
            timeout=500,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture
def reader(tmp_path):
    return Reader(tmp_path)


def test_fit_a_model_and_switch_to_an_annealer(reader, tmp_path_factory):
    """The price, and then the fit, with an account; `test_programs` has the steps before it."""
    own_data = (
        "from sklearn.datasets import make_friedman1\n"
        "from sklearn.preprocessing import scale\n"
        "X, y = make_friedman1(10, random_state=0)\nX, y = scale(X), scale(y)\n"
    )
    (plan,) = (each for each in programs_of("guide/leap.md") if '"qpu").plan(' in each)
    (fit,) = (each for each in programs_of("guide/leap.md") if "verbose=1" in each)
    state = fake_sapi.FakeSolverAPI([qpu_solver(), *hybrid_solvers()])
    with fake_sapi.serve(state) as url:
        account = {
            "DWAVE_API_ENDPOINT": url,
            "DWAVE_API_TOKEN": fake_sapi.TOKEN,
            "QSVR_CACHE_DIR": str(tmp_path_factory.mktemp("embeddings")),
        }
        program = plan.replace("120", "60") + own_data + fit
        printed = reader.enters([sys.executable, "-c", program], **account)
    assert printed.startswith("1 problem of")
    assert len(state.problems) == 1, "asking for the price submitted something"
    assert "broken chains" in printed
    assert fake_sapi.TOKEN not in printed


def test_tune_a_pytorch_model_and_load_the_best(reader):
    pytest.importorskip("torch")
    page = "start/pytorch.md"
    reader.copies(files_of(page))
    (run,) = commands_of(page, start="hpo run")
    assert run[run.index("--max-resource") + 1] == "27"
    run[run.index("--max-resource") + 1] = "9"  # a third of the time
    assert run[run.index("--workers") + 1] == "2"
    run[run.index("--workers") + 1] = "1"  # each imports PyTorch and scikit-learn
    reader.enters(run)
    for start in ("hpo status", "hpo report"):
        (command,) = commands_of(page, start=start)
        reader.enters(command)
    assert "<html" in (reader.folder / "report.html").read_text("utf-8")
    printed = reader.enters([sys.executable, "best.py"])
    searched, loaded = re.findall(r"validation accuracy .*: ([\d.]+)", printed)
    assert float(searched) == pytest.approx(float(loaded), abs=1e-6)
    assert float(loaded) > 0.9


@pytest.mark.skipif(bool(MISSING), reason=f"needs Slurm (Debian: slurmctld slurmd), no {MISSING}")
@pytest.mark.skipif(os.geteuid() != 0, reason="Slurm's daemons start jobs as root only")
def test_search_on_two_nodes_of_a_slurm_cluster(reader, tmp_path_factory):
    page = "start/slurm.md"
    files = files_of(page)
    assert {"environment.sh", "train.py", "train.toml", "search.sbatch", "array.sbatch"} <= set(
        files
    )
    reader.copies({**files, "environment.sh": ""})  # this environment needs no module
    (attempt,) = commands_of(page, start="hpo run train.py:train --max-resource 3")
    reader.enters(attempt)
    cluster = Slurm(tmp_path_factory.mktemp("slurm"), reader.environment, nodes=2)
    try:
        script = reader.folder / "array.sbatch"
        text = script.read_text("utf-8")
        assert "--array=0-7" in text
        assert "--max-resource 27" in text
        # Two tasks, each with a node of its own, and fewer epochs.
        text = text.replace("--array=0-7", "--array=0-1\n#SBATCH --exclusive")
        script.write_text(text.replace("--max-resource 27", "--max-resource 3"))
        job = cluster.submit(reader.folder, script)
        wait_until(
            lambda: {"n0", "n1"} <= set(cluster.ask("squeue", "-h", "-o", "%N").split()),
            "both nodes to work",
        )
        wait_until(lambda: cluster.over(job), "the search to end")
    finally:
        cluster.close()
    printed = [path.read_text("utf-8") for path in sorted(reader.folder.glob("search-*.out"))]
    assert len(printed) == 2, printed
    results = Results.from_journal(reader.folder / "array.jsonl")
    assert results.finished, printed
    for start in ("hpo status", "hpo report"):
        for command in commands_of(page, start=start):
            reader.enters([word.replace("run.jsonl", "array.jsonl") for word in command])
    best = files["best.py"].replace("run.jsonl", "array.jsonl")
    assert str(results.best.value) in reader.enters([sys.executable, "-c", best])
