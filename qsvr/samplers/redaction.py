"""Removal of tokens from every text that leaves the samplers, by value and by form.

The known tokens are those of the environment, of the configuration file and of live clients. They
are replaced in any form in which a client prints them, however short they are. `redact` also
replaces everything that looks like a token of the solver API.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import traceback
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

__all__ = [
    "TokenFilter",
    "learn_client",
    "learn_config",
    "learn_files",
    "redact",
    "safe_cause",
]

_AFTER_NAME = re.compile(r"""(token['"]?\s*[:=]\s*['"])[^'"]+""", re.IGNORECASE)
# Solver API tokens: two to four letters, a dash, and 40 or more letters and digits.
_TOKEN = re.compile(r"\b[0-9A-Za-z]{2,4}-[0-9A-Za-z]{40,}\b")
_IN_FILE = re.compile(r"^\s*\w*token\w*\s*[=:][ \t]*(.*(?:\n[ \t]+\S.*)*)", re.I | re.M)
_REPLACEMENT = "<token>"
_SHORT = 4  # characters; a shorter token is replaced as a whole word only
_PIECE = 8  # characters; part of a token with spaces or line breaks in it
_LEVELS = 6  # of clients inside composites


class _KnownTokens:
    """Tokens of this process, which show neither in a repr nor in a pickle."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: frozenset[str] = frozenset()
        self._pattern: tuple[frozenset[str], re.Pattern[str] | None] = (frozenset(), None)

    def __repr__(self) -> str:
        return f"<{len(self._tokens)} known tokens>"

    def __reduce__(self) -> Any:
        raise TypeError("known tokens are never pickled.")

    def add(self, tokens: Iterable[object]) -> None:
        with self._lock:
            self._tokens |= {token for token in tokens if isinstance(token, str) and token.strip()}

    def pattern(self) -> re.Pattern[str] | None:
        """Return what matches any of them, in any form; None where none is known."""
        tokens = self._tokens | _of_environment()
        known, pattern = self._pattern
        if tokens != known:
            forms = set().union(*(_forms(token) for token in tokens))
            alternatives = map(_expression, sorted(forms, key=len, reverse=True))
            pattern = re.compile("|".join(alternatives)) if forms else None
            self._pattern = (tokens, pattern)
        return pattern


_KNOWN = _KnownTokens()


def learn_config(config: object) -> None:
    """Add the tokens of a client's configuration to the known ones.

    Parameters
    ----------
    config : object
        Object with the attributes ``token`` and ``headers``, which may be missing.
    """
    _KNOWN.add([getattr(config, "token", None)])
    headers = getattr(config, "headers", None)
    if isinstance(headers, dict):
        secret = [str(v) for k, v in headers.items() if re.search("auth|token", str(k), re.I)]
        _KNOWN.add(secret + [value.rpartition(" ")[2] for value in secret])


def learn_client(sampler: object) -> None:
    """Add the tokens of a live sampler, or of one inside it, to the known ones.

    Parameters
    ----------
    sampler : object
        A client of the service, a composite around one, or anything else.
    """
    for each in _inside(sampler, _LEVELS):
        learn_config(getattr(getattr(each, "client", None), "config", None))


def _inside(sampler: object, levels: int) -> list[object]:
    if levels == 0 or isinstance(sampler, type):
        return []
    try:
        children = list(getattr(sampler, "children", None) or ())
    except Exception:  # noqa: BLE001 - a property of a user's class
        children = []
    return [sampler, *(each for child in children for each in _inside(child, levels - 1))]


def learn_files(paths: Iterable[object]) -> None:
    """Add the tokens of all profiles of configuration files to the known ones.

    Parameters
    ----------
    paths : iterable of str or path
        Files. Unreadable ones are ignored, because the client reports them.
    """
    for path in paths:
        try:
            text = Path(str(path)).read_text(encoding="utf-8", errors="replace")
        except (OSError, ValueError):
            continue
        _KNOWN.add(match.strip().strip("'\"") for match in _IN_FILE.findall(text))


def redact(text: str) -> str:
    """Return the text without a token.

    Parameters
    ----------
    text : str
    """
    pattern = _KNOWN.pattern()
    if pattern is not None:
        text = pattern.sub(_REPLACEMENT, text)
    return _TOKEN.sub(_REPLACEMENT, _AFTER_NAME.sub(rf"\g<1>{_REPLACEMENT}", text))


def safe_cause(error: BaseException) -> BaseException | None:
    """Return an exception that may be chained to one of ours, or None if it shows a token.

    Parameters
    ----------
    error : BaseException
    """
    text = "".join(traceback.format_exception(error)) + repr(error.__dict__)
    return error if redact(text) == text else None


def _of_environment() -> frozenset[str]:
    names = (name for name in os.environ if name.startswith("DWAVE") and "TOKEN" in name)
    return frozenset(os.environ[name] for name in names if os.environ[name].strip())


def _forms(token: str) -> set[str]:
    """Return a token as texts, reprs, JSON and addresses hold it, once and twice over."""
    forms = {token, token.strip()}
    forms |= {piece for piece in token.split() if len(piece) >= _PIECE}
    for _ in range(2):
        forms |= {spelled for form in forms for spelled in _spellings(form)}
    return {form for form in forms if form.strip()}


def _spellings(text: str) -> set[str]:
    encoded = text.encode("utf-8", errors="surrogatepass")
    quoted = {quote(encoded), quote(encoded, safe=""), quote_plus(encoded)}
    lower = {re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), each) for each in quoted}
    escaped = {repr(text)[1:-1], ascii(text)[1:-1], json.dumps(text)[1:-1], repr(encoded)[2:-1]}
    # What stands in double quotes in a repr has its single quotes as they are, and vice versa.
    escaped |= {each.replace("'", "\\'") for each in escaped} | {
        each.replace('"', '\\"') for each in escaped
    }
    return {text, escape(text), encoded.decode("latin-1"), *quoted, *lower, *escaped}


def _expression(form: str) -> str:
    if len(form) >= _SHORT:
        return re.escape(form)
    return rf"(?<![0-9A-Za-z]){re.escape(form)}(?![0-9A-Za-z])"


class TokenFilter(logging.Filter):
    """Log filter that removes tokens, since the D-Wave client logs its configuration."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Remove tokens from the record; every record passes.

        Parameters
        ----------
        record : logging.LogRecord
        """
        # Now, also without a token: arguments may be filled in after the record is made.
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - arguments that do not fit: nothing is lost but their form
            message = f"{record.msg} {record.args}"
        record.msg, record.args = redact(message), None
        if record.exc_info and record.exc_info[1] is not None:
            trace = "".join(traceback.format_exception(record.exc_info[1]))
            record.exc_info, record.exc_text = None, redact(trace.rstrip("\n"))
        elif record.exc_text:
            record.exc_text = redact(record.exc_text)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        return True
