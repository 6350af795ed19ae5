"""Questions about stories: files of the bAbI tasks, and a generator of positional reasoning.

A story is a list of facts; a question about it has an answer of one word. Words are lower-case,
without punctuation.

References
----------
Weston et al., Towards AI-Complete Question Answering, arXiv 1502.05698 (the tasks and their file
format; number 17 is positional reasoning).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_OBJECTS = (
    "triangle",
    "red sphere",
    "red square",
    "blue square",
    "yellow square",
    "pink rectangle",
)
_STEPS = {
    "above": (0, 1),
    "below": (0, -1),
    "to the left of": (-1, 0),
    "to the right of": (1, 0),
}
_QUESTIONS = 8
"""Questions about each generated story, as in the original task."""


@dataclass(frozen=True)
class Question:
    """A question, the facts that precede it, and the answer.

    Attributes
    ----------
    facts : tuple of str
        In the order of the story.
    text : str
        The question.
    answer : str
        One word, or several joined by commas, as the file has it.
    """

    facts: tuple[str, ...]
    text: str
    answer: str

    @property
    def words(self) -> tuple[str, ...]:
        """The facts and, after a ``?``, the question, as lower-case words."""
        story = [word for fact in self.facts for word in tokens(fact)]
        return (*story, "?", *tokens(self.text))


def tokens(sentence: str) -> list[str]:
    """Split a sentence into lower-case words, without punctuation.

    >>> tokens("The pink rectangle is above it.")
    ['the', 'pink', 'rectangle', 'is', 'above', 'it']
    """
    return re.findall(r"[a-z0-9']+", sentence.lower())


def read_babi(path: str | Path) -> list[Question]:
    """Read a file of the bAbI tasks.

    Parameters
    ----------
    path : str or Path
        Numbered lines; number 1 begins a story; a question's line holds the question, its answer
        and the numbers of the supporting facts, separated by tabs.

    Raises
    ------
    ValueError
        If the file is not of that form, or holds no question; the message names the line.
    OSError
        If it cannot be read.
    """
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    try:
        questions = list(_parse(lines))
    except ValueError as error:
        raise ValueError(f"{path} is no file of the bAbI tasks: {error}") from None
    if not questions:
        raise ValueError(f"{path} holds no question (a line with a tab before its answer)")
    return questions


def _parse(lines: Iterable[str]) -> Iterator[Question]:
    facts: list[str] = []
    for place, line in enumerate(lines, 1):
        if not line.strip():
            continue
        number, _, rest = line.strip().partition(" ")
        if not number.isdigit() or not rest:
            raise ValueError(
                f"line {place} does not begin with a number and a sentence: {line[:60]!r}"
            )
        if int(number) == 1:
            facts = []
        text, *answer = rest.split("\t")
        if answer:
            yield Question(tuple(facts), text.strip(), answer[0].strip())
        else:
            facts.append(text.strip())


def positional_reasoning(n_stories: int, seed: int = 0) -> list[Question]:
    """Generate the positional-reasoning task.

    Two facts place three objects on a grid, one step from one another; eight questions ask whether
    one lies above, below, left or right of another. About half of the answers are "yes".

    Parameters
    ----------
    n_stories : int
        With eight questions each.
    seed : int, default=0
        Of all random choices.

    Returns
    -------
    list of Question
        ``8 * n_stories`` of them.

    Examples
    --------
    >>> question = positional_reasoning(1)[0]
    >>> len(question.facts), question.answer in ("yes", "no")
    (2, True)
    """
    rng = np.random.default_rng(seed)
    return [question for _ in range(n_stories) for question in _story(rng)]


def _story(rng: np.random.Generator) -> Iterator[Question]:
    names = [_OBJECTS[i] for i in rng.choice(len(_OBJECTS), 3, replace=False)]
    places = {names[0]: (0, 0)}
    facts = []
    for known, new in ((names[0], names[1]), (names[rng.integers(2)], names[2])):
        relation = _pick(rng, tuple(_STEPS))
        step = _STEPS[relation]
        if rng.integers(2):  # told from the new object's side or from the known one's
            facts.append(f"The {new} is {relation} the {known}.")
            sign = 1
        else:
            facts.append(f"The {known} is {relation} the {new}.")
            sign = -1
        x, y = places[known]
        places[new] = (x + sign * step[0], y + sign * step[1])
    for number in range(_QUESTIONS):
        yield _question(rng, tuple(facts), places, wanted=number % 2 == 0)


def _question(
    rng: np.random.Generator,
    facts: tuple[str, ...],
    places: dict[str, tuple[int, int]],
    *,
    wanted: bool,
) -> Question:
    """Draw questions until one has the wanted answer."""
    while True:
        first, second = (list(places)[i] for i in rng.choice(3, 2, replace=False))
        relation = _pick(rng, tuple(_STEPS))
        step = _STEPS[relation]
        (x, y), (x0, y0) = places[first], places[second]
        holds = (x - x0) * step[0] + (y - y0) * step[1] > 0
        if holds == wanted:
            text = f"Is the {first} {relation} the {second}?"
            return Question(facts, text, "yes" if holds else "no")


def _pick(rng: np.random.Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]
