"""Execute notebooks and write them, with their output, as ``.ipynb`` beside their source.

The ``.py`` files are the source; the ``.ipynb`` files are what GitHub and the documentation show::

    python notebooks/render.py            # all of them
    python notebooks/render.py 04 05      # those whose names begin so

04 and 05 show the MLPF table: the environment variable MLPF_TABLE names its file.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient

import qsvr

HERE = Path(__file__).parent


def sources() -> list[Path]:
    """Return the notebooks' sources, in order."""
    return sorted(HERE.glob("[0-9]*.py"))


def executed(path: Path) -> Any:
    """Return the notebook of a source, executed in this folder.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell fails.
    """
    notebook = jupytext.read(path)
    for number, cell in enumerate(notebook.cells):  # random ids would change the file each time
        cell["id"] = f"cell-{number}"
    execute(notebook)
    return notebook


def execute(notebook: Any, **options: Any) -> None:
    """Execute a notebook in this folder, with further options of `NotebookClient`."""
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(HERE)}},
        **options,
    )
    client.execute()


def main() -> None:
    """Render the notebooks that the command line names, or all."""
    chosen = [
        path
        for path in sources()
        if not sys.argv[1:] or any(path.name.startswith(start) for start in sys.argv[1:])
    ]
    needs_table = [path.name for path in chosen if "MLPF_TABLE" in path.read_text("utf-8")]
    if needs_table and not os.environ.get("MLPF_TABLE"):
        sys.exit(
            f"{', '.join(needs_table)} would be written with made-up curves: set MLPF_TABLE to the "
            "path of mlpf_curves.csv, or name the notebooks to render."
        )
    qsvr.warm_up()  # the first fit on a machine prints that it compiles
    for path in chosen:
        notebook = executed(path)
        notebook.metadata.pop("language_info", None)
        nbformat.write(notebook, path.with_suffix(".ipynb"))
        print(path.with_suffix(".ipynb").name)


if __name__ == "__main__":
    main()
