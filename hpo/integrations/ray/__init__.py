"""Ray Tune: our schedulers for `ray.tune.Tuner`."""

try:
    from ray import tune as _  # noqa: F401 - say what is missing before anything else does
except ImportError as error:
    raise ModuleNotFoundError(
        "hpo.integrations.ray needs Ray Tune, which is not installed: pip install 'qsvr[ray]'",
        name="ray",
    ) from error

from hpo.integrations.ray.records import read_run
from hpo.integrations.ray.scheduler import SwiftHyperBand

__all__ = ["SwiftHyperBand", "read_run"]
