"""Draw the two flow diagrams: what a fit of `qsvr` and a search of `hpo` do, step by step.

The diagrams are SVG files with a title and a description for screen readers, and a background of
their own, so that they can be read in a dark theme as well. They are narrow, so that their smallest
text is 12 pixels high on a screen of 390 pixels::

    python docs/pictures/flows.py
"""

from __future__ import annotations

from html import escape
from pathlib import Path

STATIC = Path(__file__).parents[1] / "_static"
WIDTH = 476
STYLE = """
text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,Arial,'DejaVu Sans',sans-serif}
text{fill:#1c2733;font-size:16px}
.h{font-weight:700;font-size:18px}
.step{fill:#e7f0f7;stroke:#0072b2;stroke-width:1.5}
.data{fill:#fff;stroke:#0072b2;stroke-width:1.5;stroke-dasharray:5 4}
.option{fill:#fdf3dc;stroke:#a66f00;stroke-width:1.5}
.a{fill:none;stroke:#0072b2;stroke-width:2;marker-end:url(#blue)}
.o{fill:none;stroke:#a66f00;stroke-width:2;marker-end:url(#brown)}
.r{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}
.r{font-weight:700}
.m{fill:#44525f}
.room{fill:#f6f4ee;stroke:#b9b39f;stroke-width:1}
.low{fill:#fff;stroke:#b9b39f;stroke-width:1}
"""
MARKER = (
    '<marker id="{0}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
    'orient="auto-start-reverse"><path d="M0 0L10 5L0 10z" fill="{1}"/></marker>'
)

# What the boxes say; | begins a new line.
FIT = """\
X, y|your samples and their targets
Kernel|how similar each pair of samples is
Dual problem|a quadratic function of one coefficient|per sample; its minimum is the SVR
QUBO|the same function of bits: each coefficient|is written in a few bits (n_bits=3)
Sampler|returns bit strings of low energy: simulated|annealing, D-Wave annealer, hybrid solver
Samples|bit strings, improved by local search
Distinct solutions|the best ones, each different, turned|back into coefficients and averaged
Regression function|predict(X), with a standard deviation
"""
LEFT, RIGHT = 12, 254
SEARCH = (
    (LEFT, 12, "Search space|the values that each|setting may take", "data"),
    (LEFT, 127, "Searcher|picks a value for|each setting"),
    (LEFT, 242, "Scheduler|decides which trial is|trained next, how far,|and which one stops"),
    (LEFT, 380, "Job|\u201ctrain trial 7 from|epoch 3 to epoch 9\u201d"),
    (LEFT, 495, "Executor|runs jobs on worker|processes or a cluster"),
    (LEFT, 610, "Trainer|your code: trains the|model to that epoch"),
    (RIGHT, 610, "Report|the losses of these|epochs, or the error"),
    (RIGHT, 403, "Journal|file with all decisions|and reports: a search|goes on after a crash"),
    (RIGHT, 127, "Predictor|(optional) forecasts|final losses from the|curves so far", "option"),
)


def document(title: str, description: str, height: int, parts: list[str]) -> str:
    """Return an SVG document."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"',
            f'viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title desc">',
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="desc">{escape(description)}</desc>',
            f"<defs>{MARKER.format('blue', '#0072b2')}{MARKER.format('brown', '#a66f00')}",
            f"<style>{STYLE}</style></defs>",
            f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#fff"/>',
            *parts,
            "</svg>",
            "",
        ]
    )


def box(x: int, y: int, width: int, text: str, kind: str = "step") -> str:
    """Return a box: its first line is the name of the step, the others say what it does."""
    lines = text.split("|")
    height = 20 + 23 * len(lines)
    rows = [f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="7" class="{kind}"/>']
    for number, line in enumerate(lines):
        style = ' class="h"' if number == 0 else ""
        rows.append(f'<text x="{x + 12}" y="{y + 27 + 23 * number}"{style}>{escape(line)}</text>')
    return "\n".join(rows)


def arrow(path: str, kind: str = "a") -> str:
    """Return an arrow along a path."""
    return f'<path class="{kind}" d="{path}"/>'


def label(x: int, y: int, *lines: str) -> str:
    """Return lines of text beside an arrow."""
    return "\n".join(
        f'<text x="{x}" y="{y + 21 * number}">{escape(line)}</text>'
        for number, line in enumerate(lines)
    )


def fit() -> str:
    """Return the diagram of a fit of QSVR."""
    parts, y, tops, steps = [], 12, [], FIT.splitlines()
    for number, text in enumerate(steps):
        kind = "step" if 0 < number < len(steps) - 1 else "data"
        parts.append(box(12, y, 408, text, kind))
        tops.append(y)
        bottom = y + 43 + 23 * text.count("|")
        if number < len(steps) - 1:
            parts.append(arrow(f"M216 {bottom}V{bottom + 23}"))
        y = bottom + 26
    start, end = tops[5] + 33, tops[3] + 44
    up = f"Q442 {start} 442 {start - 10}V{end + 10}Q442 {end} 432 {end}"
    parts.append(arrow(f"M420 {start}H432{up}H423", "o"))
    middle = (start + end) // 2
    parts.append(
        f'<text transform="translate(463 {middle}) rotate(-90)" text-anchor="middle">'
        "repeat with finer levels</text>"
    )
    return document(
        "From data to a regression function: a fit of QSVR",
        "Samples X and targets y give a kernel, the similarity of each pair of samples. The kernel "
        "and y give the dual problem, a quadratic function of one coefficient per sample. Writing "
        "each coefficient in a few bits gives a QUBO. A sampler returns bit strings of low energy. "
        "They are improved by local search, and the distinct solutions of lowest energy are "
        "averaged to the regression function. Refinement and working sets repeat the steps from "
        "the QUBO on, with finer levels or with the bits of other samples.",
        y - 13,
        parts,
    )


def search() -> str:
    """Return the diagram of a search of hpo."""
    parts = [box(x, y, 210, text, *kind) for x, y, text, *kind in SEARCH]
    parts += [
        arrow("M117 101V124"), arrow("M117 216V239"), arrow("M117 354V377"), arrow("M117 469V492"),
        arrow("M117 584V607"), arrow("M222 655H251"), arrow("M359 610V518"),
        arrow("M359 403V333Q359 323 349 323H225"),
        arrow("M200 242V230Q200 220 210 220H251", "o"),
        arrow("M359 239V267Q359 277 349 277H225", "o"),
        label(238, 348, "next", "decision"),
    ]  # fmt: skip
    return document(
        "From a search space to the best configuration: a search of hpo",
        "A searcher proposes configurations from the search space. The scheduler decides which "
        "trial is trained next, how far, and which one stops. Its decision is a job, which the "
        "executor runs on a worker process or a cluster, where the trainer trains the model. The "
        "report with the losses is written to the journal and leads to the scheduler's next "
        "decision. A predictor, which is optional, forecasts final losses from the curves so far.",
        711,
        parts,
    )


def main() -> None:
    """Write both diagrams."""
    for name, text in (("qsvr-flow.svg", fit()), ("hpo-flow.svg", search())):
        (STATIC / name).write_text(text, encoding="utf-8")
        print(STATIC / name)


if __name__ == "__main__":
    main()
