"""Observations of a search, and surrogates: predictions of untried configurations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hpo._typing import FloatArray
from hpo.surrogates.surface import SurfaceModel
from hpo.trial import Config, Curve


class Surrogate(Protocol):
    """Predicts final losses of configurations, in the scale of the forecasts it comes with."""

    def predict(self, configs: Sequence[Config]) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of each final loss, both (n_configs,).

        Parameters
        ----------
        configs : sequence of Config
        """
        ...

    def sample(
        self, configs: Sequence[Config], n_samples: int, rng: np.random.Generator
    ) -> FloatArray:
        """Sample the final losses jointly, (n_samples, n_configs).

        Parameters
        ----------
        configs : sequence of Config
        n_samples : int
        rng : numpy.random.Generator
        """
        ...


@dataclass(frozen=True)
class Observations:
    """The trials so far and the forecasts of their final losses.

    Attributes
    ----------
    curves : sequence of Curve
        The trials; their configurations and lengths are used.
    mean, std : ndarray of shape (n_curves,)
        Forecasts of their final losses, in any scale of about unit spread.
    max_resource : int
        Maximum resource per trial.
    running : sequence of Config, default=()
        Configurations of running trials without a loss.
    surrogate : Surrogate or None, default=None
        Predictions of untried configurations by the forecast's model, if it makes any.

    Examples
    --------
    >>> import numpy as np
    >>> from hpo.surrogates import Observations
    >>> from hpo.trial import Curve
    >>> curves = [Curve(0, {"lr": 0.1}, (3.0, 2.0)), Curve(1, {"lr": 0.2}, (1.0,))]
    >>> mean, std = np.array([2.0, 0.5]), np.array([0.0, 0.3])
    >>> observations = Observations(curves, mean, std, max_resource=2)
    >>> observations.incumbent, observations.tried
    (2.0, [{'lr': 0.2}, {'lr': 0.1}])
    """

    curves: Sequence[Curve]
    mean: FloatArray
    std: FloatArray
    max_resource: int
    running: Sequence[Config] = ()
    surrogate: Surrogate | None = None

    @property
    def incumbent(self) -> float:
        """The loss to improve on: that of the best complete trial, else the best forecast."""
        whole = [len(curve.losses) >= self.max_resource for curve in self.curves]
        return float(self.mean[whole].min() if any(whole) else self.mean.min())

    @property
    def configs(self) -> list[Config]:
        """The configurations of the trials."""
        return [curve.config for curve in self.curves]

    @property
    def tried(self) -> list[Config]:
        """All tried configurations, the best first."""
        order = np.argsort(self.mean, kind="stable")
        return [*(self.curves[place].config for place in order), *self.running]


@dataclass(frozen=True)
class SurfaceSurrogate:
    """Predictions by a surface over the hyperparameters.

    Attributes
    ----------
    surface : SurfaceModel
        Fitted.
    features : callable
        Encodes configurations as it was fitted on them.

    Examples
    --------
    >>> import numpy as np
    >>> from hpo import RandomSearcher, SearchSpace
    >>> from hpo.surrogates import Observations, Surface, SurfaceSurrogate
    >>> from hpo.trial import Curve
    >>> space = SearchSpace.from_dict({"x": {"type": "float", "low": 0.0, "high": 1.0}})
    >>> searcher = RandomSearcher(space, seed=0)
    >>> curves = [Curve(i, searcher.propose(i), (1.0,)) for i in range(20)]
    >>> mean = np.array([curve.config["x"] for curve in curves])
    >>> observations = Observations(curves, mean, np.full(20, 0.01), max_resource=10)
    >>> rng = np.random.default_rng(0)
    >>> surrogate = SurfaceSurrogate.fitted(Surface(), space.features_of, observations, rng)
    >>> low, high = surrogate.predict([{"x": 0.1}, {"x": 0.9}])[0]
    >>> bool(low < high)
    True
    """

    surface: SurfaceModel
    features: Callable[[Sequence[Config]], FloatArray]

    @classmethod
    def fitted(
        cls,
        surface: SurfaceModel,
        features: Callable[[Sequence[Config]], FloatArray],
        observations: Observations,
        rng: np.random.Generator,
    ) -> SurfaceSurrogate:
        """Fit a surface to forecasts.

        Parameters
        ----------
        surface : SurfaceModel
        features : callable
            From configurations to an array of shape (n_configs, n_features).
        observations : Observations
        rng : numpy.random.Generator
        """
        mean, std = np.asarray(observations.mean, float), np.asarray(observations.std, float)
        return cls(surface.fit(features(observations.configs), mean, std, rng), features)

    def predict(self, configs: Sequence[Config]) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of each final loss."""
        return self.surface.predict(self.features(configs))

    def sample(
        self, configs: Sequence[Config], n_samples: int, rng: np.random.Generator
    ) -> FloatArray:
        """Sample the final losses jointly."""
        return self.surface.sample(self.features(configs), n_samples, rng)
