"""Check the prose of pages, docstrings, messages and notebooks against a list of rules.

::

    python tools/prose.py                # all rules that hold; exits with status 1 if one is broken
    python tools/prose.py --all          # also the rules that do not hold everywhere yet
    python tools/prose.py docs/guide     # some files only

It reads Markdown without its code blocks, docstrings and strings of Python files, and the text of
the notebooks. A line that quotes a forbidden word on purpose ends with ``prose: quoted`` in a
comment.
"""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
QUOTED = "prose: quoted"
CODE = re.compile(r"``.*?``|`[^`\n]*`|\$[^$\n]*\$|<[^>\n]*>|https?://\S+|\{[\w:]+\}")
"""What no rule looks at: code, mathematics, tags, addresses and roles inside a line."""


@dataclass(frozen=True)
class Rule:
    """One pattern that prose must not contain.

    Attributes
    ----------
    pattern : str
        Regular expression; case is ignored.
    advice : str
        What to write instead.
    holds : bool
        Whether every file keeps it, so that a finding is an error.
    """

    pattern: str
    advice: str
    holds: bool = True


RULES = (
    Rule(r"\byardsticks?\b", "name the measure or the reference"),
    Rule(r"\bof (itself|themselves)\b", "automatically"),
    Rule(r"\bwhoever\b", "if you ..., or: a user who"),
    Rule(r"\ba word on\b", "say what the section is about"),
    Rule(r"\bsays? nothing (of|about)\b", "does not mention, or: does not affect"),
    Rule(r"\b(is|are|was|were|being) told\b", "receives, or: is passed"),
    Rule(r"\b(is|are) dear\b|\bdearer\b|\bdearly\b", "expensive"),
    Rule(r"\bhears?\b|\bhearing\b", "receives, uses"),
    Rule(r"\b(forthwith|hence|thereof|wherein|lest|thrice|nay)\b", "a plain word"),
    Rule(r"\btakes? (it |them |him )?for hopeless\b", "rejects"),
    Rule(r"\bin good order\b", "cleanly"),
    Rule(r"\bfalls? short\b", "is missed"),
    Rule(r"\bat a stroke\b|\bby and by\b|\bfor its own sake\b", "plain word"),
    Rule(r"\bmend(s|ed|ing)?\b", "repair, fix"),
    Rule(r"\b(loss|losses|curves?|models?|rungs?) (that )?(tells?|hears?|speaks?|knows?|asks?)\b",
         "subject that acts: the scheduler, the code"),
    Rule(r"\bwith which it is\b|\bwhich is why it is so that\b", "shorten"),
    Rule(r";\x20[^;.\n]*;\x20[^;.\n]*;", "one claim a sentence: no chain of semicolons"),
    Rule(r"\bpip install ['\"]qsvr\[", 'pip install ".[extra]" works in a clone'),
    Rule(r"\btried, no gain\b", "a whole sentence"),
    Rule(r"\bgives up on\b", "stops"),
    Rule(r"\bit is said\b|\bsaid here\b", "say who does what"),
    Rule(r"\bsimply\b|\bobviously\b|\bof course\b|\bneedless to say\b", "leave it out"),
)  # fmt: skip


@dataclass(frozen=True)
class Text:
    """A piece of prose and where it begins."""

    path: Path
    line: int
    text: str


def files(chosen: list[Path]) -> list[Path]:
    """Return the files to be checked, of those in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md", "*.py"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\n")  # fmt: skip
    found = [ROOT / name for name in listed if name]
    here = Path(__file__).resolve()
    inside = [path for path in found if path.is_file() and path.resolve() != here]
    if not chosen:
        return [path for path in inside if path.name != "CHANGELOG.md" and not in_tests(path)]
    roots = [each.resolve() for each in chosen]
    return [p for p in inside if any(p.is_relative_to(root) for root in roots)]


def in_tests(path: Path) -> bool:
    """Return whether users do not read a file."""
    return path.relative_to(ROOT).parts[0] == "tests"


def pieces(path: Path) -> Iterator[Text]:
    """Yield the prose of a file."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield from markdown(path, source.splitlines())
    elif path.parent.name == "notebooks" and "# %%" in source:
        lines = [re.sub(r"^# ?", "", x) if x.startswith("#") else "" for x in source.splitlines()]
        yield from markdown(path, lines)
        yield from strings(path, source)
    else:
        yield from strings(path, source)


def markdown(path: Path, lines: list[str]) -> Iterator[Text]:
    """Yield the paragraphs of Markdown, without fenced blocks of code."""
    fence, begun, held = "", 0, []
    for number, line in enumerate([*lines, ""], 1):
        mark = re.match(r" *(`{3,}|~{3,})", line)
        if mark and not fence:
            fence = mark[1]
        elif mark and line.strip().startswith(fence):
            fence = ""
        if line.strip() and not (fence or mark or line.lstrip().startswith(("|", "%"))):
            begun = begun or number
            held.append(line)
            continue
        if held:
            yield Text(path, begun, "\n".join(held))
        begun, held = 0, []
        if line.lstrip().startswith("|") and not fence:
            yield Text(path, number, line.replace("|", " . "))


def strings(path: Path, source: str) -> Iterator[Text]:
    """Yield docstrings and the strings that look like sentences."""
    joined: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            joined |= {id(part) for part in node.values}
            parts = (p.value if isinstance(p, ast.Constant) else "X" for p in node.values)
            text = "".join(str(part) for part in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) in joined:
                continue
            text = node.value
        else:
            continue
        if text.count(" ") >= 2:
            yield Text(path, node.lineno, without_examples(text))


def without_examples(text: str) -> str:
    """Return a docstring with its programs blanked."""
    lines = text.split("\n")
    return "\n".join("" if re.match(r" *(>>>|\.\.\. )", line) else line for line in lines)


def findings(piece: Text, rules: tuple[Rule, ...]) -> Iterator[tuple[int, str, Rule]]:
    """Yield the line, the words and the rule of every finding."""
    text = CODE.sub(lambda match: "x" + "\n" * match[0].count("\n"), piece.text)
    for rule in rules:
        # A phrase may be broken across two lines.
        pattern = rule.pattern.replace(" ", r"\s+")
        for match in re.finditer(pattern, text, re.IGNORECASE):
            line = piece.line + text[: match.start()].count("\n")
            yield line, " ".join(match[0].split())[:60], rule


def main() -> int:
    """Print the findings; return 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path, help="files and folders; default: all")
    parser.add_argument("--all", action="store_true", help="also rules that do not hold yet")
    arguments = parser.parse_args()
    rules = tuple(rule for rule in RULES if rule.holds or arguments.all)
    count = 0
    for path in files(arguments.paths):
        lines = path.read_text(encoding="utf-8").splitlines()
        for piece in pieces(path):
            for line, words, rule in findings(piece, rules):
                if QUOTED in lines[min(line, len(lines)) - 1]:
                    continue
                count += 1
                print(f"{path.relative_to(ROOT)}:{line}: {words!r}: {rule.advice}")
    print(f"{count} findings" if count else "prose: no findings")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
