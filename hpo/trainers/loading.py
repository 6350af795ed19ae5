"""Trainers by name: ``FILE.py:name`` or ``package.module:name``, loaded in each worker."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from hpo.errors import TrainerError
from hpo.trainers.base import FunctionTrainer, Result, Trainer, describe
from hpo.trial import Config
from qsvr._text import install_hint

_loading = threading.RLock()
_EXTRAS = {"torch": "torch", "torchvision": "vision"}
"""Modules that trainers import, by the extra that installs them."""


@dataclass(frozen=True)
class NamedTrainer:
    """A trainer that is loaded in the process that uses it; only its name is sent to a worker.

    Parameters
    ----------
    name : str
        ``FILE.py:attribute`` or ``package.module:attribute``. The attribute is a `Trainer`, a
        function with the signature of `Trainer.train`, or a class or function without arguments
        that returns a `Trainer`.

    Examples
    --------
    >>> from hpo.trainers import NamedTrainer
    >>> NamedTrainer("examples/digits_numpy.py:trainer").name
    'examples/digits_numpy.py:trainer'
    """

    name: str

    def train(self, config: Config, start: int, stop: int, checkpoint: Path) -> Result:
        """Load the trainer if this process has not yet, and call it."""
        return self.load().train(config, start, stop, checkpoint)

    def load(self) -> Trainer:
        """Import the trainer, once in a process (see `load_trainer`)."""
        return load_trainer(self.name)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the file, empty for a module."""
        target = split_name(self.name)[0]
        path = Path(target)
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""

    def resolved(self) -> NamedTrainer:
        """Return the same trainer with an absolute path."""
        target, attribute = split_name(self.name)
        if not _is_file(target):
            return self
        return NamedTrainer(f"{Path(target).resolve()}:{attribute}")


def as_trainer(trainer: object) -> Trainer:
    """Turn a `Trainer`, a function or a name into a `Trainer`.

    Parameters
    ----------
    trainer : Trainer, callable or str

    Raises
    ------
    TrainerError
        If it is none of these, or a name that cannot be imported.
    """
    if isinstance(trainer, str):
        _check_exists(
            split_name(trainer)[0]
        )  # load_trainer caches files that may be deleted by now
        load_trainer(trainer)
        return NamedTrainer(trainer).resolved()
    if inspect.isclass(trainer) and hasattr(trainer, "train"):
        return _instance(trainer, trainer.__name__)
    if hasattr(trainer, "train"):
        return cast(Trainer, trainer)
    if callable(trainer):
        _check_arguments(trainer)
        return FunctionTrainer(trainer)
    raise TrainerError(
        "trainer must be an object with a train method, a function or 'FILE.py:name', got "
        f"{type(trainer).__name__}"
    )


def _check_arguments(function: Callable[..., object]) -> None:
    """Refuse a function that cannot be called as a trainer is, before each of its trials fails."""
    try:
        inspect.signature(function).bind({}, 0, 1, Path())
    except TypeError as error:
        raise TrainerError(
            "trainer must take (config, start, stop, checkpoint) and return a loss for each epoch "
            f"from start to stop, got {getattr(function, '__name__', function)!r}: {error}"
        ) from error
    except ValueError:  # a built-in function that does not say what it takes
        return


def named_trainer(name: str) -> NamedTrainer:
    """Return a trainer by name, checked as far as that is possible without importing it.

    Raises
    ------
    TrainerError
        If the file does not exist, or its syntax is wrong.
    """
    target = split_name(name)[0]
    _check_exists(target)
    if _is_file(target):
        try:
            compile(Path(target).read_bytes(), target, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, OSError) as error:
            raise TrainerError(f"cannot import trainer from {target}: {describe(error)}") from None
    return NamedTrainer(name).resolved()


def load_trainer(name: str) -> Trainer:
    """Import a trainer by name, once in a process.

    Raises
    ------
    TrainerError
        If the file, the module or the attribute does not exist, cannot be imported, or is not a
        trainer.
    """
    with _loading:  # segments may run in several threads of a worker
        return _load_trainer(name)


@lru_cache(maxsize=16)
def _load_trainer(name: str) -> Trainer:
    target, attribute = split_name(name)
    found = getattr(_import(target), attribute, None)
    if found is None:
        raise TrainerError(
            f"trainer {name!r}: {target} defines no {attribute!r}; name a trainer or function"
        )
    if not hasattr(found, "train") and _is_factory(found):
        return _instance(found, name)
    try:
        return as_trainer(found)
    except TrainerError as error:
        raise TrainerError(f"trainer {name!r} is no trainer: {error}") from None


def default_space(name: str) -> Path:
    """Return the search space beside a trainer: the same file name, ending in .toml.

    Parameters
    ----------
    name : str
        Name of the trainer; its module is located, not imported.

    Raises
    ------
    TrainerError
        If there is no such file, or no such trainer.
    """
    target = split_name(name)[0]
    _check_exists(target)
    source = Path(target)
    if not _is_file(target):
        try:
            spec = importlib.util.find_spec(target)
        except (ImportError, ValueError) as error:
            raise TrainerError(f"cannot import trainer from {target}: {describe(error)}") from None
        if spec is None or spec.origin is None:
            raise TrainerError(f"cannot import trainer from {target}: there is no such module")
        source = Path(spec.origin)
    path = source.with_suffix(".toml")
    if not path.is_file():
        raise TrainerError(
            f"there is no search space beside {target} ({path}); name one by --space FILE"
        )
    return path


def split_name(name: str) -> tuple[str, str]:
    """Return the file or module, and the attribute, that the name of a trainer consists of.

    Raises
    ------
    TrainerError
        If it is no such name.
    """
    target, colon, attribute = name.rpartition(":")
    if not colon or not target or not attribute:
        raise TrainerError(
            f"trainer must be named FILE.py:name or package.module:name, got {name!r}; a script "
            "without a trainer is tuned by --script (ScriptTrainer)"
        )
    return target, attribute


def _is_file(target: str) -> bool:
    return target.endswith(".py")


def _check_exists(target: str) -> None:
    if _is_file(target) and not Path(target).is_file():
        raise TrainerError(f"trainer file {target} does not exist; give the path of a Python file")


def _import(target: str) -> ModuleType:
    _check_exists(target)
    try:
        return _import_file(Path(target)) if _is_file(target) else importlib.import_module(target)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever user code raises at import
        why = describe(error)
        top = target.partition(".")[0]
        if isinstance(error, ModuleNotFoundError) and error.name == top and not _is_file(target):
            why += "; start in the folder that holds it, or set PYTHONPATH"
        elif isinstance(error, ModuleNotFoundError) and error.name in _EXTRAS:
            why += f"; {install_hint(_EXTRAS[error.name])}"
        raise TrainerError(f"cannot import trainer from {target}: {why}") from None


def _import_file(path: Path) -> ModuleType:
    """Import a file under a unique name, with its directory on the path as for a script."""
    path = path.resolve()
    name = f"_hpo_trainer_{hashlib.sha256(bytes(path)).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python source file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look a class's module up here
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _is_factory(found: Any) -> bool:
    """Return whether `found` can be called without arguments and does not take ``*args``."""
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):
        return False
    return all(p.default is not p.empty or p.kind is p.VAR_KEYWORD for p in parameters)


def _instance(factory: Any, name: str) -> Trainer:
    try:
        trainer = factory()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever user code raises
        raise TrainerError(f"cannot build trainer {name!r}: {describe(error)}") from None
    if not hasattr(trainer, "train"):
        raise TrainerError(
            f"trainer {name!r} gave {type(trainer).__name__}, which has no train method"
        )
    return cast(Trainer, trainer)
