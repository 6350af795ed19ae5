"""What is known of a search so far, and what is believed of configurations that were not tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hpo._typing import FloatArray
from hpo.surrogates.surface import SurfaceModel
from hpo.trial import Config, Curve


class Surrogate(Protocol):
    """Expects final losses of configurations, in the scale of the forecasts it comes with."""

    def expect(self, configs: Sequence[Config]) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of each final loss, both (n_configs,).

        Parameters
        ----------
        configs : sequence of Config
        """
        ...

    def draw(self, configs: Sequence[Config], n_draws: int, rng: np.random.Generator) -> FloatArray:
        """Draw the final losses jointly, (n_draws, n_configs).

        Parameters
        ----------
        configs : sequence of Config
        n_draws : int
        rng : numpy.random.Generator
        """
        ...


@dataclass(frozen=True)
class Observations:
    """The trials so far and the forecasts of their final losses.

    Attributes
    ----------
    curves : sequence of Curve
        The trials; their configurations and lengths are what counts.
    mean, std : ndarray of shape (n_curves,)
        Forecasts of their final losses, in any scale of about unit spread.
    max_resource : int
        Units of a whole training.
    running : sequence of Config
        Tried besides, with no loss yet.
    belief : Surrogate or None
        What the model behind the forecasts expects of other configurations, where it does.
    """

    curves: Sequence[Curve]
    mean: FloatArray
    std: FloatArray
    max_resource: int
    running: Sequence[Config] = ()
    belief: Surrogate | None = None

    @property
    def incumbent(self) -> float:
        """What is to be beaten: the best whole training, before there is one the best forecast."""
        whole = [len(curve.losses) >= self.max_resource for curve in self.curves]
        return float(self.mean[whole].min() if any(whole) else self.mean.min())

    @property
    def configs(self) -> list[Config]:
        """The configurations of the trials."""
        return [curve.config for curve in self.curves]

    @property
    def tried(self) -> list[Config]:
        """All that was tried, the best first."""
        order = np.argsort(self.mean, kind="stable")
        return [*(self.curves[place].config for place in order), *self.running]


@dataclass(frozen=True)
class SurfaceSurrogate:
    """The belief of a surface over the hyperparameters.

    Attributes
    ----------
    surface : SurfaceModel
        Fitted.
    features : callable
        From configurations to what it was fitted on.
    """

    surface: SurfaceModel
    features: Callable[[Sequence[Config]], FloatArray]

    @classmethod
    def fitted(
        cls,
        surface: SurfaceModel,
        features: Callable[[Sequence[Config]], FloatArray],
        known: Observations,
        rng: np.random.Generator,
    ) -> SurfaceSurrogate:
        """Have a surface learn from forecasts.

        Parameters
        ----------
        surface : SurfaceModel
            What learns.
        features : callable
            From configurations to an array of shape (n_configs, n_features).
        known : Observations
            The trials and the forecasts.
        rng : numpy.random.Generator
        """
        mean, std = np.asarray(known.mean, float), np.asarray(known.std, float)
        return cls(surface.fit(features(known.configs), mean, std, rng), features)

    def expect(self, configs: Sequence[Config]) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of each final loss."""
        return self.surface.expect(self.features(configs))

    def draw(self, configs: Sequence[Config], n_draws: int, rng: np.random.Generator) -> FloatArray:
        """Draw the final losses jointly."""
        return self.surface.draw(self.features(configs), n_draws, rng)
