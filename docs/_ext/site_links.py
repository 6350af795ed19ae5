"""Finds dead links within the built site: pages, files and anchors that are not there.

``python docs/_ext/site_links.py docs/_build/html`` lists them, and exits with status 1 if there are
any. Links to other sites are the business of ``make linkcheck``, which needs a network.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from html import unescape
from pathlib import Path
from urllib.parse import unquote

_LINK = re.compile(r'\s(?:href|src)="([^"]+)"')
_ANCHOR = re.compile(r'\s(?:id|name)="([^"]+)"')
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//")


def dead_links(site: Path) -> list[str]:
    """Return ``page: link`` for every link of a page that leads to nothing."""
    site = site.resolve()

    @cache
    def exists(file: Path) -> bool:
        return file.is_file()

    @cache
    def anchors(file: Path) -> set[str]:
        return {unescape(each) for each in _ANCHOR.findall(file.read_text(encoding="utf-8"))}

    dead = []
    for page in sorted(site.rglob("*.html")):
        if page.is_relative_to(site / "_static"):
            continue  # parts of the theme, no pages
        for link in sorted(set(_LINK.findall(page.read_text(encoding="utf-8")))):
            target = unescape(link)
            if _ELSEWHERE.match(target):
                continue
            place, _, anchor = target.partition("#")
            place = unquote(place.partition("?")[0])
            file = Path(page.parent, place).resolve() if place else page
            known = exists(file)
            if known and anchor and file.suffix == ".html":
                known = unquote(anchor) in anchors(file)
            if not known:
                dead.append(f"{page.relative_to(site)}: {target}")
    return dead


def main(arguments: list[str]) -> int:
    """Print the dead links of a site."""
    dead = dead_links(Path(arguments[0]))
    print("\n".join(dead) if dead else "no dead link within the site")
    return bool(dead)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
