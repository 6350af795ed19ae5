"""Writing files of the bAbI tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hpo.examples.babi import Question


def write_babi(path: str | Path, questions: Sequence[Question]) -> None:
    """Write questions in the format that `read_babi` reads.

    Parameters
    ----------
    path : str or Path
        Where to.
    questions : sequence of Question
        Consecutive ones with the same facts share a story.
    """
    lines: list[str] = []
    told: tuple[str, ...] | None = None
    number = 0
    for question in questions:
        if question.facts != told:
            told = question.facts
            lines += [f"{place} {fact}" for place, fact in enumerate(told, 1)]
            number = len(told)
        number += 1
        lines.append(f"{number} {question.text}\t{question.answer}\t1 2")
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
