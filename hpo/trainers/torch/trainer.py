"""Trainer for PyTorch models whose training resumes bit for bit.

After each epoch the full state is written to the checkpoint, atomically: model, optimizer, learning
rate scheduler, random states, data loaders, and the losses so far. Training ten epochs at once or
in ten segments therefore gives the same curve on a CPU, and a segment that was killed resumes from
its last complete epoch. The same holds for several processes that train one model together (see
`hpo.trainers.torch.launch`).

See `hpo.examples` for examples.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hpo.errors import CheckpointError
from hpo.text import visible
from hpo.trainers.base import Metrics
from hpo.trainers.context import trial_or_none
from hpo.trainers.objective import LOSS_MINIMISED, Objective
from hpo.trainers.torch.group import GroupRandomState, ProcessGroup
from hpo.trainers.torch.precision import Precision
from hpo.trainers.torch.random_state import Generators, RandomState, import_torch, isolated_random
from hpo.trainers.torch.weights import Weights, save_state
from hpo.trial import Config, with_tuples

if TYPE_CHECKING:
    import torch

FORMAT = 1
_log = logging.getLogger(__name__)


@dataclass
class TorchRun:
    """The objects of one trial.

    Attributes
    ----------
    model : torch.nn.Module
        Model, on its device.
    optimizer : torch.optim.Optimizer
        Optimizer of the model's parameters.
    evaluate : callable
        Function without arguments that returns the validation loss, or a mapping of metrics that
        includes the objective. Called in evaluation mode and without gradients.
    train_loader : iterable or None, default=None
        Batches ``(inputs, targets)`` of the standard epoch.
    loss_function : callable or None, default=None
        ``loss_function(outputs, targets)`` of the standard epoch.
    train_epoch : callable or None, default=None
        Function without arguments that trains one epoch, instead of the standard one.
    lr_scheduler : object or None, default=None
        Stepped once per epoch. A ``ReduceLROnPlateau`` receives the loss, or the objective if
        `evaluate` returns no metric ``"loss"``.
    loaders : sequence, default=()
        Further data loaders whose state belongs to the trial.
    stateful : Mapping, default={}
        Further objects with ``state_dict`` and ``load_state_dict`` (a gradient scaler, an average
        of weights), by name.
    precision : {"float32", "bfloat16", "float16"}, default="float32"
        Precision of the standard epoch and of the evaluation (see `Precision`).
    patience : int or None, default=None
        Early stopping: after this many epochs without a new best value of the objective (a new
        lowest loss, unless the run names another) the trial is not trained further, and its last
        metrics are repeated for the remaining epochs. The metric ``"trained"`` is 0 for these.

    Raises
    ------
    ValueError
        If `patience` is below 1.

    See Also
    --------
    TorchTrainer : Trainer whose function `build` returns a `TorchRun`.

    Examples
    --------
    >>> def build(config, generators):
    ...     import torch
    ...
    ...     inputs, targets = torch.ones(8, 1), torch.zeros(8, 1)
    ...     model = torch.nn.Linear(1, 1)
    ...     loss = torch.nn.functional.mse_loss
    ...     return TorchRun(
    ...         model=model,
    ...         optimizer=torch.optim.SGD(model.parameters(), lr=config["lr"]),
    ...         evaluate=lambda: loss(model(inputs), targets).item(),
    ...         train_loader=[(inputs, targets)],
    ...         loss_function=loss,
    ...     )
    """

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    evaluate: Callable[[], float | Mapping[str, float]]
    train_loader: Any = None
    loss_function: Callable[[Any, Any], Any] | None = None
    train_epoch: Callable[[], object] | None = None
    lr_scheduler: Any = None
    loaders: Sequence[Any] = ()
    stateful: Mapping[str, Any] = field(default_factory=dict)
    precision: str = "float32"
    patience: int | None = None

    def __post_init__(self) -> None:
        """Check the patience."""
        if self.patience is not None and not self.patience >= 1:
            raise ValueError(
                f"patience must be an integer of at least 1 or None, got {self.patience!r}"
            )


Build = Callable[[Config, Generators], TorchRun]


@dataclass(frozen=True)
class TorchTrainer:
    """Trainer for PyTorch models, whose training resumes bit for bit.

    One resource unit is one epoch.

    Parameters
    ----------
    build : callable
        ``build(config, generators)`` returns a `TorchRun`, the objects of a trial. It must draw
        random numbers from the three generators, or from torch's global generator, which is
        reserved for the trial during the call.
    seed : int, default=0
        Seed of the random number generators at the start of the trial.
    checkpoint_every : int, default=1
        Number of epochs between checkpoints; there is always one at the end of a segment.
    keep : {"last", "best", "all"}, default="last"
        Weights that are kept: those of the last epoch, which are in the checkpoint; also those of
        the epoch with the best objective so far (in processes of `TorchrunTrainer`, the lowest
        loss); or those of every epoch. Weights beside those of the last epoch are separate files,
        ``checkpoint.epoch-00007``, with the size of the model's ``state_dict``. A checkpoint also
        contains the state of the optimizer (with Adam, three times that size in total).

    Raises
    ------
    ValueError
        If `keep` is none of these.

    See Also
    --------
    TorchRun : The objects of a trial.
    TorchrunTrainer : Trains a trial in several processes.
    FunctionTrainer : A trainer that calls a function.

    Notes
    -----
    A checkpoint does not include gradients (an epoch must begin with ``zero_grad``), buffers that
    are not persistent, and the state of the worker processes of a data loader with
    ``persistent_workers=True``, which is refused for that reason. Checkpoints are read with
    ``weights_only=True``, so they run no code.

    Examples
    --------
    The function `build` is like that of the example of `TorchRun`; `hpo.examples` has complete
    ones.

    >>> from hpo.examples.mlp import build
    >>> trainer = TorchTrainer(build, keep="best")
    >>> trainer.checkpoint_every
    1
    """

    build: Build
    seed: int = 0
    checkpoint_every: int = 1
    keep: Literal["last", "best", "all"] = "last"

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.keep not in ("last", "best", "all"):
            raise ValueError(f"keep must be 'last', 'best' or 'all', got {self.keep!r}")

    def train(self, config: Config, start: int, stop: int, checkpoint: Path) -> Metrics:
        """Train from `start` to `stop` epochs (see `Trainer.train`).

        Raises
        ------
        CheckpointError
            If the checkpoint cannot be read, or belongs to another configuration.
        """
        state = _load(checkpoint, config)
        done = 0 if state is None else len(state["losses"])
        if done < start:
            place = visible(checkpoint)
            _log.warning("%s holds %d of %d epochs; training them again", place, done, start)
        trial = trial_or_none()
        objective = LOSS_MINIMISED if trial is None else trial.objective
        history = _History.of(state, objective)
        if done < stop:
            with isolated_random(self.seed) as random:
                session = _Session(self.build(config, random.owned), random, self.seed)
                if state is not None:
                    session.load_state_dict(state["session"])
                weights = Weights(checkpoint, self.keep)
                session.note_weights(weights, history)
                for epoch in range(done, stop):
                    session.extend(history, epoch)
                    session.note_weights(weights, history)
                    if (epoch + 1) % self.checkpoint_every == 0 or epoch + 1 == stop:
                        _save(checkpoint, config, session, history, weights)
        return history.segment(start, stop)

    def load(
        self, checkpoint: Path, which: Literal["last", "best"] | int | None = None
    ) -> torch.nn.Module:
        """Return the model of a checkpoint with its weights, in evaluation mode.

        It is built by `build` from the configuration in the checkpoint, on the device that `build`
        chooses.

        Parameters
        ----------
        checkpoint : Path
            As ``results.best_checkpoint`` gives it.
        which : {"last", "best"}, int or None, default=None
            Weights of the last epoch, of the epoch with the best objective (see `keep`), or of an
            epoch, from 1 on.
            None: the best ones if `keep` is "best", otherwise the last ones.

        Raises
        ------
        CheckpointError
            If the checkpoint cannot be read, or does not fit the model.
        ValueError
            If the weights of that epoch were not kept.
        """
        state = _load(Path(checkpoint))
        if state is None:
            raise CheckpointError(f"there is no checkpoint {checkpoint}; name an existing one")
        if which is None:
            which = "best" if self.keep == "best" else "last"
        objective = Objective(**state.get("objective", {}))
        scores = _History.of(state, objective).scores
        weights = Weights(Path(checkpoint)).load(scores, which)
        config = with_tuples(json.loads(state["config"]))
        with isolated_random(self.seed) as random:
            model = self.build(config, random.owned).model
        try:
            model.load_state_dict(state["session"]["model"] if weights is None else weights)
        except RuntimeError as error:
            raise CheckpointError(
                f"checkpoint {checkpoint} does not fit the model that build makes: {error}"
            ) from error
        return model.eval()


@dataclass
class _History:
    """Losses and further metrics since the trial's first epoch.

    `losses` has NaN for each epoch if `evaluate` returns other metrics only; `has_loss` is False
    then.
    """

    losses: list[float]
    extra: dict[str, list[float]]
    objective: Objective
    has_loss: bool = True

    @classmethod
    def of(cls, state: Mapping[str, Any] | None, objective: Objective) -> _History:
        if state is None:
            return cls([], {}, objective)
        extra = {name: list(values) for name, values in state["extra"].items()}
        return cls(list(state["losses"]), extra, objective, state.get("has_loss", True))

    @property
    def scores(self) -> list[float]:
        """What the run minimises, after each epoch."""
        values = self.extra.get(self.objective.name, self.losses)
        others = [name for name in self.extra if name != "trained"]
        if not self.has_loss and not self.objective.name and len(others) == 1:
            values = self.extra[others[0]]  # the only metric is the objective
        return list(self.objective.losses(tuple(values)))

    def append(self, metrics: Mapping[str, float]) -> None:
        self.has_loss = "loss" in metrics
        self.losses.append(metrics.get("loss", math.nan))
        for name, value in metrics.items():
            if name != "loss":
                self.extra.setdefault(name, []).append(value)

    def repeat(self) -> None:
        """Repeat the last epoch for one that is not trained."""
        last = {name: values[-1] for name, values in self.extra.items()}
        loss = {"loss": self.losses[-1]} if self.has_loss else {}
        self.append({**last, **loss, "trained": 0.0})

    def stagnant(self, patience: int) -> bool:
        """Return whether the last `patience` epochs had no new best value."""
        scores = self.scores
        if len(scores) <= patience:
            return False
        return not min(scores[-patience:]) < min(scores[:-patience])

    def segment(self, start: int, stop: int) -> Metrics:
        extra = {name: values[start:stop] for name, values in self.extra.items()}
        losses, name = self.losses[start:stop], self.objective.name
        if not self.has_loss:
            return Metrics(extra)
        if name not in ("", "loss", *extra) and set(extra) <= {"trained"}:
            return Metrics({name: losses}, extra)  # `evaluate` returned numbers without a name
        return Metrics(losses, extra)


class _Session:
    """A `TorchRun` with its random states."""

    def __init__(self, run: TorchRun, random: RandomState, seed: int) -> None:
        self._run = run
        self.group = ProcessGroup.current()
        self._random = random if self.group.size == 1 else GroupRandomState(random, self.group)
        self._device = next(run.model.parameters()).device
        self._precision = Precision(run.precision, self._device.type)
        loaders = [run.train_loader, *run.loaders]
        self._loaders = [loader for loader in loaders if loader is not None]
        if any(getattr(loader, "persistent_workers", False) for loader in self._loaders):
            raise ValueError(
                "data loader must have persistent_workers=False: the random state inside its "
                "worker processes cannot be kept, so a resumed trial would differ"
            )
        if self.group.size > 1 and run.train_epoch is not None:
            raise ValueError(
                "train_epoch would not share gradients between processes; leave it out"
            )
        self._network = self.group.wrap(run.model)
        if self.group.rank > 0:  # built with the same seed, trained with another (dropout)
            import_torch().manual_seed(seed + self.group.rank)

    def extend(self, history: _History, epoch: int) -> None:
        """Train one epoch, unless the trial has stopped early."""
        patience = self._run.patience
        if patience is None:
            history.append(self.epoch(epoch, history.objective))
        elif history.stagnant(patience):
            history.repeat()
        else:
            history.append({**self.epoch(epoch, history.objective), "trained": 1.0})

    def epoch(self, epoch: int, objective: Objective) -> dict[str, float]:
        """Train one epoch and return its metrics."""
        run = self._run
        for loader in self._loaders:
            if hasattr(getattr(loader, "sampler", None), "set_epoch"):
                loader.sampler.set_epoch(epoch)
        run.model.train()
        (run.train_epoch or self._standard_epoch)()
        metrics = self._evaluated()
        if run.lr_scheduler is not None:
            plateau = type(run.lr_scheduler).__name__ == "ReduceLROnPlateau"
            watched = metrics.get("loss", metrics.get(objective.name, next(iter(metrics.values()))))
            run.lr_scheduler.step(*((watched,) if plateau else ()))
        return metrics

    def note_weights(self, weights: Weights, history: _History) -> None:
        """Let the weights of the last epoch be kept, if they have to be."""
        if self.group.rank == 0:
            weights.note(self._run.model, history.scores)

    def _standard_epoch(self) -> None:
        run = self._run
        if run.train_loader is None or run.loss_function is None:
            raise ValueError(
                "TorchRun needs train_loader and loss_function, or a train_epoch of its own"
            )
        for inputs, targets in run.train_loader:
            run.optimizer.zero_grad()
            with self._precision.autocast():
                outputs = self._network(inputs.to(self._device))
                loss = run.loss_function(outputs, targets.to(self._device))
            self._precision.step(loss, run.optimizer)

    def _evaluated(self) -> dict[str, float]:
        """Return the metrics; in a group, those of the first process."""
        self._run.model.eval()
        with import_torch().no_grad(), self._precision.autocast():
            result = self.group.from_first(self._run.evaluate())
        if not isinstance(result, Mapping):
            return {"loss": float(result)}
        if not result:
            raise ValueError("evaluate must return a number or a mapping of metrics, got {}")
        return {str(name): float(value) for name, value in result.items()}

    def _parts(self) -> dict[str, Any]:
        """Return all objects with a state, by name."""
        run = self._run
        parts = {"model": run.model, "optimizer": run.optimizer, "random": self._random}
        if run.precision == "float16":
            parts["precision"] = self._precision
        if run.lr_scheduler is not None:
            parts["lr_scheduler"] = run.lr_scheduler
        for number, loader in enumerate(self._loaders):
            parts[f"loader {number}"] = _LoaderState(loader)
        return parts | {f"stateful {name}": value for name, value in run.stateful.items()}

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        parts = self._parts()
        if set(parts) != set(state):
            raise CheckpointError(
                f"checkpoint holds {sorted(state)} but build made {sorted(parts)}; it was written "
                "by another version of the trainer"
            )
        self.group.check_writers(state["random"])
        for name, part in parts.items():
            part.load_state_dict(state[name])


@dataclass(frozen=True)
class _LoaderState:
    """State of a data loader between two epochs: its generators and, if it has one, its own."""

    loader: Any

    def _generators(self) -> list[torch.Generator]:
        owners = (self.loader, getattr(self.loader, "sampler", None))
        found = [getattr(owner, "generator", None) for owner in owners]
        unique = {id(generator): generator for generator in found if generator is not None}
        return list(unique.values())

    def state_dict(self) -> dict[str, Any]:
        own = self.loader.state_dict() if hasattr(self.loader, "state_dict") else None
        return {"generators": [g.get_state() for g in self._generators()], "own": own}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for generator, value in zip(self._generators(), state["generators"], strict=True):
            generator.set_state(value)
        if state["own"] is not None:
            self.loader.load_state_dict(state["own"])


def _save(
    path: Path, config: Config, session: _Session, history: _History, weights: Weights
) -> None:
    state = {
        "format": FORMAT,
        "config": _config_text(config),
        "losses": history.losses,
        "has_loss": history.has_loss,
        "extra": history.extra,
        "objective": {"name": history.objective.name, "mode": history.objective.mode},
        "session": session.state_dict(),  # collective: every process of a group must call it
    }
    if session.group.rank == 0:
        weights.save(history.scores)  # first: the checkpoint says which ones there are
        save_state(path, state)
        weights.tidy(history.scores)
    session.group.meet()  # or another process might read the checkpoint before it is written


def _load(path: Path, config: Config | None = None) -> Mapping[str, Any] | None:
    """Return a checkpoint, None if there is none; of a configuration, if one is given."""
    if not path.exists():
        return None
    try:
        state: Mapping[str, Any] = import_torch().load(path, weights_only=True, map_location="cpu")
        known = state["format"] == FORMAT
    except Exception as error:
        raise CheckpointError(
            f"cannot read checkpoint {path}: {type(error).__name__}; delete it to train again"
        ) from error
    if not known:
        raise CheckpointError(
            f"checkpoint {path} has format {state['format']!r}, this version reads {FORMAT}"
        )
    if config is not None and state["config"] != _config_text(config):
        raise CheckpointError(
            f"checkpoint {path} belongs to configuration {state['config']}; give it its own place"
        )
    return state


def _config_text(config: Config) -> str:
    return json.dumps(dict(config), sort_keys=True, default=str)
