"""Ray Tune: our schedulers for `ray.tune.Tuner`."""

from hpo.errors import import_optional

import_optional("ray.tune", "hpo.integrations.ray", "ray")  # before the imports that need it

from hpo.integrations.ray.records import read_run  # noqa: E402
from hpo.integrations.ray.scheduler import SwiftHyperBand  # noqa: E402
from hpo.integrations.ray.space import from_ray, to_ray  # noqa: E402

__all__ = ["SwiftHyperBand", "from_ray", "read_run", "to_ray"]
