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
import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

from hpo import RunSpec, SearchSpace, Tuner
from hpo.report.plots import plot_best, plot_curves, plot_timeline
from qsvr import QSVR

R = 4 if os.environ.get("NOTEBOOK_QUICK") else 16  # maximum epochs of a trial; fewer in the tests
EXAMPLES = next(
    folder / "examples" for folder in (Path.cwd(), *Path.cwd().parents)
    if (folder / "examples" / "digits_numpy.py").exists()
)  # fmt: skip

# %% tags=["hide-input"]
# Style of the figures: their colours are those of Okabe and Ito.
plt.rcParams.update({
    "figure.dpi": 100, "font.size": 12, "legend.frameon": False,
    "axes.titlesize": 12, "axes.titlelocation": "left",
    "axes.spines.top": False, "axes.spines.right": False,
    "axes.prop_cycle": plt.cycler(
        color=["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"]
    ),
})  # fmt: skip

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
    max_resource=R,
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
# *Utilisation* is the share of the workers' time that was spent training. `plot_timeline` shows what each
# worker did and when, as the journal recorded it. Each bar is a *segment*: a worker trains one trial from
# one epoch to another. The colour shows what became of the trial. The last row has the predictions, which
# need no worker. `hpo report JOURNAL --html FILE` writes a page with the same timeline and many other
# figures.

# %% mystnb={"image": {"alt": "Timeline of two workers: bars of segments of training, coloured by what became of the trial, with the predictions in a row below."}}
figure, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
plot_timeline(results, ax)
plt.show()

# %% [markdown]
# The workers continue to train while predictions are computed. The next *bracket*, or series of rungs of
# Hyperband, starts before the one before has ended, so that no worker waits for the last trials of a
# bracket. With a quantum annealer, a prediction would include the time in its queue.
#
# ## The learning curves

# %% mystnb={"image": {"alt": "Learning curves of all trials, coloured by what became of each trial."}}
figure, ax = plt.subplots(figsize=(7, 4.8), layout="constrained")
plot_curves(results, ax, title="Swift-Hyperband with QSVR on digits")
plt.show()

# %% [markdown]
# ## The same search by Swift-ASHA
#
# *Swift-ASHA* has no brackets. A free worker immediately gets a job, chosen from the latest forecast of
# final losses, and new forecasts are computed while the workers train. A `RunSpec` without a scheduler
# uses Swift-ASHA. Its searcher proposes configurations from the same forecasts.

# %% mystnb={"image": {"alt": "Timeline of two workers under Swift-ASHA, with forecasts in the row below."}}
spec_asha = RunSpec(trainer=spec.trainer, space=spec.space, max_resource=R, n_workers=2, seed=0)
journal_asha = Path(folder.name) / "digits-swift-asha.jsonl"
results_asha = Tuner.from_spec(spec_asha, journal=journal_asha).run()
summarise(results_asha)
figure, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
plot_timeline(results_asha, ax)
plt.show()

# %% [markdown]
# The long gaps occur because an epoch takes milliseconds here and a forecast tenths of a second: the
# workers finish all proposed jobs before the next forecast is ready. The short gaps are the time between a
# report and the next job. If an epoch takes a second or more, both are negligible.
#
# The last figure compares the two searches. Before the first trial is trained to the end, it shows the best
# loss of any trial, and then the best final loss.

# %% mystnb={"image": {"alt": "Best loss so far against the epochs spent, for Swift-Hyperband and Swift-ASHA. Swift-ASHA ends earlier at nearly the same loss."}}
figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
plot_best({"Swift-Hyperband": results, "Swift-ASHA": results_asha}, ax)
plt.show()
folder.cleanup()

# %% [markdown]
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
