"""Ctrl-C and a notebook's stop return what there is, with or without a journal."""

from __future__ import annotations

import ast
import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hpo.errors import InterruptedRunError

WORKERS = {"inline": 1, "process": 2}
SCRIPT = """
import json, signal, sys
from pathlib import Path
from hpo import RandomSearcher, SearchSpace, Tuner, make_scheduler
from hpo.errors import InterruptedRunError

if __name__ == "__main__":
    space = SearchSpace.from_dict({{"lr": {{"type": "float", "low": 0.0, "high": 1.0}}}})
    scheduler = make_scheduler(
        "asha", RandomSearcher(space, seed=0), max_resource=27, reduction_factor=3
    )
    try:
        where = {{"executor": "{executor}", "n_workers": {n_workers}, "journal": {journal}}}
        Tuner("work.py:train", scheduler, **where).run()
    except InterruptedRunError as stop:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the second one may come now
        results = stop.results
        print(json.dumps({{
            "epochs": results.epochs,
            "best": results.best.trial_id,
            "finished": results.finished,
            "code": stop.exit_code,
            "text": str(stop),
            "lines": results.summary_lines(),
        }}))
"""


@pytest.mark.parametrize("journal", [None, "run.jsonl"])
@pytest.mark.parametrize("executor", ["inline", "process"])
@pytest.mark.parametrize("signals", [1, 2])
def test_ctrl_c_returns_the_results(workshop, environment, journal, executor, signals) -> None:
    workshop.allow(12)  # the search cannot end before the signal
    script = workshop.root / "search.py"
    how = {"executor": executor, "journal": repr(journal), "n_workers": WORKERS[executor]}
    script.write_text(SCRIPT.format(**how))
    with subprocess.Popen(
        [sys.executable, str(script)],
        cwd=workshop.root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        workshop.reach(12)
        for _ in range(signals):  # the second one stops at once
            process.send_signal(signal.SIGINT)
        workshop.allow(None)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    found = json.loads(out)
    assert not found["finished"]
    assert 5 <= found["epochs"] <= workshop.epochs()
    assert found["code"] == 130
    assert found["lines"][0] == "The run is not finished."
    if journal is None:
        assert "no journal" in found["text"]
        assert "attribute results" in found["text"]
    else:
        assert "kept in run.jsonl" in found["text"]


CELL = """
from hpo import RandomSearcher, SearchSpace, Tuner, make_scheduler
space = SearchSpace.from_dict({{"lr": {{"type": "float", "low": 0.0, "high": 1.0}}}})
scheduler = make_scheduler(
    "asha", RandomSearcher(space, seed=0), max_resource=27, reduction_factor=3
)
tuner = Tuner("{trainer}:train", scheduler, executor="{executor}", n_workers={n_workers})
results = tuner.run()
"""
FOUND = "(lambda r: (r.epochs, r.finished, r.best.trial_id >= 0))(sys.last_value.results)"


@pytest.mark.parametrize("executor", ["inline", "process"])
def test_a_notebooks_stop_returns_the_results(workshop, environment, executor) -> None:
    """In a real kernel, interrupted as the stop button does."""
    manager_module = pytest.importorskip("jupyter_client.manager")
    pytest.importorskip("ipykernel")
    workshop.allow(12)
    manager = manager_module.KernelManager(kernel_name="python3")
    manager.start_kernel(env=environment, cwd=str(workshop.root))
    client = manager.client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=60)
        n_workers = WORKERS[executor]
        source = CELL.format(trainer=workshop.trainer, executor=executor, n_workers=n_workers)
        cell = client.execute(source, stop_on_error=False)  # else what follows may be aborted
        workshop.reach(12)
        manager.interrupt_kernel()
        workshop.allow(None)
        reply = client.get_shell_msg(timeout=60)
        while reply["parent_header"]["msg_id"] != cell:
            reply = client.get_shell_msg(timeout=60)
        assert reply["content"]["ename"] == "InterruptedRunError"
        assert "attribute results" in reply["content"]["evalue"]
        asked = client.execute("import sys", user_expressions={"found": FOUND})
        reply = client.get_shell_msg(timeout=60)
        while reply["parent_header"]["msg_id"] != asked:
            reply = client.get_shell_msg(timeout=60)
        found = reply["content"]["user_expressions"]["found"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert found["status"] == "ok", found
    epochs, finished, has_best = ast.literal_eval(found["data"]["text/plain"])
    assert (finished, has_best) == (False, True)
    assert epochs >= 5


def test_the_error_travels() -> None:
    error = InterruptedRunError(signal.SIGTERM, Path("j"), results=object)
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.signum, copy.journal, copy.exit_code) == (signal.SIGTERM, Path("j"), 143)
    assert os.fspath(copy.journal) in str(copy)
