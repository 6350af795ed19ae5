"""Answers prediction jobs: the only place where a scheduler's job meets a model."""

from __future__ import annotations

import copy
from dataclasses import asdict
from typing import Any

from hpo.predictors.base import CurvePredictor, PredictionContext
from hpo.predictors.forecaster import Forecaster
from hpo.searchers import CurveSearcher, LearningSearcher, Searcher, proposals_of, without_initial
from hpo.surrogates import Observations
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
    """Answer a prediction or forecast job.

    Parameters
    ----------
    job : PredictJob or ForecastJob
    predictor : CurvePredictor or Forecaster
        A copy of it is fitted for a `PredictJob`. A `ForecastJob` needs a `Forecaster`, or a
        predictor that `as_forecaster` converts.
    searcher : Searcher, default=None
        Proposes new configurations with a forecast if it is a `LearningSearcher`.

    Returns
    -------
    PredictReport, ForecastReport or PredictFailure
        A failure names the exception; none is raised, since a search goes on without its predictor.
    """
    searcher = without_initial(searcher)
    try:
        if isinstance(job, ForecastJob):
            return _forecast(job, predictor, searcher)
        return _predict(job, predictor, searcher)
    except Exception as error:  # noqa: BLE001 - whatever a model or an annealer may raise
        return PredictFailure(job.job_id, f"{type(error).__name__}: {error}")


def _predict(
    job: PredictJob, predictor: CurvePredictor | Forecaster, searcher: Searcher | None
) -> PredictReport:
    if not job.query:
        return PredictReport(job.job_id, (), ())
    model: Any = copy.copy(predictor)  # several jobs may be answered at a time
    if not hasattr(model, "fit"):
        raise TypeError(
            f"{type(predictor).__name__} forecasts whole searches and does not predict in rounds"
        )
    known = min(len(curve.losses) for curve in job.query)
    context = PredictionContext(seed=job.seed, space=getattr(searcher, "space", None))
    prediction = model.fit(job.train, known, job.target, context).predict(job.query)
    return PredictReport(
        job_id=job.job_id,
        predictions=tuple(map(float, prediction.mean)),
        stds=tuple(map(float, prediction.std)),
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

    context = PredictionContext(
        seed=job.seed,
        encoder=searcher.candidates.features if isinstance(searcher, CurveSearcher) else None,
        space=getattr(searcher, "space", None),
        warm_start_state=job.warm_start_state,
    )
    forecaster = as_forecaster(predictor)
    # The matrices are small: several BLAS threads would wait for each other most of the time.
    # scikit-learn need not check the same small arrays again for each of some hundred trees.
    with (
        threadpool_limits(limits=1, user_api="blas"),
        sklearn.config_context(assume_finite=True, skip_parameter_validation=True),
    ):
        forecast = forecaster.forecast(job.curves, job.target, context)
        proposals: list[Proposal] = []
        if job.n_proposals and isinstance(searcher, LearningSearcher):
            observations = Observations(
                curves=job.curves,
                mean=forecast.mean,
                std=forecast.std,
                max_resource=job.target,
                running=tuple(curve.config for curve in job.running),
                surrogate=forecast.surrogate,
            )
            proposals = proposals_of(searcher, observations, job.n_proposals, seed=job.seed)
    return ForecastReport(
        job_id=job.job_id,
        predictions=tuple(map(float, forecast.mean)),
        stds=tuple(map(float, forecast.std)),
        skill=forecast.skill,
        scale=asdict(forecast.scale),
        proposals=tuple(proposals),
        min_informative_resource=forecast.min_informative_resource,
        warm_start_state=forecast.warm_start_state,
        info=forecast.info,
    )


def as_forecaster(predictor: Any) -> Forecaster:
    """Return a forecaster: the predictor itself, or a `PooledPredictor` with its regressor.

    Parameters
    ----------
    predictor : object
        A `Forecaster`, or an object with a method ``as_forecaster()``.

    Raises
    ------
    TypeError
        If it is neither.
    """
    if not hasattr(predictor, "forecast") and hasattr(predictor, "as_forecaster"):
        predictor = predictor.as_forecaster()
    if not hasattr(predictor, "forecast"):
        raise TypeError(
            f"a forecast needs a predictor with a forecast method, got {type(predictor).__name__}; "
            "use PooledPredictor, with the regressor of your choice"
        )
    return predictor  # type: ignore[no-any-return]
