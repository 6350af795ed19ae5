"""Optuna's samplers as a searcher: TPE, or any other.

Losses after few and after many units cannot be compared. As in BOHB, the model is fitted to the
losses at the longest resource that enough trials have reached. Shorter trials are passed on as
pruned: TPE ranks them behind, a Gaussian process leaves them out.

A sampler receives complete points, also of a space with conditions (`to_search`). With Optuna's
own parameter-by-parameter interface a Gaussian process would draw all conditional hyperparameters
at random.

>>> from hpo import SearchSpace
>>> from hpo.trial import Curve
>>> space = SearchSpace.from_dict({"x": {"type": "float", "low": 0.0, "high": 1.0}})
>>> searcher = OptunaSearcher(space, "tpe", seed=0)
>>> configs = [searcher.propose(trial) for trial in range(30)]
>>> curves = [Curve(t, c, ((c["x"] - 0.3) ** 2,)) for t, c in enumerate(configs)]
>>> found = [config["x"] for config in searcher.suggest(curves, 20, max_resource=1, seed=1)]
>>> 0.2 < sorted(found)[10] < 0.4
True
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hpo.errors import import_optional
from hpo.searchers.base import check_count
from hpo.searchers.distinct import DistinctDraws, untried
from hpo.searchers.grid_random import RandomSearcher
from hpo.space.domains import Categorical, Constant, Domain, Float, Int, Scipy
from hpo.space.search_space import SearchSpace
from hpo.space.values import Scalar, equal, key_of, plain_value
from hpo.trial import Config, Curve


def search_distributions(space: SearchSpace) -> dict[str, Any]:
    """Return the distributions that a sampler searches.

    Constants are left out. A scipy distribution is searched by its quantile, so that a sampler
    without a model draws from that distribution.
    """
    domains = space.domains.items()
    return {name: _distribution(d) for name, d in domains if not isinstance(d, Constant)}


def _distribution(domain: Domain) -> Any:
    distributions = import_optional(
        "optuna", "a search by Optuna's samplers", "optuna"
    ).distributions
    match domain:
        case Float(low, high, log, step):
            return distributions.FloatDistribution(low, high, log=log, step=step)
        case Int(low, _, log, step):  # Optuna wants the last value that the steps reach
            high = low + step * (domain.size - 1)
            return distributions.IntDistribution(low, high, log=log, step=step)
        case Categorical():
            return distributions.CategoricalDistribution(choice_names(domain))
        case Scipy():
            return distributions.FloatDistribution(0.0, 1.0)
    raise ValueError(
        f"{type(domain).__name__} has no counterpart in Optuna; use float, int or categorical"
    )


def choice_names(domain: Categorical) -> tuple[Scalar, ...]:
    """Return what Optuna, which has no tuples, calls the choices: a tuple by its text."""
    names = tuple(str(c) if isinstance(c, tuple) else c for c in domain.choices)
    if len(set(map(key_of, names))) == len(names):
        return names
    # A text among the choices is that of a tuple.
    return tuple(f"{place}: {choice}" for place, choice in enumerate(domain.choices))


def to_search(space: SearchSpace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a configuration to a sampler's values, without constants.

    Values outside a range by rounding are clipped to it. An absent hyperparameter gets a middle
    value, so that every sampler, also one without conditions, receives complete points.
    """
    present = set(space.present(config))
    params: dict[str, Any] = {}
    for name, domain in space.domains.items():
        match domain:
            case Constant():
                continue
            case Scipy():
                params[name] = domain.features(config[name])[0] if name in present else 0.5
            case _ if name not in present:
                params[name] = searched_value(domain, domain.grid(1)[0])
            case Float():
                params[name] = min(max(float(config[name]), domain.low), domain.high)
            case _:
                params[name] = searched_value(domain, config[name])
    return params


def searched_value(domain: Domain, value: Any) -> Any:
    """Return what Optuna calls a value: a tuple among choices by its name, others as they are."""
    if not isinstance(domain, Categorical) or not isinstance(plain_value(value), tuple):
        return value
    names = zip(domain.choices, choice_names(domain), strict=True)
    return next(name for choice, name in names if equal(choice, value))


def from_search(space: SearchSpace, params: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a sampler's values to a configuration, without absent hyperparameters."""
    values: dict[str, Any] = {}
    for name, domain in space.domains.items():
        match domain:
            case Constant(value):
                values[name] = value
            case Scipy():
                values[name] = domain.quantile(params[name])
            case Categorical() if any(isinstance(choice, tuple) for choice in domain.choices):
                pairs = zip(domain.choices, choice_names(domain), strict=True)
                values[name] = next(c for c, text in pairs if equal(text, params[name]))
            case _:
                values[name] = params[name]
    return space.without_absent(values)


def _tpe(seed: int) -> Any:
    samplers = import_optional("optuna", "the sampler 'tpe'", "optuna").samplers
    return samplers.TPESampler(seed=seed, n_startup_trials=0, multivariate=True, constant_liar=True)


def _random(seed: int) -> Any:
    return import_optional("optuna", "the sampler 'random'", "optuna").samplers.RandomSampler(
        seed=seed
    )


SAMPLERS: Mapping[str, Callable[[int], Any]] = {"tpe": _tpe, "random": _random}
"""Samplers by name, built from a seed."""
_MORE_ASKS = 10
"""A sampler is asked for at most so many configurations more than twice the number needed."""


class OptunaSearcher:
    """Proposes at random first, then by one of Optuna's samplers (see `LearningSearcher`).

    Parameters
    ----------
    space : SearchSpace
    sampler : str or callable
        ``"tpe"`` (tree-structured Parzen estimator), ``"random"``, or a function that takes a seed
        and returns an `optuna.samplers.BaseSampler`. Each forecast asks it for 24 configurations,
        which takes Optuna's `GPSampler` 10 s.
    seed : int
        Seed of the random proposals; not negative.
    min_observations : int or None
        Minimum number of trials at a resource for a model to be fitted to their losses. None: two
        more than there are hyperparameters, and at least 8.
    allow_duplicates : bool
        Whether a configuration that was tried may be tried again, for a trainer with noise.

    Raises
    ------
    ValueError
        If the sampler is unknown, `min_observations` is no integer or below 2, or a domain is
        unknown to Optuna.
    ImportError
        If Optuna is not installed.

    References
    ----------
    Falkner, Klein and Hutter, BOHB: Robust and Efficient Hyperparameter Optimization at Scale,
    ICML 2018, :arxiv:`1807.01774` (the resource that the model is fitted at).
    """

    def __init__(
        self,
        space: SearchSpace,
        sampler: str | Callable[[int], Any] = "tpe",
        seed: int = 0,
        *,
        min_observations: int | None = None,
        allow_duplicates: bool = False,
    ) -> None:
        if isinstance(sampler, str) and sampler not in SAMPLERS:
            raise ValueError(
                f"sampler must be one of {', '.join(SAMPLERS)} or a function, got {sampler!r}"
            )
        if min_observations is not None:
            check_count("min_observations", min_observations, 2)
        self.space = space
        self.sampler = sampler
        self.seed = seed
        self.min_observations = min_observations or max(8, len(space.domains) + 2)
        self.allow_duplicates = allow_duplicates
        search_distributions(space)  # raises for a domain or a missing package
        self._random = RandomSearcher(space, seed, allow_duplicates=allow_duplicates)
        self._sampler(seed)

    def propose(self, trial_id: int) -> Config | None:
        """Return a random configuration for trial `trial_id`, None if the space has no more."""
        return self._random.propose(trial_id)

    def suggest(
        self, curves: Sequence[Curve], n: int, *, max_resource: int, seed: int
    ) -> list[Config]:
        """Return `n` new configurations; NaN and infinite losses count as worst."""
        distributions = search_distributions(self.space)
        resource = observed_resource(curves, self.min_observations, max_resource)
        sampler = _random(seed) if resource is None else self._sampler(seed)
        optuna = import_optional("optuna", "OptunaSearcher", "optuna")
        with _quiet("optuna.storages._in_memory"):
            study = optuna.create_study(sampler=sampler)
        if resource is not None:
            self._add_trials(study, curves, resource, distributions)
        # Trials that were asked for count as running: samplers avoid them (constant liar).
        asks = (study.ask(fixed_distributions=distributions) for _ in itertools.count())
        suggested = (from_search(self.space, trial.params) for trial in asks)
        if self.allow_duplicates:
            return list(itertools.islice(suggested, n))
        # Where the sampler keeps to what was tried, the rest of the space is drawn at random.
        found = itertools.chain(
            itertools.islice(suggested, 2 * n + _MORE_ASKS), DistinctDraws(self.space, seed)
        )
        tried = (curve.config for curve in curves)
        return list(itertools.islice(untried(found, tried), n))

    def _sampler(self, seed: int) -> Any:
        return SAMPLERS[self.sampler](seed) if isinstance(self.sampler, str) else self.sampler(seed)

    def _add_trials(
        self,
        study: Any,
        curves: Sequence[Curve],
        resource: int,
        distributions: dict[str, Any],
    ) -> None:
        """Add the curves to a study: long ones as complete trials, others as pruned."""
        optuna = import_optional("optuna", "OptunaSearcher", "optuna")
        finite = [loss for curve in curves for loss in curve.losses if math.isfinite(loss)]
        worst = max(finite)
        for curve in (curve for curve in curves if curve.losses):
            losses = [loss if math.isfinite(loss) else worst for loss in curve.losses]
            long = len(losses) >= resource
            state = optuna.trial.TrialState.COMPLETE if long else optuna.trial.TrialState.PRUNED
            trial = optuna.trial.create_trial(
                state=state,
                params=to_search(self.space, curve.config),
                distributions=distributions,
                value=losses[resource - 1] if long else losses[-1],
                intermediate_values={len(losses): losses[-1]} if not long else {},
            )
            study.add_trial(trial)


def observed_resource(curves: Sequence[Curve], least: int, max_resource: int) -> int | None:
    """Return the longest resource that at least `least` trials have reached, None for none.

    Curves without a finite loss do not count.
    """
    known = (c for c in curves if any(map(math.isfinite, c.losses)))
    lengths = sorted((min(len(c.losses), max_resource) for c in known), reverse=True)
    return lengths[least - 1] if len(lengths) >= least else None


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Silence a logger about a study that exists within one call only."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
