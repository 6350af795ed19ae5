"""The trained models of a run: the checkpoints of its trials and the trainer that reads them.

A trainer that has a method ``load(checkpoint)``, as `hpo.TorchTrainer` has, gives the model of a
checkpoint:

>>> import json, tempfile
>>> from hpo import ASHA, ListSearcher, Tuner
>>> class Doubling:
...     def train(self, config, start, stop, checkpoint):
...         checkpoint.write_text(json.dumps({"weight": config["w"] * 2}))
...         return [config["w"]] * (stop - start)
...     def load(self, checkpoint):
...         return json.loads(checkpoint.read_text())
>>> scheduler = ASHA(ListSearcher([{"w": 3.0}, {"w": 1.0}]), max_resource=2)
>>> folder = Path(tempfile.mkdtemp()) / "models"
>>> results = Tuner(Doubling(), scheduler, executor="inline", checkpoint_dir=folder).run()
>>> results.best.load()
{'weight': 2.0}
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo.errors import MissingCheckpointError, UsageError
from hpo.run.checkpoints import CheckpointStore
from hpo.trainers.loading import NamedTrainer, as_trainer


@dataclass(frozen=True)
class ModelStore:
    """Location of the checkpoints of a run, and the trainer that reads them.

    Attributes
    ----------
    root : Path or None, default=None
        Directory of the checkpoints; None if it is not known, or deleted at the end of the run.
    trainer : Trainer, callable, str or None, default=None
        Trainer of the run; None if it is not known.
    """

    root: Path | None = None
    trainer: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what is sent to other processes, which may not be able to receive the trainer."""
        named = isinstance(self.trainer, str | NamedTrainer)
        return {"root": self.root, "trainer": self.trainer if named else None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


@dataclass(frozen=True)
class TrialModel:
    """The model of one trial.

    Attributes
    ----------
    store : ModelStore
    trial_id : int
    """

    store: ModelStore
    trial_id: int

    @property
    def checkpoint(self) -> Path:
        """Path of the checkpoint, a file or a directory, as the trainer has written it.

        Raises
        ------
        MissingCheckpointError
            If there is none.
        """
        if self.store.root is None:
            raise MissingCheckpointError(
                f"trial {self.trial_id} has no checkpoint any more: without a journal it lies in a "
                "temporary directory that is deleted at the end of the run, unless you name one "
                "(checkpoint_dir)"
            )
        found = CheckpointStore(self.store.root).found(self.trial_id)
        if found is None:
            raise MissingCheckpointError(
                f"trial {self.trial_id} has no checkpoint in {self.store.root}: its trainer has "
                "written none, or it was removed when the trial could not go on any more; "
                "keep_checkpoints=True (hpo run --keep-checkpoints) keeps those of all trials"
            )
        return found

    def load(self, trainer: Any = None, **options: Any) -> Any:
        """Return the model that the trainer reads from the checkpoint (see `TrialResult.load`).

        Raises
        ------
        MissingCheckpointError
            If there is no checkpoint.
        UsageError
            If the trainer is not known, or has no method `load`.
        """
        given = self.store.trainer if trainer is None else trainer
        if given is None:
            raise UsageError(
                "trainer must be given to load a model here: the results do not name it; "
                "load(trainer) takes an object with a method load(checkpoint), or FILE.py:name; "
                f"what a script wrote is here: {self.checkpoint}"
            )
        reader = as_trainer(given)
        if isinstance(reader, NamedTrainer):
            reader = reader.load()
        load = getattr(reader, "load", None)
        if load is None:
            raise UsageError(
                f"trainer must have a method load(checkpoint), as TorchTrainer has, got a "
                f"{type(reader).__name__}; read the file yourself: {self.checkpoint}"
            )
        return load(self.checkpoint, **options)
