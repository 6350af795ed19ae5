# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A distributed hybrid search
#
# Worker processes train networks; the annealer's model predicts learning curves meanwhile, beside
# them; every decision is on disk before it takes effect. This notebook runs such a
# search on two processes of this machine, in the form of the papers and by Swift-ASHA, the default of
# `hpo run`, and looks into the journals to see who did what when. The last section says what changes on
# a cluster.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

from hpo import Results, RunSpec, SearchSpace, Tuner
from hpo.report.plots import plot_curves
from hpo.run.journal import read_journal
from qsvr import QSVR

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 80})
plt.rcParams["legend.loc"] = "upper right"  # the best place is slow to find among many curves
EXAMPLES = next(
    folder / "examples" for folder in (Path.cwd(), *Path.cwd().parents)
    if (folder / "examples" / "digits_numpy.py").exists()
)  # fmt: skip

# %% [markdown]
# ## The trainer
#
# A trainer is anything with `train(config, start, stop, checkpoint)`. Workers import it by name,
# `FILE.py:name`, so it lives in a file; this one trains a two-layer network on handwritten digits.

# %%
source = (EXAMPLES / "digits_numpy.py").read_text()
print(source[source.index("def train(") : source.index('    """Train from')] + "    ...")

# %% [markdown]
# ## The run
#
# A `RunSpec` is plain values, so the journal's first line holds all that is needed to resume the run
# with `hpo resume JOURNAL`. The predictor is QSVR by simulated annealing; `sampler="qpu"` among the
# predictor's options would send its problems to D-Wave: six for each decision, five of them for the
# cross-validated skill, which `folds=0` spares.

# %%
spec = RunSpec(
    trainer=f"{EXAMPLES / 'digits_numpy.py'}:trainer",
    space=SearchSpace.from_toml(EXAMPLES / "digits_numpy_space.toml").to_dict(),
    max_resource=16,
    scheduler="swift-hyperband",
    scheduler_options={"min_curves": 6},
    predictor="qsvr",
    n_workers=2,
    seed=0,
)
QSVR().fit([[0.0], [1.0]], [0.0, 1.0])  # loads the compiled annealer before the clock starts
folder = tempfile.TemporaryDirectory()
journal = Path(folder.name) / "digits.jsonl"
results = Tuner.from_spec(spec, journal=journal).run()

best = results.best
print(
    f"{len(results.trials)} trials, {results.epochs} epochs, {results.saved} saved by predictions"
)
print(f"best validation loss {best.last_loss:.3f} with {best.config}")

# %% [markdown]
# ## Who did what when
#
# The journal holds the time of every decision and report. Each bar is a segment of training on one of
# the two workers, coloured by its bracket; a line above is a prediction, which takes no worker.

# %%


def timeline(journal):
    """Return segments (worker, start, end, bracket) and predictions (start, end), in seconds."""
    began, lanes, bars, predictions = {}, [0.0, 0.0], [], []
    entries = read_journal(journal).entries
    zero = entries[0].time
    for entry in entries:
        if entry.kind == "note":
            continue
        data = entry.data
        key = ("predict", data["job_id"]) if "job_id" in data else ("train", data["trial_id"])
        if entry.kind == "decided":
            began[key] = (entry.time - zero, data)
            continue
        start, job = began.pop(key)
        end = entry.time - zero
        if key[0] == "predict":
            predictions.append((start, end))
            continue
        lane = min(range(2), key=lanes.__getitem__)
        lanes[lane] = end
        bars.append((lane, start, end, job["bracket"]))
    return bars, predictions


def draw(journal, colour):
    """Draw who did what when; `colour` gives the colour of each bar."""
    bars, predictions = timeline(journal)
    _, ax = plt.subplots(figsize=(11, 2.8), layout="constrained")
    for number, (lane, start, end, bracket) in enumerate(bars):
        ax.barh(
            lane, end - start, left=start, height=0.8,
            color=colour(number, bracket), edgecolor="white", lw=0.5,
        )  # fmt: skip
    for start, end in predictions:
        ax.barh(2, max(end - start, 0.01), left=start, height=0.5, color="k")
    ax.set(yticks=(0, 1, 2), yticklabels=("worker 1", "worker 2", "predictions"), xlabel="seconds")
    first = min(bar[2] for bar in bars)  # what is before is mostly the workers' start
    ax.set_xlim(max(0, first - 0.2), max(bar[2] for bar in bars) + 0.1)
    return ax, bars


ax, bars = draw(journal, lambda number, bracket: f"C{bracket}")
for bracket in sorted({bar[3] for bar in bars}):
    ax.barh(0, 0, color=f"C{bracket}", label=f"bracket {bracket}")
ax.legend(frameon=False, ncols=5, loc="upper center", bbox_to_anchor=(0.5, 1.25), fontsize=9)
plt.show()

# %% [markdown]
# Two things to see: workers go on training while predictions are made, and the next bracket opens
# before the one before has ended. With a quantum annealer a black bar is the time in its queue.
#
# ## The learning curves

# %%
figure, ax = plt.subplots(figsize=(8, 4.2), layout="constrained")
plot_curves(Results.from_journal(journal), ax, title="Swift-Hyperband + QSVR on digits")
plt.show()

# %% [markdown]
# ## Swift-ASHA
#
# The default of `hpo run` has no brackets: a free worker gets a job at once, chosen from the latest
# forecast, and the forecasts are made beside the training. `RunSpec` takes it if no scheduler is named;
# its searcher proposes configurations from the same forecasts.

# %%
spec_asha = RunSpec(trainer=spec.trainer, space=spec.space, max_resource=16, n_workers=2, seed=0)
journal_asha = Path(folder.name) / "digits-swift-asha.jsonl"
results_asha = Tuner.from_spec(spec_asha, journal=journal_asha).run()
print(f"{len(results_asha.trials)} trials, {results_asha.epochs} epochs,", end=" ")
print(f"utilisation of the workers {results_asha.utilisation:.0%}")
best = results_asha.best
print(f"best validation loss {best.last_loss:.3f} with {best.config}")

ax, _ = draw(journal_asha, lambda number, bracket: "C0")
plt.show()
folder.cleanup()

# %% [markdown]
# An epoch takes milliseconds here, and a forecast some tenths of a second. So workers can use up what a
# forecast proposed before the next one is there, which leaves gaps; the small ones are the answers on
# their way. With epochs of a second neither is visible, and no worker waits for another at any length.
#
# ## On a cluster
#
# Two things change: where the workers are, and where the checkpoints lie.
#
# **Workers.** `executor=` takes any `concurrent.futures.Executor`, or a function that builds one, so
# that it can be built again when it breaks. With Dask, for instance:
#
# ```python
# from dask.distributed import Client
# from dask_jobqueue import SLURMCluster
#
# cluster = SLURMCluster(cores=8, memory="32GB", walltime="04:00:00")
# cluster.scale(jobs=20)
# client = Client(cluster)
# Tuner.from_spec(
#     spec, journal=journal, executor=client.get_executor(), n_workers=20, checkpoint_dir=shared
# ).run()
# ```
#
# **Checkpoints.** A trial may go on on another machine than it began, so `checkpoint_dir` must be on a
# file system that all of them see. The journal is written by the one process that decides, on any
# disk.
#
# What does not change: decisions of Hyperband and Swift-Hyperband are the same on two workers and on
# fifty, whatever the order in which they finish; those of Swift-ASHA depend on that order, and its
# budget follows the number of workers. After a crash `hpo resume` goes on from the journal, repeating
# at most the segments that were in flight.
