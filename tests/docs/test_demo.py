"""The digits example runs as its documentation says."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.mark.slow
def test_demo(tmp_path, environment) -> None:
    done = subprocess.run(
        [
            *(sys.executable, str(EXAMPLES / "_steps.py"), str(EXAMPLES / "hpo_demo.py")),
            *("--output", str(tmp_path)),
            *("--predictor", "nusvr", "--max-resource", "2", "--workers", "1"),
        ],
        env=environment,
        text=True,
        capture_output=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Swift-Hyperband + nusvr" in done.stdout
    assert "Swift-ASHA" in done.stdout
    assert "Budget: " in done.stdout
    words = " ".join(done.stdout.split())
    assert "best error: lowest last error of a trial that was trained" in words
    assert "hpo report demo-output/runs/swift-asha.jsonl --html report.html" in words
    if (
        not shutil.which("hpo", path=environment["PATH"])
        and Path(sys.prefix, "bin/activate").exists()
    ):
        assert f"source {sys.prefix}/bin/activate" in words
    names = sorted(path.name for path in tmp_path.glob("*.png"))
    curves = ("hyperband-curves.png", "swift-asha-curves.png", "swift-hyperband-curves.png")
    assert names == sorted((*curves, "regret.png"))


@pytest.mark.slow
def test_command_of_the_network_module(tmp_path, environment) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "hpo", "run", f"{EXAMPLES / 'digits_cnn.py'}:trainer"),
            *("--space", str(EXAMPLES / "digits_space.toml"), "--max-resource", "2"),
            *("--executor", "inline"),  # the demo trains in worker processes
        ],
        cwd=tmp_path,
        env=environment,
        text=True,
        capture_output=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Journal: digits_cnn-swift-asha.jsonl" in done.stdout
