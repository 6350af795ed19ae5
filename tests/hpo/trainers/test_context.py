"""What a trainer may ask about the trial that it trains."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from hpo import RandomSearcher, SearchSpace, TrialContext, Tuner, current_trial, make_scheduler
from hpo.errors import UsageError
from hpo.trainers import Segment, run_segment

SPACE = SearchSpace.from_dict({"lr": {"type": "float", "low": 0.0, "high": 1.0}})


def tuner(train, tmp_path: Path, **settings) -> Tuner:
    scheduler = make_scheduler(
        "successive-halving", RandomSearcher(SPACE), max_resource=4, reduction_factor=2
    )
    settings = {"executor": "inline", "checkpoint_dir": tmp_path / "trials"} | settings
    return Tuner(train, scheduler, **settings)


def test_no_trial_is_trained_here(tmp_path: Path) -> None:
    message = r"current_trial\(\) must be called while a trainer trains a trial"
    with pytest.raises(UsageError, match=message):
        current_trial()
    assert run_segment(Asking(), Segment({}, 0, 1, tmp_path / "t" / "checkpoint")).reason == ""
    with pytest.raises(UsageError, match=message):
        current_trial()


class Asking:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[TrialContext] = []

    def train(self, config, start, stop, checkpoint):
        trial = current_trial()
        self.told.append(trial)
        assert trial.folder == checkpoint.parent
        trial.logger.info("epochs %d to %d, attempt %d", start, stop, trial.attempt)
        trial.logger.debug("not shown")
        if trial.trial_id == 1 and trial.attempt == 1:
            raise ValueError("once")
        for _ in range(start, stop):
            yield config.get("lr", 0.0) + current_trial().trial_id  # also in a generator


def test_a_run_tells_trial_segment_attempt_and_deadline(tmp_path: Path) -> None:
    asking = Asking()
    begun = time.time()
    results = tuner(asking, tmp_path, deadline=timedelta(hours=1)).run()
    assert {each.trial_id for each in asking.told} == {trial.trial_id for trial in results.trials}
    assert [each.attempt for each in asking.told if each.trial_id == 1][:2] == [1, 2]
    assert all(each.attempt == 1 for each in asking.told if each.trial_id != 1)
    assert all(0 <= each.start < each.stop <= 4 for each in asking.told)
    for each in asking.told:
        assert begun + 3600 == pytest.approx(each.deadline, abs=60)
        assert each.remaining == pytest.approx(3600, abs=60)


def test_lines_of_the_logger_stay_beside_the_trial(tmp_path: Path) -> None:
    asking = Asking()
    results = tuner(asking, tmp_path).run()
    assert asking.told[0].deadline is asking.told[0].remaining is None
    for trial in results.trials:
        lines = (tmp_path / "trials" / f"trial-{trial.trial_id:05d}" / "log.txt").read_text()
        told = [each for each in asking.told if each.trial_id == trial.trial_id]
        assert [line.partition("INFO ")[2] for line in lines.splitlines()] == [
            f"epochs {each.start} to {each.stop}, attempt {each.attempt}" for each in told
        ]


def test_records_reach_the_handlers_of_the_program_too(tmp_path: Path, caplog) -> None:
    with caplog.at_level(logging.INFO):
        run_segment(Asking(), Segment({}, 0, 1, tmp_path / "t" / "checkpoint", trial_id=5))
    assert [record.name for record in caplog.records] == ["hpo.trial.5"]


def test_the_devices_are_those_of_the_worker(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    asking = Asking()
    run_segment(asking, Segment({}, 0, 1, tmp_path / "t" / "checkpoint"))
    assert asking.told[0].devices == ("2", "5")


def test_threads_train_trials_of_their_own(tmp_path: Path) -> None:
    meet = threading.Barrier(2, timeout=60)
    seen = {}

    class Both:
        def train(self, config, start, stop, checkpoint):
            meet.wait()
            seen[checkpoint.parent.name] = current_trial().trial_id
            meet.wait()
            return [0.0]

    def one(number: int) -> None:
        place = tmp_path / f"t{number}" / "checkpoint"
        run_segment(Both(), Segment({}, 0, 1, place, trial_id=number))

    threads = [threading.Thread(target=one, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"t0": 0, "t1": 1}


def test_a_thread_of_the_trainer_asks_in_a_copy_of_its_context(tmp_path: Path) -> None:
    class Threaded:
        def train(self, config, start, stop, checkpoint):
            found: list[object] = []

            def ask() -> None:
                try:
                    found.append(float(current_trial().trial_id))
                except UsageError:
                    found.append(-1.0)

            copy = contextvars.copy_context()
            for target in (ask, lambda: copy.run(ask)):
                thread = threading.Thread(target=target)
                thread.start()
                thread.join()
            return found

    place = Segment({}, 0, 2, tmp_path / "t" / "checkpoint", trial_id=3)
    assert run_segment(Threaded(), place).losses == (-1.0, 3.0)
