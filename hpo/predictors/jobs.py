"""Running a prediction job: the only place where a scheduler's question meets a model."""

from __future__ import annotations

from typing import Any

from hpo.predictors.base import CurvePredictor
from hpo.predictors.forecaster import Forecast, Forecaster
from hpo.predictors.pooled import PooledPredictor
from hpo.searchers import LearningSearcher, Observations, Searcher, proposals_of
from hpo.trial import (
    ForecastJob,
    ForecastReport,
    ModelJob,
    ModelReport,
    PredictFailure,
    PredictJob,
    PredictReport,
    Proposal,
)


def run_predict_job(
    job: ModelJob,
    predictor: CurvePredictor | Forecaster,
    searcher: Searcher | None = None,
) -> ModelReport:
    """Fit a predictor on the job's training curves and predict its query curves.

    Parameters
    ----------
    job : PredictJob
        What to predict.
    predictor : CurvePredictor or Forecaster
        With what; a copy with the job's seed is used where it offers ``with_seed``. A forecast
        needs a `Forecaster`; another predictor lends its regressor to a `PooledPredictor` where it
        has one.
    searcher : Searcher, optional
        Proposes new configurations for a forecast, where it learns.

    Returns
    -------
    PredictReport or PredictFailure
        The failure names the exception; none is raised, since a search outlives its predictor.
    """
    try:
        if isinstance(job, ForecastJob):
            return _forecast(job, predictor, searcher)
        return _run(job, predictor)
    except Exception as error:  # noqa: BLE001 - whatever a model or an annealer may raise
        return PredictFailure(job.job_id, f"{type(error).__name__}: {error}")


def _run(job: PredictJob, predictor: CurvePredictor | Forecaster) -> PredictReport:
    if not job.query:
        return PredictReport(job.job_id, (), ())
    model = _seeded(predictor, job.seed)
    if not hasattr(model, "fit"):
        raise TypeError(
            f"{type(predictor).__name__} forecasts whole searches and does not predict in rounds"
        )
    known = min(len(curve.losses) for curve in job.query)
    prediction = model.fit(job.train, known, job.target).predict(job.query)
    return PredictReport(
        job_id=job.job_id,
        predictions=tuple(float(value) for value in prediction.mean),
        stds=tuple(float(value) for value in prediction.std),
        skill=prediction.skill,
        info=prediction.info,
    )


def _forecast(
    job: ForecastJob, predictor: CurvePredictor | Forecaster, searcher: Searcher | None
) -> ForecastReport:
    if not job.curves:
        return ForecastReport(job.job_id, (), ())
    import sklearn
    from threadpoolctl import threadpool_limits

    forecaster = _informed(_seeded(as_forecaster(predictor), job.seed), job, searcher)
    # The matrices are small: several BLAS threads would wait for each other most of the time.
    # scikit-learn need not check the same small arrays again for each of some hundred trees.
    with (
        threadpool_limits(limits=1, user_api="blas"),
        sklearn.config_context(assume_finite=True, skip_parameter_validation=True),
    ):
        forecast = forecaster.forecast(job.curves, job.target)
        proposals = _proposals(job, searcher, forecast)
    return ForecastReport(
        job_id=job.job_id,
        predictions=tuple(float(value) for value in forecast.mean),
        stds=tuple(float(value) for value in forecast.std),
        skill=forecast.skill,
        scale=forecast.scale.to_json(),
        proposals=proposals,
        min_informative_resource=forecast.min_informative_resource,
        warm_start_state=forecast.warm_start_state,
        info=forecast.info,
    )


def _proposals(
    job: ForecastJob, searcher: Searcher | None, forecast: Forecast
) -> tuple[Proposal, ...]:
    if not job.n_proposals or not isinstance(searcher, LearningSearcher):
        return ()
    known = Observations(
        curves=job.curves,
        mean=forecast.mean,
        std=forecast.std,
        max_resource=job.target,
        running=tuple(curve.config for curve in job.running),
        belief=forecast.surrogate,
    )
    return tuple(proposals_of(searcher, known, job.n_proposals, seed=job.seed))


def _informed(forecaster: Any, job: ForecastJob, searcher: Searcher | None) -> Any:
    """Return a forecaster that knows what it left for this job, and how the searcher sees."""
    if job.warm_start_state and hasattr(forecaster, "with_memory"):
        forecaster = forecaster.with_memory(job.warm_start_state)
    candidates = getattr(searcher, "candidates", None)
    if candidates is not None and hasattr(forecaster, "with_encoder"):
        forecaster = forecaster.with_encoder(candidates.features)
    return forecaster


def as_forecaster(predictor: Any) -> Forecaster:
    """Return what forecasts: the predictor itself, or its regressor within a `PooledPredictor`.

    Raises
    ------
    TypeError
        If it can do neither.
    """
    if not hasattr(predictor, "forecast") and hasattr(predictor, "as_forecaster"):
        predictor = predictor.as_forecaster()
    if hasattr(predictor, "forecast"):
        forecaster: Forecaster = predictor
        return forecaster
    raise TypeError(
        f"a forecast needs a predictor with a forecast method, got {type(predictor).__name__}; "
        f"use {PooledPredictor.__name__}, with the regressor of your choice"
    )


def _seeded(predictor: Any, seed: int) -> Any:
    with_seed = getattr(predictor, "with_seed", None)
    return predictor if with_seed is None else with_seed(seed)
