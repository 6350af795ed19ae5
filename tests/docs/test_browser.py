"""The site, reports and the live view in a browser: at two widths, without serious barriers.

Needs the extra ``browser``, a Chromium and axe-core; ``make site-check`` installs what is missing.
``SITE_SCREENSHOTS`` names a folder for a picture of each page.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hpo.report import Comparison, read_run, write_report

playwright = pytest.importorskip(
    "playwright.sync_api", reason='browser tests need: pip install ".[browser]"'
)

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PAGES = [
    "index",
    "start/quickstart",
    "start/glossary",
    "guide/regression",
    "guide/samplers",
    "guide/schedulers",
    "guide/runs",
    "gallery",
    "notebooks/01_first_fit_to_leap",
    "reference",
    "api/qsvr",
    "api/objects/qsvr.QSVR",
    "research/measured",
    "develop/architecture",
]
DARK = ["index", "gallery", "api/objects/qsvr.QSVR", "notebooks/01_first_fit_to_leap"]
WITHOUT_SIDEBAR = {"index"}
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as player:
        options = {"args": ["--no-sandbox"]}
        try:
            opened = player.chromium.launch(**options)
        except playwright.Error:
            found = shutil.which("chromium") or shutil.which("google-chrome")
            if found is None:
                pytest.skip("no Chromium: python -m playwright install chromium")
            opened = player.chromium.launch(executable_path=found, **options)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def axe() -> str:
    places = [
        Path(os.environ.get("AXE", "axe.min.js")),
        *(
            folder / "node_modules" / "axe-core" / "axe.min.js"
            for folder in (ROOT, ROOT / "docs" / "_build")
        ),
    ]
    for path in places:
        if path.is_file():
            return path.read_text("utf-8")
    pytest.skip("no axe-core: npm install --prefix docs/_build axe-core")


@pytest.fixture(scope="module")
def address(site):
    handler = partial(SimpleHTTPRequestHandler, directory=str(site))
    handler.log_message = lambda *_: None
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


SEARCH = """
import sys, time
from pathlib import Path
from hpo import FunctionTrainer, RandomSearcher, SearchSpace, Tuner, make_scheduler

CALLS = []

def losses(config, start, stop, checkpoint):
    CALLS.append(start)
    while len(CALLS) > 5 and Path(sys.argv[2]).exists():  # held there
        time.sleep(0.05)
    return [abs(config["rate"] - 0.1) + 1 / (1 + unit) for unit in range(start, stop)]

space = {"rate": {"type": "float", "low": 1e-3, "high": 1.0, "log": True}}
searcher = RandomSearcher(SearchSpace.from_dict(space), seed=int(sys.argv[3]))
scheduler = make_scheduler("hyperband", searcher, max_resource=9, reduction_factor=3)
Tuner(FunctionTrainer(losses), scheduler, journal=Path(sys.argv[1]), executor="inline").run()
"""


def searching(journal: Path, seed: int = 0) -> subprocess.Popen:
    """Start a search, which stops in its middle as long as there is a file beside the journal."""
    hold = journal.with_name("hold")
    return subprocess.Popen([sys.executable, "-c", SEARCH, str(journal), str(hold), str(seed)])


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> dict[str, Path]:
    """Return the HTML report of a small run, and that of two runs side by side."""
    folder = tmp_path_factory.mktemp("report")
    journals = [folder / "one.jsonl", folder / "two.jsonl"]
    for seed, journal in enumerate(journals):
        assert searching(journal, seed=seed).wait(60) == 0
    runs = [read_run(journal) for journal in journals]
    return {
        "report": write_report(runs[0], folder / "report.html"),
        "comparison": Comparison(runs).write_page(folder / "comparison.html"),
    }


class Visit:
    """An open page, and what went wrong on it."""

    def __init__(self, browser, size: str, scheme: str, home: str):
        width, height = SIZES[size]
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        self.size, self.scheme = size, scheme
        self.abroad: list[str] = []
        self.errors: list[str] = []
        self.context.route("**/*", partial(self._route, home))
        self.page = self.context.new_page()
        self.page.on("console", lambda each: self._say(each))
        self.page.on("pageerror", lambda each: self.errors.append(str(each)))

    def _route(self, home: str, route) -> None:
        if route.request.url.startswith((home, "data:")):
            route.continue_()
        else:
            self.abroad.append(route.request.url)
            route.abort()

    def _say(self, message) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def open(self, url: str) -> None:
        self.page.goto(url, wait_until="load")
        self.page.wait_for_timeout(150)
        name = url.partition("//")[2].partition("/")[2].removesuffix(".html")
        self.picture(name.replace("/", "_") if url.startswith("http:") else Path(url).stem)

    def picture(self, name: str) -> None:
        """Take a screenshot of the whole page, if they are asked for."""
        folder = os.environ.get("SITE_SCREENSHOTS")
        if folder and name:
            path = Path(folder) / f"{name}-{self.size}-{self.scheme}.png"
            self.page.screenshot(path=str(path), full_page=True)

    def overflow(self) -> list[str]:
        """Return what is wider than the window, where the page scrolls sideways."""
        return self.page.evaluate(
            """() => {
                const width = document.documentElement.clientWidth;
                if (document.scrollingElement.scrollWidth <= width) return [];
                return [...document.body.querySelectorAll('*')]
                    .filter(each => each.getBoundingClientRect().right > width + 1)
                    .map(each => each.tagName + '.' + each.className).slice(0, 8);
            }"""
        )

    def barriers(self, axe: str) -> list[str]:
        """Return axe's serious and critical findings."""
        self.page.evaluate(axe)
        found = self.page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{each['id']}: {node['target']} {node['failureSummary'][:200]}"
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
            for node in each["nodes"][:4]
        ]


@pytest.fixture
def visit(browser):
    opened = []

    def start(size: str, scheme: str, home: str) -> Visit:
        opened.append(Visit(browser, size, scheme, home))
        return opened[-1]

    yield start
    for each in opened:
        each.context.close()


def check(page: Visit, axe: str) -> None:
    found = {
        "errors": page.errors,
        "requests to other machines": page.abroad,
        "wider than the window": page.overflow(),
        "barriers": page.barriers(axe),
    }
    assert not any(found.values()), found


@pytest.mark.parametrize(
    ("name", "size", "scheme"),
    [
        *((name, size, "light") for name in PAGES for size in SIZES),
        *((name, "desktop", "dark") for name in DARK),
    ],
)
def test_page(visit, axe, address, name, size, scheme):
    page = visit(size, scheme, address)
    page.open(f"{address}/{name}.html")
    check(page, axe)
    if size == "desktop" and name not in WITHOUT_SIDEBAR:
        links = page.page.locator(".bd-sidebar-primary nav a:visible")
        assert links.count() >= 3
    assert page.page.locator(".site-version").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["report", "comparison"])
def test_report(visit, axe, reports, name, size, scheme):
    address = reports[name].as_uri()
    page = visit(size, scheme, address)
    page.open(address)
    check(page, axe)


def until(page: Visit, condition: str) -> None:
    """Wait for a condition; the page's policy forbids playwright's own way of waiting."""
    end = time.monotonic() + 60
    while not page.page.evaluate(condition):
        assert time.monotonic() < end, f"the page never came to: {condition}"
        page.page.wait_for_timeout(100)


def test_live_view(visit, axe, tmp_path):
    """Before a search, while it runs, and after its end."""
    journal = tmp_path / "run.jsonl"
    command = [sys.executable, "-m", "hpo", "watch", str(journal), "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watch:
        try:
            address = re.search(r"http://127\.0\.0\.1:\d+/", watch.stdout.readline())[0]
            pages = [visit(size, scheme, address) for size, scheme in LIVE]
            for page in pages:
                page.open(address)
            look(pages, axe, "waiting for the journal", "true")
            hold = tmp_path / "hold"
            hold.touch()
            with searching(journal):
                try:
                    look(pages, axe, "running", "data && data.trials.length > 3")
                finally:
                    hold.unlink()
            look(pages, axe, "finished", "data.trials.length > 12")
        finally:
            watch.kill()


LIVE = [("desktop", "light"), ("phone", "light"), ("phone", "dark")]


def look(pages: list[Visit], axe: str, state: str, condition: str) -> None:
    """Check pages of the live view once they show this state of the search."""
    for page in pages:
        until(page, f"document.getElementById('live').innerText.includes('{state}') && {condition}")
        check(page, axe)
        page.picture(f"live-{state.split(maxsplit=1)[0]}")


def test_search_finds_an_object_and_a_page(visit, address):
    page = visit("desktop", "light", address)
    for words, wanted in (("SwiftASHA", "hpo.SwiftASHA"), ("annealer", "annealer")):
        page.page.goto(f"{address}/search.html?q={words}")
        results = page.page.locator("#search-results li a")
        results.first.wait_for()
        page.page.wait_for_function("document.querySelectorAll('#search-results li').length > 2")
        assert wanted in page.page.locator("#search-results").inner_text()
    assert page.errors == []


def test_the_colour_scheme_can_be_chosen(visit, address):
    page = visit("desktop", "light", address)
    page.page.goto(f"{address}/index.html")
    colours = []
    for _ in range(2):
        colours.append(page.page.evaluate("() => getComputedStyle(document.body).backgroundColor"))
        page.page.evaluate("() => document.documentElement.dataset.theme = 'dark'")
    assert colours[0] != colours[1]


def test_a_term_leads_to_the_glossary(visit, address):
    page = visit("desktop", "light", address)
    page.page.goto(f"{address}/reference.html")
    page.page.locator("article a[href*='glossary.html#term-']").first.click()
    page.page.wait_for_url("**/start/glossary.html#term-*")
    anchor = page.page.evaluate("() => decodeURIComponent(location.hash.slice(1))")
    assert page.page.locator(f'[id="{anchor}"]').count() == 1
