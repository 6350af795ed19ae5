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
# # Run a search on several workers and read its journal
#
# A search of `hpo` trains networks in worker processes. A *predictor*, here `QSVR` on an annealer,
# forecasts learning curves at the same time. Each decision is written to a file, the *journal*, before it
# takes effect, so that a search can be resumed after a crash.
#
# - **You will learn** to start such a search from Python, to see from its journal which worker did what,
#   and what to change for a cluster.
# - **For** readers who tune models that take longer to train than one machine allows.
# - **Time:** 10 minutes to read, about a minute to run on two cores.
# - **Baseline:** the epochs that plain Hyperband would spend on the same search.
#
# The first search is Swift-Hyperband, the form of the papers. The second one is Swift-ASHA, the default of
# `hpo run`.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

from hpo import Results, RunSpec, SearchSpace, Tuner
from hpo.report.plots import plot_curves
from hpo.run.journal import read_journal
from qsvr import QSVR

plt.rcParams.update({
    "figure.dpi": 100, "font.size": 12, "axes.titlesize": 12, "axes.titlelocation": "left",
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False,
    "legend.loc": "upper right",  # "best" is slow among many curves
})  # fmt: skip
EXAMPLES = next(
    folder / "examples" for folder in (Path.cwd(), *Path.cwd().parents)
    if (folder / "examples" / "digits_numpy.py").exists()
)  # fmt: skip

# %% [markdown]
# ## The trainer
#
# A *trainer* is an object with a method `train(config, start, stop, checkpoint)`, which trains one
# configuration from one epoch to another. Workers import it by its name, `FILE.py:name`, so it has to be
# in a file. This one trains a network of two layers on handwritten digits.

# %%
source = (EXAMPLES / "digits_numpy.py").read_text()
print(source[source.index("def train(") : source.index('    """Train from')] + "    ...")

# %% [markdown]
# ## The run
#
# A `RunSpec` describes a search by plain values. It is the first line of the journal, so that
# `hpo resume JOURNAL` needs nothing else. The predictor is `QSVR` by simulated annealing. With
# `predictor_options={"sampler": "qpu"}` its problems would go to D-Wave: six for each decision, of which
# five are for the cross-validated skill. `"folds": 0` saves these five.

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
QSVR().fit([[0.0], [1.0]], [0.0, 1.0])  # loads the compiled annealer before the search starts
folder = tempfile.TemporaryDirectory()
journal = Path(folder.name) / "digits.jsonl"
results = Tuner.from_spec(spec, journal=journal).run()



def summarise(results):
    """Print what a search spent and found."""
    print(f"{len(results.trials)} trials, {results.epochs} epochs", end=", ")
    print(f"plain Hyperband: {results.baseline.epochs} epochs")
    print(f"utilisation of the workers {results.utilisation:.0%}")
    print(f"best validation loss {results.best.last_loss:.3f} with")
    for name, value in results.best.config.items():
        print(f"    {name} = {value:.4g}")


summarise(results)

# %% [markdown]
# ## Which worker did what, and when
#
# *Utilisation* is the share of the workers' time that was spent training. The timeline shows it in
# detail. Each bar is a *segment*: a worker trains one trial from one epoch to another. The colour is the
# *bracket* of the trial, that is, the series of rungs of Hyperband to which it belongs. The black bars in
# the top row are predictions, which need no worker.

# %% mystnb={"image": {"alt": "Timeline of two workers: bars of segments of training, coloured by bracket, with the predictions in a row above."}}
PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"]  # Okabe and Ito


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


def draw(journal):
    """Draw the timeline of a search; the colour is the bracket."""
    bars, predictions = timeline(journal)
    _, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
    for lane, start, end, bracket in bars:
        ax.barh(
            lane, end - start, left=start, height=0.8, color=PALETTE[bracket % 6], ec="white", lw=0.5
        )
    for start, end in predictions:
        ax.barh(2, max(end - start, 0.01), left=start, height=0.5, color="k")
    brackets = sorted({bar[3] for bar in bars})
    if len(brackets) > 1:
        for bracket in brackets:
            ax.barh(0, 0, color=PALETTE[bracket % 6], label=f"bracket {bracket}")
        ax.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1))
    first = min(bar[1] for bar in bars)
    last = max(bar[2] for bar in bars)
    ax.set(
        yticks=(0, 1, 2), yticklabels=("worker 1", "worker 2", "predictions"), xlim=(first, last),
        xlabel="time since the first decision [s]",
    )  # fmt: skip
    plt.show()


draw(journal)

# %% [markdown]
# The workers continue to train while predictions are computed, and the next bracket starts before the one
# before has ended. With a quantum annealer, a prediction would include the time in its queue.
#
# ## The learning curves

# %% mystnb={"image": {"alt": "Learning curves of all trials, coloured by what became of each trial."}}
figure, ax = plt.subplots(figsize=(7, 4.8), layout="constrained")
plot_curves(Results.from_journal(journal), ax, title="Swift-Hyperband with QSVR on digits")
plt.show()

# %% [markdown]
# ## The same search by Swift-ASHA
#
# *Swift-ASHA* has no brackets. A free worker immediately gets a job, chosen from the latest forecast of
# final losses, and new forecasts are computed while the workers train. A `RunSpec` without a scheduler
# uses Swift-ASHA. Its searcher proposes configurations from the same forecasts.

# %% mystnb={"image": {"alt": "Timeline of two workers under Swift-ASHA, with forecasts in the row above."}}
spec_asha = RunSpec(trainer=spec.trainer, space=spec.space, max_resource=16, n_workers=2, seed=0)
journal_asha = Path(folder.name) / "digits-swift-asha.jsonl"
results_asha = Tuner.from_spec(spec_asha, journal=journal_asha).run()
summarise(results_asha)
draw(journal_asha)
folder.cleanup()

# %% [markdown]
# The gaps have one cause: here an epoch takes milliseconds and a forecast tenths of a second, so that
# workers finish all proposed jobs before the next forecast is ready. If an epoch takes a second or more,
# the gaps are negligible.
#
# ## On a cluster
#
# Two things change: where the workers run, and where the checkpoints are.
#
# **Workers.** `executor=` takes any `concurrent.futures.Executor`, or a function that creates one, so
# that a broken executor can be replaced. For example, with Dask on Slurm:
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
# **Checkpoints.** A trial may continue on another machine than the one on which it started. Therefore
# `checkpoint_dir` has to be on a file system that all machines share. Only the process that decides
# writes the journal, so that the journal can be on any disk.
#
# The decisions of Hyperband and Swift-Hyperband do not depend on the number of workers or on the order in
# which they finish. Those of Swift-ASHA depend on the order, and its budget depends on the number of
# workers. After a crash, `hpo resume` continues from the journal. It repeats at most the segments that
# were running.
#
# [A first search on Slurm](../docs/start/slurm.md) has a complete example, and
# [Executors](../docs/guide/executors.md) lists all ways to run workers.
