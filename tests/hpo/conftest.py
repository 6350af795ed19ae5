"""What several rooms' tests share: curves, runs in temporary directories, a browser."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from browser import Browser, find_chromium
from hpo.run.results import Results
from hpo.run.spec import RunSpec
from hpo.run.tuner import Tuner
from hpo.simulation import CurveTable
from hpo.simulation.datasets import load_mlpf
from shown_runs import RUNS, SPACE, TRAINER
from workshop import Workshop, environment, outcome_of

MLPF = Path(__file__).parents[2].parent / "shared/data/mlpf_curves.csv"


@pytest.fixture(scope="session")
def mlpf():
    if not MLPF.exists():
        pytest.skip(f"the MLPF table is not at {MLPF.name} beside this checkout")
    return load_mlpf(MLPF)


@pytest.fixture(scope="session")
def falling():
    """200 noisy power laws of 27 units whose order changes with time."""
    rng = np.random.default_rng(0)
    units = np.arange(1, 28)
    level = rng.uniform(0, 1, (200, 1))
    losses = level + rng.uniform(0.5, 2, (200, 1)) * units ** -rng.uniform(0.3, 1.5, (200, 1))
    losses += rng.normal(0, 0.01, losses.shape)
    configs = tuple({"level": float(value)} for value in level[:, 0])
    return CurveTable(configs, losses, rng.uniform(0.5, 2, 200))


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
def make_workshop(tmp_path: Path) -> Callable[[str], Workshop]:
    def make(name: str) -> Workshop:
        root = tmp_path / name
        root.mkdir()
        return Workshop(root)

    return make


@pytest.fixture(name="outcome_of")
def outcome_of_fixture() -> Callable[[Results], list[tuple[Any, ...]]]:
    return outcome_of


@pytest.fixture(name="environment")
def environment_fixture() -> dict[str, str]:
    return environment()


@pytest.fixture(scope="session")
def browser(tmp_path_factory) -> Iterator[Browser]:
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    browser = Browser(chromium, tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture
def quiet_optuna() -> Iterator[None]:
    """Silence Optuna below warnings; skip the test where Optuna is not installed."""
    optuna = pytest.importorskip("optuna", reason="Optuna is not installed (extra optuna)")

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Callable[[str], Path]:
    """Return a function: name of a scheduler -> journal of a finished run."""
    root = tmp_path_factory.mktemp("runs")
    trainer = root / "work.py"
    trainer.write_text(TRAINER)

    @functools.cache
    def journal(scheduler: str) -> Path:
        path = root / f"{scheduler}.jsonl"
        spec = RunSpec(
            trainer=f"{trainer}:train",
            space=SPACE,
            scheduler=scheduler,
            executor="inline",
            max_retries=0,
            **RUNS[scheduler],
        )
        Tuner.from_spec(spec, journal=path).run()
        return path

    return journal


@pytest.fixture(scope="session")
def unfinished(finished) -> Callable[[str, float], Path]:
    """Return a function: name of a scheduler, share -> the first part of its journal."""

    def journal(scheduler: str, share: float = 0.5) -> Path:
        whole = finished(scheduler)
        lines = whole.read_bytes().splitlines(keepends=True)
        path = whole.with_name(f"{scheduler}-{share:g}.jsonl")
        path.write_bytes(b"".join(lines[: max(1, int(share * len(lines)))]))
        return path

    return journal
