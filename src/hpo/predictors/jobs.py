"""Running a prediction job: the only place where a scheduler's question meets a model."""

from __future__ import annotations

from hpo.predictors.base import CurvePredictor
from hpo.trial import PredictFailure, PredictJob, PredictReport


def run_predict_job(job: PredictJob, predictor: CurvePredictor) -> PredictReport | PredictFailure:
    """Fit a predictor on the job's training curves and predict its query curves.

    Parameters
    ----------
    job : PredictJob
        What to predict.
    predictor : CurvePredictor
        With what; a copy with the job's seed is used where it offers ``with_seed``.

    Returns
    -------
    PredictReport or PredictFailure
        The failure names the exception; none is raised, since a search outlives its predictor.
    """
    try:
        return _run(job, predictor)
    except Exception as error:  # noqa: BLE001 - whatever a model or an annealer may raise
        return PredictFailure(job.job_id, f"{type(error).__name__}: {error}")


def _run(job: PredictJob, predictor: CurvePredictor) -> PredictReport:
    if not job.query:
        return PredictReport(job.job_id, (), (), None, {})
    with_seed = getattr(predictor, "with_seed", None)
    model = predictor if with_seed is None else with_seed(job.seed)
    known = min(len(curve.losses) for curve in job.query)
    prediction = model.fit(job.train, known, job.target).predict(job.query)
    return PredictReport(
        job_id=job.job_id,
        predictions=tuple(float(value) for value in prediction.mean),
        stds=tuple(float(value) for value in prediction.std),
        skill=prediction.skill,
        info=prediction.info,
    )
