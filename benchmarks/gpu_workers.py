"""Epochs per second of one, two and four worker processes that share one GPU.

    python benchmarks/gpu_workers.py [--quick] [--models cnn,mlpf] [--workers 1,2,4]
        [--device cuda]

Each worker trains several trials of a model of `hpo.examples` in its default configuration, with
``executor="process"`` and ``devices=0,0,...``. *Epochs per second* leaves out the first trial of
each worker, during which it opens the device: the epochs of the others, from their first start to
their last end. *Memory* is the most that ``nvidia-smi`` reports for the GPU, less what it reported
before. At the end no worker process may be left, and the memory must be free again.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from _harness import Thresholds, argument_parser, print_table
from hpo import ListSearcher, RandomSearch, Results, Tuner

EPOCHS = {"cnn": 20, "mlpf": 4}  # of each trial
TRIALS = 3  # of each worker


def used_memory() -> float:
    """Return the used memory of the first GPU in MiB, 0 without one."""
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
    try:
        return float(subprocess.run(command, capture_output=True, check=True).stdout)  # noqa: S603
    except OSError:
        return 0.0


@contextmanager
def watched() -> Iterator[list[float]]:
    """Collect the used memory twice a second."""
    found, ended = [used_memory()], threading.Event()

    def watch() -> None:
        while not ended.wait(0.5):
            found.append(used_memory())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def search(model: str, device: str, n_workers: int, epochs: int, folder: Path) -> Results:
    """Train the same trial several times on each worker."""
    module = importlib.import_module(f"hpo.examples.{model}")
    configs = [{**module.DEFAULTS, "device": device}] * (TRIALS * n_workers)
    scheduler = RandomSearch(ListSearcher(configs), max_resource=epochs, n_trials=len(configs))
    return Tuner(
        module.trainer, scheduler, journal=folder / f"{model}-{n_workers}.jsonl",
        n_workers=n_workers, executor_options={"devices": ",".join(["0"] * n_workers)},
    ).run()  # fmt: skip


def rate(results: Results) -> float:
    """Return the epochs per second of all trials but the first of each worker."""
    spans = sorted((s for s in results.spans if s.kind == "train"), key=lambda span: span.start)
    first = {}
    for span in spans:
        first.setdefault(span.pid, span.trial_id)
    spans = [span for span in spans if span.trial_id not in first.values()]
    seconds = max(span.end for span in spans) - min(span.start for span in spans)
    return sum((span.last or 0) - (span.first or 0) for span in spans) / seconds


def main() -> None:
    """Run the benchmark."""
    parser = argument_parser(__doc__)
    parser.add_argument("--models", default="cnn,mlpf")
    parser.add_argument("--workers", default="1,2,4")
    parser.add_argument("--device", default="cuda")
    args = parser.parse_args()
    thresholds = Thresholds()
    counts = [int(each) for each in args.workers.split(",")]
    for model in args.models.split(","):
        epochs = max(EPOCHS.get(model, 5) // (4 if args.quick else 1), 1)
        rows = []
        alone = 0.0
        for n_workers in counts:
            before = used_memory()
            begun = time.perf_counter()
            with tempfile.TemporaryDirectory() as place, watched() as memory:
                results = search(model, args.device, n_workers, epochs, Path(place))
            seconds = time.perf_counter() - begun
            found = rate(results)
            alone = alone or found
            pids = {span.pid for span in results.spans} - {None, os.getpid()}
            left = [pid for pid in pids if Path(f"/proc/{pid}").exists()]
            time.sleep(1.0)
            label = f"{model}, {n_workers} workers"
            thresholds.hold(f"{label}: no process is left", not left)
            thresholds.hold(f"{label}: the memory is free again", used_memory() <= before + 1.0)
            rows.append(
                [f"{n_workers}", f"{found:.2f}", f"{found / alone:.2f}",
                 f"{max(memory) - before:.0f}", f"{seconds:.1f}"]
            )  # fmt: skip
        print_table(
            [f"{model}, workers", "epochs per second", "relative", "memory, MiB", "search, s"], rows
        )
    thresholds.finish(args.check)


if __name__ == "__main__":
    main()
