"""Optuna's samplers as a searcher: TPE, a Gaussian process, or any other.

Curves are of different lengths, and losses after few and after many units are no equals. As BOHB
does, the model looks at the longest training that enough trials have reached; what is shorter is
told as pruned, which TPE ranks behind and a Gaussian process leaves out.

A sampler sees whole points of a space with conditions (`hpo.searchers.optuna.to_search`): by
Optuna's own way, parameter by parameter, a Gaussian process would draw all that has a condition at
random.

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
import importlib.util
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hpo.errors import import_optional
from hpo.searchers.grid_random import RandomSearcher
from hpo.space.domains import Categorical, Constant, Domain, Float, Int, Scipy
from hpo.space.search_space import SearchSpace
from hpo.trial import Config, Curve


def search_distributions(space: SearchSpace) -> dict[str, Any]:
    """Return the distributions that a sampler searches.

    Constants are left out. A scipy distribution is searched by its quantile, so that a sampler
    without a model draws from that very distribution.
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
        case Int(low, high, log):
            return distributions.IntDistribution(low, high, log=log)
        case Categorical(choices):
            return distributions.CategoricalDistribution(choices)
        case Scipy():
            return distributions.FloatDistribution(0.0, 1.0)
    raise ValueError(
        f"{type(domain).__name__} has no counterpart in Optuna; use float, int or categorical"
    )


def to_search(space: SearchSpace, config: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a configuration into the values that a sampler sees; constants are left out.

    Values beyond a range by rounding are put back into it. What is absent by its condition gets a
    middle value, so that every sampler, also one that knows no conditions, sees whole points.
    """
    there = set(space.present(config))
    return {
        name: _inward(domain, config[name]) if name in there else _middle(domain)
        for name, domain in space.domains.items()
        if not isinstance(domain, Constant)
    }


def _inward(domain: Domain, value: Any) -> Any:
    match domain:
        case Scipy():
            return domain.features(value)[0]
        case Float():
            return min(max(float(value), domain.low), domain.high)
    return value


def _middle(domain: Domain) -> Any:
    return 0.5 if isinstance(domain, Scipy) else domain.grid(1)[0]


def from_search(space: SearchSpace, params: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a sampler's values into a configuration, without what is absent by its condition."""
    domains = space.domains.items()
    return space.without_absent({n: _outward(domain, params.get(n)) for n, domain in domains})


def _outward(domain: Domain, value: Any) -> Any:
    match domain:
        case Constant():
            return domain.value
        case Scipy():
            return domain.quantile(value)
    return value


def _tpe(seed: int) -> Any:
    samplers = import_optional("optuna", "the sampler 'tpe'", "optuna").samplers
    return samplers.TPESampler(seed=seed, n_startup_trials=0, multivariate=True, constant_liar=True)


def _gp(seed: int) -> Any:
    samplers = import_optional("optuna", "the sampler 'gp'", "optuna").samplers
    if importlib.util.find_spec("torch") is None:  # not imported: that takes seconds
        import_optional("torch", "the sampler 'gp'", "torch")
    return samplers.GPSampler(seed=seed, n_startup_trials=0)


def _random(seed: int) -> Any:
    return import_optional("optuna", "the sampler 'random'", "optuna").samplers.RandomSampler(
        seed=seed
    )


SAMPLERS: Mapping[str, Callable[[int], Any]] = {"tpe": _tpe, "gp": _gp, "random": _random}
"""Samplers by name: the function takes a seed."""


class OptunaSearcher:
    """Proposes at random until it knows something, then as one of Optuna's samplers suggests.

    Parameters
    ----------
    space : SearchSpace
        What to search.
    sampler : str or callable
        ``"tpe"`` (tree-structured Parzen estimator), ``"gp"`` (Gaussian process, needs PyTorch),
        ``"random"``, or a function that takes a seed and returns an `optuna.samplers.BaseSampler`.
    seed : int
        Of the random proposals.
    min_observations : int or None
        Trials that must have been trained to a length before a model looks at it. None: two more
        than there are hyperparameters, and 8 at least.

    Raises
    ------
    ValueError
        If the sampler is unknown, `min_observations` below 2 or a domain unknown to Optuna.
    ImportError
        If Optuna, or PyTorch for ``"gp"``, is not installed.

    References
    ----------
    Falkner, Klein and Hutter, BOHB: Robust and Efficient Hyperparameter Optimization at Scale,
    ICML 2018 (which length of training the model looks at).
    """

    def __init__(
        self,
        space: SearchSpace,
        sampler: str | Callable[[int], Any] = "tpe",
        seed: int = 0,
        *,
        min_observations: int | None = None,
    ) -> None:
        if isinstance(sampler, str) and sampler not in SAMPLERS:
            raise ValueError(
                f"sampler must be one of {', '.join(SAMPLERS)} or a function, got {sampler!r}"
            )
        if min_observations is not None and min_observations < 2:
            raise ValueError(f"min_observations must be at least 2 or None, got {min_observations}")
        self.space = space
        self.sampler = sampler
        self.seed = seed
        self.min_observations = min_observations or max(8, len(space.domains) + 2)
        self._random = RandomSearcher(space, seed)
        search_distributions(space)  # complain about a domain or a missing package now
        self._sampler(seed)

    def propose(self, trial_id: int) -> Config:
        """Return a random configuration for trial `trial_id`."""
        return self._random.propose(trial_id)

    def suggest(
        self, curves: Sequence[Curve], n: int, *, max_resource: int, seed: int
    ) -> list[Config]:
        """Return `n` new configurations, deterministic in what it is given.

        Parameters
        ----------
        curves : sequence of Curve
            Of all trials so far, of different lengths; NaN and infinity count as worst.
        n : int
            How many.
        max_resource : int
            Units that a trial is trained at most; later losses are not looked at.
        seed : int
            Of all random choices.
        """
        distributions = search_distributions(self.space)
        resource = observed_resource(curves, self.min_observations, max_resource)
        sampler = _random(seed) if resource is None else self._sampler(seed)
        study = _study(sampler)
        if resource is not None:
            self._teach(study, curves, resource, distributions)
        # Trials that were asked for are running: samplers keep away from them (constant liar).
        asked = [study.ask(fixed_distributions=distributions) for _ in range(n)]
        return [from_search(self.space, trial.params) for trial in asked]

    def _sampler(self, seed: int) -> Any:
        return SAMPLERS[self.sampler](seed) if isinstance(self.sampler, str) else self.sampler(seed)

    def _teach(
        self,
        study: Any,
        curves: Sequence[Curve],
        resource: int,
        distributions: dict[str, Any],
    ) -> None:
        """Add the curves to a study, those that are long enough as complete trials."""
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
    """Return the longest training that at least `least` trials have reached, None for none.

    Curves whose losses are all infinite or NaN do not count.
    """
    known = (c for c in curves if any(map(math.isfinite, c.losses)))
    lengths = sorted((min(len(c.losses), max_resource) for c in known), reverse=True)
    return lengths[least - 1] if len(lengths) >= least else None


def _study(sampler: Any) -> Any:
    optuna = import_optional("optuna", "OptunaSearcher", "optuna")
    with _quiet("optuna.storages._in_memory"):
        return optuna.create_study(sampler=sampler)


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep a logger from telling of a study that exists within one call only."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
