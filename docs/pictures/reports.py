"""Take the pictures of the HTML report and of the live view, in a headless browser.

A small network is tuned, whose learning curves are computed, not trained, so that a search takes
some seconds. The live view is taken in the middle of the search, and the report after its end.
Needs Chromium and the extra ``browser``::

    python docs/pictures/reports.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright
from style import STATIC

from hpo.report import read_run, write_report
from hpo.report.live import LiveServer

TRAINER = """
import math
import random
import time

from hpo.trainers import Metrics


def train(config, start, stop, checkpoint):
    time.sleep(0.2 * (stop - start))
    noise = random.Random(repr(config))
    rate, units, dropout = config["learning_rate"], config["units"], config["dropout"]
    distance = (math.log10(rate) + 2.5) ** 2 / 4 + (math.log2(units) - 7) ** 2 / 40
    floor = 0.08 + 0.25 * distance + 0.3 * (dropout - 0.2) ** 2
    losses = [
        floor + (2.3 - floor) * (1 + epoch) ** -(0.5 + 0.2 * (1 - distance))
        + 0.01 * noise.random() for epoch in range(stop)
    ][start:]
    return Metrics(losses, {"accuracy": [math.exp(-loss) for loss in losses]})
"""
SPACE = """
[learning_rate]
type = "float"
low = 1e-4
high = 1.0
log = true

[units]
type = "int"
low = 16
high = 512
log = true

[dropout]
type = "float"
low = 0.0
high = 0.6
"""
SEARCH = "run digits.py:train --space digits.toml --max-resource 27 --workers 2 --seed 3 --quiet"
JOURNAL = "digits.jsonl"
RUNNING = "document.querySelectorAll('#live-running tbody tr').length === 2"


def save(page: Page, name: str) -> None:
    """Write what the browser shows to ``docs/_static``, in at most 128 colours."""
    picture = Image.open(BytesIO(page.screenshot())).convert("RGB")
    path = STATIC / name
    picture.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    print(path, path.stat().st_size)


def opened(work: Callable[[Page], Any]) -> None:
    """Do the work in a page of a headless browser."""
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        # Narrow, so that a phone shows its words large enough.
        size = {"width": 640, "height": 1375}
        work(browser.new_page(viewport=size, device_scale_factor=1.5, color_scheme="light"))
        browser.close()


def live_view(page: Page) -> None:
    """Take the picture of a search that runs."""
    server = LiveServer(Path(JOURNAL))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page.goto(server.url)
    command = [sys.executable, "-m", "hpo", *SEARCH.split(), "--journal", JOURNAL]
    with subprocess.Popen(command):  # noqa: S603 - our own command
        for _ in range(600):
            if page.evaluate(f"data && data.history.length > 40 && {RUNNING}"):
                break
            page.wait_for_timeout(100)
        else:
            raise TimeoutError("the page did not show the running search; slow the training down")
        page.wait_for_timeout(500)
        save(page, "live-view.png")
    server.shutdown()


def report(page: Page) -> None:
    """Take the picture of the report of the same search."""
    page.goto(write_report(read_run(Path(JOURNAL)), Path("digits.html")).absolute().as_uri())
    page.wait_for_timeout(500)
    save(page, "html-report.png")


if __name__ == "__main__":
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("digits.py").write_text(TRAINER)
        Path("digits.toml").write_text(SPACE)
        opened(live_view)
        opened(report)
