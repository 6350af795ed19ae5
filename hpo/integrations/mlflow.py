"""Tracker for MLflow: a run becomes a parent run with one child run per trial."""

from __future__ import annotations

import re
import time
from typing import Any

from hpo.errors import import_optional
from hpo.integrations.tracking import Tracker, Update
from hpo.run.baseline import HyperbandBaseline
from hpo.run.trial_results import RunSummary
from hpo.text import visible
from hpo.trial import Config, TrialStatus

_STATUS = {
    TrialStatus.STOPPED: "FINISHED",
    TrialStatus.COMPLETED: "FINISHED",
    TrialStatus.FAILED: "FAILED",
}
_TRIAL = "hpo.trial"
_PARENT = "mlflow.parentRunId"
_BATCH = 500
"""Metrics in one request; MLflow takes 1000."""
_MAX_NAME = 250
"""Length of a parameter's name that MLflow takes."""
_MAX_VALUE = 500
"""Length of a value that every server takes."""


class MLflowTracker(Tracker):
    """Tracker that writes a run to MLflow: parameters, metrics, status and reason of each trial.

    The objective has its own name (``loss`` without one) and the trainer's sign.

    Parameters
    ----------
    experiment : str, default="hpo"
        Name of the experiment, created if it does not exist.
    run_name : str or None, default=None
        Name of the parent run.
    tracking_uri : str or None, default=None
        Address of the server. None takes MLflow's setting (``MLFLOW_TRACKING_URI``).
    parent_run_id : str or None, default=None
        Parent run to continue after a resume; its content is not written again.

    Attributes
    ----------
    parent_run_id : str or None, default=None
        Id of the parent run once it has started.

    Raises
    ------
    MissingPackageError
        If MLflow is not installed.

    See Also
    --------
    hpo.integrations.tensorboard.TensorBoardTracker : The same for TensorBoard.
    hpo.integrations.tracking.track : Writes a run that is over.

    Examples
    --------
    >>> from hpo import Tuner
    >>> from hpo.integrations.mlflow import MLflowTracker
    >>> tracker = MLflowTracker("digits")  # doctest: +SKIP
    >>> results = Tuner(train, scheduler, progress=tracker).run()  # doctest: +SKIP
    """

    def __init__(
        self,
        experiment: str = "hpo",
        *,
        run_name: str | None = None,
        tracking_uri: str | None = None,
        parent_run_id: str | None = None,
    ) -> None:
        super().__init__()
        self._mlflow = import_optional("mlflow", "MLflowTracker", "mlflow")
        self._experiment, self._run_name, self._uri = experiment, run_name, tracking_uri
        self._client: Any = None
        self._experiment_id = ""
        self._children: dict[int, str] = {}
        self.parent_run_id = parent_run_id

    def _open(self) -> None:
        self._client = self._mlflow.MlflowClient(self._uri)
        found = self._client.get_experiment_by_name(self._experiment)
        self._experiment_id = (
            self._client.create_experiment(self._experiment)
            if found is None
            else found.experiment_id
        )
        if self.parent_run_id is None:
            tags = {"hpo": "search"}
            run = self._client.create_run(self._experiment_id, tags=tags, run_name=self._run_name)
            self.parent_run_id = run.info.run_id
        else:
            self._client.update_run(self.parent_run_id, status="RUNNING")
            self._find_children()

    def _find_children(self) -> None:
        """Find the child runs that an earlier process has written."""
        token: str | None = None
        while token != "":
            page = self._client.search_runs(
                [self._experiment_id],
                f"tags.`{_PARENT}` = '{self.parent_run_id}'",
                page_token=token,
            )
            for run in page:
                number = int(run.data.tags[_TRIAL])
                self._children[number] = run.info.run_id
                histories = [
                    self._client.get_metric_history(run.info.run_id, name)
                    for name in run.data.metrics
                ]
                units = max((metric.step for each in histories for metric in each), default=0)
                self._written[number] = (units, run.info.status != "RUNNING")
            token = page.token or ""

    def _write(self, update: Update) -> None:
        trial = update.trial
        if trial.trial_id not in self._children:
            self._children[trial.trial_id] = self._new_child(update)
        child = self._children[trial.trial_id]
        now = int(time.time() * 1000)
        metric = self._mlflow.entities.Metric
        metrics = [
            metric(_named(name), value, now, step)
            for name, values in update.curves.items()
            for step, value in enumerate(values, update.start + 1)
        ]
        for first in range(0, len(metrics), _BATCH):
            self._client.log_batch(child, metrics=metrics[first : first + _BATCH])
        if update.over:
            for name in ("status", "reason", "rung"):
                text = visible(getattr(trial, name))[:_MAX_VALUE]
                self._client.set_tag(child, f"hpo.{name}", text)
            self._client.set_terminated(child, _STATUS[trial.status])

    def _new_child(self, update: Update) -> str:
        trial = update.trial
        tags = {_PARENT: self.parent_run_id, _TRIAL: str(trial.trial_id)}
        tags["hpo.bracket"] = str(trial.bracket)
        name = f"trial {trial.trial_id}"
        run = self._client.create_run(self._experiment_id, tags=tags, run_name=name)
        param = self._mlflow.entities.Param
        params = [param(key, value) for key, value in _params(trial.config).items()]
        self._client.log_batch(run.info.run_id, params=params)
        return str(run.info.run_id)

    def _write_summary(self, summary: RunSummary, baseline: HyperbandBaseline | None) -> None:
        now, values = int(time.time() * 1000), {"epochs": float(summary.epochs)}
        if summary.best is not None:
            values[_named(f"best_{summary.objective.title}")] = summary.best.value
        if baseline is not None:
            values["epochs_saved"] = float(baseline.saved(summary.trials))
        metric = self._mlflow.entities.Metric
        metrics = [metric(name, value, now, summary.epochs) for name, value in values.items()]
        self._client.log_batch(self.parent_run_id, metrics=metrics)
        if summary.best is not None:
            self._client.set_tag(self.parent_run_id, "hpo.best", str(summary.best.trial_id))

    def _close(self, *, failed: bool) -> None:
        self._client.set_terminated(self.parent_run_id, "KILLED" if failed else "FINISHED")


def _named(name: str) -> str:
    """Return a name as MLflow takes it: of letters and a few signs, and no path."""
    name = re.sub(r"[^\w .:/-]", "_", str(name), flags=re.ASCII)[:_MAX_NAME]
    if not name.strip(" ./") or name.startswith(("/", "..")) or "//" in name or "/." in name:
        name = f"_{name.replace('/', '_')}"[:_MAX_NAME]  # no path within the server's folder
    return name


def _params(config: Config) -> dict[str, str]:
    """Return a configuration as MLflow takes it: names of letters and a few signs, short values.

    Names that become equal are numbered: MLflow refuses a second value of a parameter.
    """
    params: dict[str, str] = {}
    for key, value in config.items():
        name = _named(key)
        stem, number = name[: _MAX_NAME - 8], 2
        while name in params:
            name, number = f"{stem} ({number})".replace("(", "_").replace(")", "_"), number + 1
        params[name] = visible(value)[:_MAX_VALUE]
    return params
