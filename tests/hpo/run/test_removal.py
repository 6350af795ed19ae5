"""Checkpoints of trials that are over are deleted; the best trial's model is there at the end."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest

from hpo import ASHA, ListSearcher, Results, Tuner, make_scheduler
from hpo.errors import InterruptedRunError, MissingCheckpointError, UsageError
from hpo.run.journal import encode_line, read_journal
from hpo.run.removal import REMOVED
from hpo.trial import TrainJob, TrialStatus, from_json

LOADING = '''
import json
from hpo.files import write_atomically

class Powers:
    """The losses so far are the checkpoint, and the model is what they add up to."""

    def train(self, config, start, stop, checkpoint):
        losses = json.loads(checkpoint.read_text()) if checkpoint.exists() else []
        assert len(losses) >= start, "the state before the segment is lost"
        for unit in range(len(losses), stop):
            losses.append((config["lr"] - 0.3) ** 2 + (1 + config["lr"]) / (unit + 1))
            write_atomically(checkpoint, json.dumps(losses).encode())
        return losses[start:stop]

    def load(self, checkpoint, scale=1.0):
        return scale * sum(json.loads(checkpoint.read_text()))

train = Powers()
'''


def checkpoints(root: Path) -> list[int]:
    """Return the trials that have a checkpoint."""
    return sorted(int(p.parent.name.removeprefix("trial-")) for p in root.rglob("checkpoint"))


@pytest.fixture
def loading(workshop):
    workshop.write_trainer(LOADING)
    return workshop


@pytest.mark.parametrize("scheduler", ["hyperband", "asha", "swift-asha", "early-stopping"])
def test_the_best_trials_checkpoint_is_left(loading, outcome_of, scheduler) -> None:
    spec = loading.spec(scheduler=scheduler)
    results = Tuner.from_spec(spec, journal=loading.journal).run()
    root = loading.root / "run.checkpoints"
    assert checkpoints(root) == [results.best.trial_id]
    assert results.best_checkpoint == root / f"trial-{results.best.trial_id:05d}" / "checkpoint"
    assert {path.name for path in root.iterdir()} == {
        "run.json",
        results.best_checkpoint.parent.name,
    }
    assert results.repeated_epochs == 0
    kept = loading.root / "kept"
    settings = {"journal": loading.root / "kept.jsonl", "checkpoint_dir": kept}
    everything = Tuner.from_spec(spec, keep_checkpoints=True, **settings).run()
    assert checkpoints(kept) == [trial.trial_id for trial in results.trials]
    assert outcome_of(everything) == outcome_of(results)
    worst = max(everything.trials, key=lambda trial: trial.last_loss)
    assert worst.load() == pytest.approx(sum(worst.losses))


def test_they_are_deleted_while_the_search_goes_on(loading) -> None:
    """No more trials have checkpoints than can go on, and the best ones."""
    spec = loading.spec(max_resource=27)
    results = Tuner.from_spec(spec, journal=loading.journal).run()
    entries = read_journal(loading.journal).entries
    removed: set[int] = set()
    for entry in entries:
        if entry.kind == "note" and entry.data["what"] == REMOVED:
            removed.update(entry.data["trials"])
        if entry.kind == "decided" and isinstance(job := from_json(entry.data), TrainJob):
            assert job.trial_id not in removed
            last, before = job, len(removed)
    assert before > len(results.trials) / 3, last
    assert removed == {t.trial_id for t in results.trials} - {results.best.trial_id}


@pytest.mark.parametrize("scheduler", ["hyperband", "swift-asha"])
def test_the_model_is_loaded(loading, scheduler) -> None:
    results = Tuner.from_spec(loading.spec(scheduler=scheduler), journal=loading.journal).run()
    expected = pytest.approx(sum(results.best.losses))
    again = Results.from_journal(loading.journal)
    assert again.best == results.best == results.trials[results.best.trial_id]
    for each in (results, again, pickle.loads(pickle.dumps(results))):
        assert each.best.load() == expected
        assert each.best_checkpoint == results.best_checkpoint
    assert results.best.load(scale=2.0) == pytest.approx(2 * sum(results.best.losses))
    assert results.best.load(f"{loading.trainer}:train") == expected
    other = next(t for t in results.trials if t.trial_id != results.best.trial_id)
    with pytest.raises(MissingCheckpointError, match=r"was removed .* keep_checkpoints=True"):
        other.load()


def train(config, start, stop, checkpoint):
    checkpoint.write_text(str(stop))
    return [config["lr"] / (unit + 1) for unit in range(start, stop)]


def scheduler_of(n_trials=4):
    searcher = ListSearcher([{"lr": 1.0 + i} for i in range(n_trials)])
    return make_scheduler("asha", searcher, max_resource=4)


def test_a_named_directory_outlives_a_run_without_a_journal(tmp_path) -> None:
    root = tmp_path / "models"
    results = Tuner(train, scheduler_of(), executor="inline", checkpoint_dir=root).run()
    assert checkpoints(root) == [results.best.trial_id]
    assert results.best_checkpoint.read_text() == "4"
    with pytest.raises(UsageError, match=r"method load\(checkpoint\).* read the file .*checkpoint"):
        results.best.load()


def test_what_has_no_model_says_why(tmp_path) -> None:
    results = Tuner(train, scheduler_of(), executor="inline").run()
    with pytest.raises(MissingCheckpointError, match=r"temporary directory .*checkpoint_dir"):
        _ = results.best_checkpoint
    journal = tmp_path / "run.jsonl"
    Tuner(train, scheduler_of(), executor="inline", journal=journal).run()
    with pytest.raises(UsageError, match="trainer must be given to load a model here"):
        Results.from_journal(journal).best.load()


def test_what_the_run_did_not_make_is_left(tmp_path) -> None:
    root = tmp_path / "models"

    def logging(config, start, stop, checkpoint):
        (checkpoint.parent / "log.txt").write_text("for a reader")
        checkpoint.mkdir(exist_ok=True)
        (checkpoint / "weights").write_text(str(stop))
        checkpoint.with_suffix(".best").write_text(str(stop))
        (root / "mine.txt").write_text("a user's")
        return [config["lr"]] * (stop - start)

    results = Tuner(logging, scheduler_of(), executor="inline", checkpoint_dir=root).run()
    assert (root / "mine.txt").exists()
    for trial in results.trials:
        names = {path.name for path in (root / f"trial-{trial.trial_id:05d}").iterdir()}
        models = {"checkpoint", "checkpoint.best"}
        is_best = trial.trial_id == results.best.trial_id
        assert names == {"log.txt", "segment.json"} | (models if is_best else set())


def test_a_trainer_without_checkpoints(tmp_path) -> None:
    journal = tmp_path / "run.jsonl"
    results = Tuner(
        lambda config, start, stop, checkpoint: [config["lr"]] * (stop - start),
        scheduler_of(),
        executor="inline",
        journal=journal,
    ).run()
    assert not [note for note in results.notes if note["what"] == REMOVED]
    with pytest.raises(MissingCheckpointError, match="its trainer has written none"):
        _ = results.best_checkpoint


class Wrapped:
    """A scheduler of a user's own, which does not say which trials are over."""

    def __init__(self):
        self.inner = ASHA(ListSearcher([{"lr": 1.0 + i} for i in range(9)]), max_resource=4)

    def ask(self):
        return self.inner.ask()

    def tell(self, report):
        self.inner.tell(report)

    def summary(self):
        return self.inner.summary()


def test_a_scheduler_that_does_not_say_which_trials_are_over(tmp_path) -> None:
    seen = []

    def counting(config, start, stop, checkpoint):
        seen.append(len(checkpoints(tmp_path / "models")))
        return train(config, start, stop, checkpoint)

    settings = {"executor": "inline", "checkpoint_dir": tmp_path / "models"}
    results = Tuner(counting, Wrapped(), **settings).run()
    assert seen == sorted(seen)  # none is deleted before the end
    assert checkpoints(tmp_path / "models") == [results.best.trial_id]


# -- failures, interruptions and damage ---------------------------------------------------------


@pytest.mark.parametrize("scheduler", ["hyperband", "asha", "swift-asha"])
def test_failed_trials_go_on_from_their_checkpoints(loading, scheduler) -> None:
    broken = loading.root / "broken"
    broken.touch()
    fail = 'if config["lr"] > 0.2 and unit and Path(__file__).with_name("broken").exists(): 1 / 0'
    text = LOADING.replace("stop):\n", f"stop):\n            {fail}\n", 1)
    loading.write_trainer("from pathlib import Path\n" + text)
    spec = loading.spec(scheduler=scheduler, max_retries=0)
    before = Tuner.from_spec(spec, journal=loading.journal).run()
    failed = [t for t in before.trials if t.status is TrialStatus.FAILED]
    root = loading.root / "run.checkpoints"
    assert failed
    best = {before.best.trial_id}
    assert set(checkpoints(root)) == {t.trial_id for t in failed} | best
    assert all((root / f"trial-{t.trial_id:05d}" / "error.txt").exists() for t in failed)
    broken.unlink()
    results = Tuner.resume(loading.journal, retry_failed=True)
    assert not [t for t in results.trials if t.status is TrialStatus.FAILED]
    again = {note["trial_id"] for note in results.notes if note["what"] == "restart"}
    assert not again & {t.trial_id for t in failed}
    assert checkpoints(root) == [results.best.trial_id]
    assert Results.from_journal(loading.journal).trials == results.trials


class Killed(BaseException):
    pass


@pytest.mark.parametrize("scheduler", ["hyperband", "swift-asha"])
def test_killed_while_it_deletes(make_workshop, outcome_of, monkeypatch, scheduler) -> None:
    """Killed at any call that deletes a file or a directory, and at the same one when resumed."""
    calm = make_workshop("calm")
    calm.write_trainer(LOADING)
    reference = Tuner.from_spec(calm.spec(scheduler=scheduler), journal=calm.journal).run()
    left = 0

    def limited(function):
        def call(*args, **kwargs):
            nonlocal left
            if ".checkpoints" in str(args[0]) and "checkpoint" in Path(args[0]).name:
                left -= 1
                if left < 0:
                    raise Killed
            return function(*args, **kwargs)

        return call

    monkeypatch.setattr(os, "unlink", limited(os.unlink))
    monkeypatch.setattr(Path, "unlink", limited(Path.unlink))
    killed = make_workshop("killed")
    killed.write_trainer(LOADING)
    n_kills = 0
    tuner = Tuner.from_spec(killed.spec(scheduler=scheduler), journal=killed.journal)
    left = 1
    with pytest.raises(Killed):
        tuner.run()
    while True:
        n_kills += 1
        left = 2 * n_kills  # those deleted before are deleted again
        try:
            results = Tuner.resume(killed.journal)
        except Killed:
            assert n_kills < 100
            continue
        break
    assert n_kills > 2
    assert outcome_of(results) == outcome_of(reference)
    assert results.repeated_epochs == 0
    assert checkpoints(killed.root / "run.checkpoints") == [results.best.trial_id]


def test_resumed_with_all_checkpoints_kept(loading, outcome_of) -> None:
    limit = "        assert len(losses) >= start"
    go_on = loading.root / "go-on"
    stop = f"        if start == 3 and not Path({str(go_on)!r}).exists(): os.kill(os.getpid(), 2)\n"
    text = "import os\nfrom pathlib import Path\n" + LOADING.replace(limit, stop + limit)
    loading.write_trainer(text)
    with pytest.raises(InterruptedRunError) as stopped:
        Tuner.from_spec(loading.spec(), journal=loading.journal).run()
    found = stopped.value.results
    assert found.best.load() >= sum(found.best.losses)  # its checkpoint may be ahead
    go_on.touch()
    reference = Tuner.from_spec(loading.spec()).run()
    results = Tuner.resume(loading.journal, keep_checkpoints=True)
    assert outcome_of(results) == outcome_of(reference)
    trials = {trial.trial_id for trial in results.trials}
    gone = {t for n in results.notes if n["what"] == REMOVED for t in n["trials"]}
    assert set(checkpoints(loading.root / "run.checkpoints")) == trials - gone
    assert len(gone) < len(trials) - 1


def test_a_journal_of_before_keeps_them(loading) -> None:
    results = Tuner.from_spec(loading.spec(), journal=loading.journal, keep_checkpoints=True).run()
    content = read_journal(loading.journal)
    header = content.header.to_json()
    del header["spec"]["keep_checkpoints"]
    lines, checksum = [], 0
    for data in [
        header,
        *({"kind": e.kind, "time": e.time, "data": e.data} for e in content.entries[:40]),
    ]:
        line, checksum = encode_line(data, checksum)
        lines.append(line)
    loading.journal.write_bytes(b"".join(lines))
    Tuner.resume(loading.journal)
    assert len(checkpoints(loading.root / "run.checkpoints")) == len(results.trials)


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_a_damaged_journal_knows_less_than_was_deleted(loading, outcome_of, share) -> None:
    reference = Tuner.from_spec(loading.spec(), journal=loading.journal).run()
    lines = loading.journal.read_bytes().splitlines(keepends=True)
    lines[int(share * len(lines))] = b"damaged\n"
    loading.journal.write_bytes(b"".join(lines))
    results = Tuner.resume(loading.journal, salvage=True)
    assert outcome_of(results) == outcome_of(reference)
    assert results.repeated_epochs > 0
    assert results.best.load() == pytest.approx(sum(results.best.losses))


def test_on_the_command_line(loading) -> None:
    done = loading.cli(*loading.run_args(), "--keep-checkpoints")
    assert done.returncode == 0
    results = Results.from_journal(loading.journal)
    n_trials, best = len(results.trials), results.best.trial_id
    line = f"Checkpoint of the best trial: run.checkpoints/trial-{best:05d}/checkpoint"
    assert line in done.stdout.replace(os.sep, "/").splitlines()
    assert len(checkpoints(loading.root / "run.checkpoints")) == n_trials
    assert json.loads((loading.root / "run.checkpoints/run.json").read_text())["spec"][
        "keep_checkpoints"
    ]
    assert loading.cli("resume", "run.jsonl", "--remove-checkpoints").returncode == 0
    assert len(checkpoints(loading.root / "run.checkpoints")) == 1
