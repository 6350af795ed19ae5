"""Command lines with placeholders, in which the values of a trial are inserted.

>>> from hpo.trainers.command import filled, parsed
>>> arguments = parsed("python train.py --lr {lr:.2g} --load {checkpoint?}")
>>> filled(arguments, {"lr": 0.25}, absent=["checkpoint"])
['python', 'train.py', '--lr', '0.25']
"""

from __future__ import annotations

import itertools
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any

from hpo.errors import TrainerError

_SECRETS = {"token", "password", "passwd", "secret", "credential", "credentials", "apikey"}
_SECRET_LENGTH = 16  # there are options such as --pad-token


@dataclass(frozen=True)
class Placeholder:
    """A placeholder.

    Attributes
    ----------
    name : str
    spec : str, default=""
        Format of the value (``".3g"``); empty for none.
    optional : bool, default=False
        Whether its argument is left out where it has no value.
    """

    name: str
    spec: str = ""
    optional: bool = False


Argument = tuple[str | Placeholder, ...]
"""Text and placeholders."""


def parsed(command: str | Sequence[str]) -> list[Argument]:
    """Return the arguments of a command, each as text and placeholders.

    Raises
    ------
    TrainerError
        If it cannot be read.
    """
    if isinstance(command, str):
        try:
            texts = shlex.split(command)
        except ValueError as error:
            raise TrainerError(
                f"command of ScriptTrainer cannot be split into arguments ({error}): {command!r}; "
                "quote as in a shell, or give a list of arguments"
            ) from None
    else:
        texts = list(command)
    return [tuple(_parts(text)) for text in texts]


def _parts(text: str) -> Iterator[str | Placeholder]:
    """Yield the text and the placeholders of an argument."""
    if not isinstance(text, str):
        raise TrainerError(
            f"command of ScriptTrainer must be text or a list of text, got {text!r} in it"
        )
    problem = ""
    try:
        for literal, name, spec, conversion in Formatter().parse(text):
            if literal or name is None:
                yield literal
            if name is None:
                continue
            plain = name.removesuffix("?")
            if not plain or conversion or "{" in (spec or ""):
                problem = f"{{{name}}} is no placeholder"
                break
            yield Placeholder(plain, spec or "", optional=name.endswith("?"))
    except ValueError as error:
        problem = str(error)
    if problem:
        raise TrainerError(
            f"argument {text!r} of the command cannot be read ({problem}); a placeholder is "
            "{NAME}, {NAME?} or {NAME:FORMAT}, and braces of your own are written {{ and }}"
        )
    if not text:
        yield ""


def refuse_secrets(arguments: Sequence[Argument]) -> None:
    """Refuse what looks like a token or password: commands are written down and shown.

    Raises
    ------
    TrainerError
        If there is one.
    """
    words = [each[0] if len(each) == 1 and isinstance(each[0], str) else "" for each in arguments]
    for word, following in itertools.pairwise([*words, ""]):
        option, equals, value = word.partition("=")
        names = re.split(r"[-_.]", option.lower())
        secret = value if equals else following
        if _SECRETS & {*names, "".join(names[-2:])} and len(secret) >= _SECRET_LENGTH:
            raise TrainerError(
                f"option {option!r} of the command looks like a secret, and commands are written "
                "to the journal and shown; put it into the environment of the run, which the "
                "script inherits"
            )


def filled(
    arguments: Iterable[Argument], values: Mapping[str, Any], absent: Sequence[str]
) -> list[str]:
    """Return the arguments with values filled in, without those whose values are absent."""
    command: list[str] = []
    option = False  # whether the last argument is an option that the next may be the value of
    for argument in arguments:
        fields = [part for part in argument if isinstance(part, Placeholder)]
        if any(field.optional and field.name in absent for field in fields):
            first = argument[0]
            if option and not (isinstance(first, str) and first.startswith("-")):
                command.pop()
            option = False
            continue
        text = "".join(
            _text(part, values[part.name]) if isinstance(part, Placeholder) else part
            for part in argument
        )
        command.append(text)
        option = not fields and text.startswith("-") and "=" not in text
    return command


def _text(field: Placeholder, value: Any) -> str:
    """Return a value as it stands in an argument."""
    if field.spec:
        try:
            return format(value, field.spec)
        except (ValueError, TypeError) as error:
            raise TrainerError(
                f"format {field.spec!r} of placeholder {{{field.name}}} does not fit the value "
                f"{value!r} ({error}); leave it out or correct it"
            ) from None
    return value if isinstance(value, str) else json.dumps(value, default=str)
