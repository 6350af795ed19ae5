"""Our runs in Optuna's storages, and what Optuna makes of them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter

import pytest

optuna = pytest.importorskip("optuna", reason="Optuna is not installed (extra optuna)")

from optuna.trial import TrialState  # noqa: E402

from hpo.cli import main  # noqa: E402
from hpo.errors import UsageError  # noqa: E402
from hpo.integrations.optuna import export_journal  # noqa: E402
from hpo.run.journal import Journal, read_journal  # noqa: E402
from hpo.run.results import Results  # noqa: E402

pytestmark = pytest.mark.usefixtures("quiet_optuna")


@pytest.fixture(params=["sqlite", "journal"])
def storage(request, tmp_path):
    return f"sqlite:///{tmp_path}/runs.db" if request.param == "sqlite" else tmp_path / "runs.log"


def opened(storage):
    if isinstance(storage, str):
        return optuna.storages.RDBStorage(storage)
    backend = optuna.storages.journal.JournalFileBackend(str(storage))
    return optuna.storages.JournalStorage(backend)


EXPECTED = {
    "stopped": TrialState.PRUNED,
    "completed": TrialState.COMPLETE,
    "failed": TrialState.FAIL,
}


def check(study, results):
    """Check that a study holds what the results say."""
    assert len(study.trials) == len(results.trials)
    for ours, theirs in zip(results.trials, study.trials, strict=True):
        assert theirs.number == ours.trial_id
        assert theirs.params == dict(ours.config)
        assert theirs.intermediate_values == dict(enumerate(ours.losses, 1))
        assert theirs.state == EXPECTED.get(str(ours.status), TrialState.RUNNING)
        assert theirs.datetime_start <= (theirs.datetime_complete or theirs.datetime_start)
        if theirs.state == TrialState.COMPLETE:
            assert theirs.value == ours.losses[-1]


def test_a_finished_run_is_exported_once(finished, storage):
    name = "hyperband" if isinstance(storage, str) else "swift-hyperband"
    journal = finished(name)
    results = Results.from_journal(journal)
    done = export_journal(journal, storage)
    assert (done.added, done.updated, done.unchanged) == (len(results.trials), 0, 0)
    study = optuna.load_study(study_name=name, storage=opened(storage))
    check(study, results)
    before = [str(trial) for trial in study.trials]
    again = export_journal(journal, storage)
    assert (again.added, again.updated, again.unchanged) == (0, 0, len(results.trials))
    study = optuna.load_study(study_name=name, storage=opened(storage))
    assert [str(trial) for trial in study.trials] == before


@pytest.mark.slow
def test_a_running_journal_is_brought_up_to_date(finished, unfinished, storage):
    run = "hyperband" if isinstance(storage, str) else "swift-hyperband"
    whole = finished(run)
    for share in (0.0, 0.4, 1.0):
        journal = unfinished(run, share)
        export_journal(journal, storage, study_name="run")
        study = optuna.load_study(study_name="run", storage=opened(storage))
        check(study, Results.from_journal(journal))
    name = "once.db" if isinstance(storage, str) else "once.log"
    once = storage.replace("runs.db", name) if isinstance(storage, str) else whole.parent / name
    export_journal(whole, once, study_name="run")
    direct = optuna.load_study(study_name="run", storage=opened(once))
    for left, right in zip(study.trials, direct.trials, strict=True):
        assert left.state == right.state
        assert left.user_attrs == right.user_attrs
        assert left.values == right.values


def test_optuna_draws_an_exported_run(finished, tmp_path):
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    matplotlib.use("Agg")
    export_journal(finished("swift-hyperband"), tmp_path / "runs.log", study_name="s")
    study = optuna.load_study(study_name="s", storage=opened(tmp_path / "runs.log"))
    best = Results.from_journal(finished("swift-hyperband")).best
    assert study.best_trial.number == best.trial_id
    assert optuna.importance.get_param_importances(study)


def test_a_study_of_another_run_is_refused(finished, storage):
    export_journal(finished("hyperband"), storage, study_name="mine")
    with pytest.raises(UsageError, match=r"study 'mine' .* another run; give another study_name"):
        export_journal(finished("asha"), storage, study_name="mine")
    optuna.create_study(storage=opened(storage), study_name="foreign").add_trial(
        optuna.trial.create_trial(value=1.0)
    )
    with pytest.raises(UsageError, match=r"'foreign' .* not of this program"):
        export_journal(finished("asha"), storage, study_name="foreign")


def test_a_run_from_python_objects_needs_its_space(tmp_path):
    from hpo.schedulers import Hyperband
    from hpo.searchers import ListSearcher

    Journal.create(tmp_path / "run.jsonl", {}).close()
    scheduler = Hyperband(ListSearcher([{"lr": 0.1}]), max_resource=2)
    with pytest.raises(UsageError, match="search space; give it"):
        export_journal(tmp_path / "run.jsonl", tmp_path / "o.log", scheduler=scheduler)


def test_the_command(finished, tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/runs.db"
    with pytest.raises(SystemExit) as caught:
        main(["export", str(finished("hyperband")), url, "--study", "s"])
    assert caught.value.code == 0
    assert "Study s: 17 trials added" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        main(["export", str(finished("asha")), url, "--study", "s"])
    assert caught.value.code == 2


@pytest.fixture
def dashboard(finished, tmp_path):
    """A dashboard in a process of its own over an exported run; yields (address, results)."""
    pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed")
    url = f"sqlite:///{tmp_path}/runs.db"
    export_journal(finished("hyperband"), url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "import sys; from optuna_dashboard._cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, url, "--host", "127.0.0.1", "--port", str(port)]
    log = (tmp_path / "dashboard.log").open("w")
    process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}", Results.from_journal(finished("hyperband"))
    finally:
        process.terminate()
        process.wait(20)
        log.close()


def fetched(url, seconds=60):
    """Return the JSON at an address, waiting for the server to start."""
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return json.load(answer)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


@pytest.mark.slow
def test_the_dashboard_shows_an_exported_run(dashboard, browser, tmp_path):
    address, results = dashboard
    studies = fetched(f"{address}/api/studies")["study_summaries"]
    assert [study["study_name"] for study in studies] == ["hyperband"]
    number = studies[0]["study_id"]
    detail = fetched(f"{address}/api/studies/{number}?after=0")
    assert len(detail["trials"]) == len(results.trials)
    found = Counter(trial["state"] for trial in detail["trials"])
    ours = Counter(EXPECTED[str(trial.status)] for trial in results.trials)
    names = {TrialState.PRUNED: "Pruned", TrialState.COMPLETE: "Complete", TrialState.FAIL: "Fail"}
    assert found == {names[state]: count for state, count in ours.items()}
    browser.open(f"{address}/dashboard/studies/{number}/trials")
    browser.until("document.body.innerText.includes('hyperband')")
    browser.until("document.body.innerText.includes('Complete')")
    assert len(browser.screenshot(tmp_path / "dashboard.png")) > 20_000


def test_the_run_id_is_that_of_the_journal(finished, tmp_path):
    url = f"sqlite:///{tmp_path}/runs.db"
    export_journal(finished("hyperband"), url)
    study = optuna.load_study(study_name="hyperband", storage=url)
    assert study.user_attrs["hpo:run"] == read_journal(finished("hyperband")).header.run_id
