"""Ray's address and workers are checked: nothing waits in silence."""

from __future__ import annotations

import importlib.util
import socket
import time

import pytest

if importlib.util.find_spec("ray") is None:
    pytest.skip("Ray is not installed (extra ray)", allow_module_level=True)

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]


def run(workshop, *options: str):
    args = [f"--executor-option={option}" for option in options]
    begun = time.monotonic()
    done = workshop.cli(*workshop.run_args(executor="ray", workers="2"), *args, timeout=200)
    return done, time.monotonic() - begun


def test_a_wrong_address_is_refused_after_patience(workshop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for address in ("127.0.0.1:1", "ray://127.0.0.1:1", f"127.0.0.1:{port}", "auto", "x"):
            done, seconds = run(workshop, f"address={address}", "patience=3")
            assert done.returncode == 2, (address, done.stderr)
            assert done.stderr.splitlines()[-1].startswith("Error: "), done.stderr
            assert "Ray" in done.stderr.splitlines()[-1]
            assert "Traceback" not in done.stderr
            assert seconds < 30, address
            assert not workshop.journal.exists()


def test_a_trainer_that_tasks_cannot_import_is_refused_at_once(workshop) -> None:
    workshop.write_trainer(
        "import os\nassert os.environ.get('RAY_JOB_ID') is None\n" + workshop.trainer.read_text()
    )
    done, _ = run(workshop)
    assert done.returncode == 2, done.stderr
    assert "ray worker (host" in done.stderr
    assert "must be able to import the trainer" in done.stderr
    assert not workshop.journal.exists()
