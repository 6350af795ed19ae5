"""What is public, and the API pages made of it.

The tables below name the modules; what a module offers is its ``__all__``, or, where it has none,
what it defines without a leading underscore. An object belongs to the first module that offers it.
As a Sphinx extension this file writes one page per module into ``docs/api``; the tests of the
docstrings read the same tables.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

# The groups of the reference's front page, as ``docs/reference.md`` includes them.
GROUPS: dict[str, tuple[str, ...]] = {
    "qsvr-estimators": (
        "qsvr",
        "qsvr.estimators.ensemble",
        "qsvr.inspection.report",
        "qsvr.model.uncertainty",
        "qsvr.model.export",
        "qsvr.warm_up",
    ),
    "qsvr-samplers": (
        "qsvr.samplers",
        "qsvr.samplers.dwave",
        "qsvr.samplers.dwave.embedding",
    ),
    "qsvr-solve": (
        "qsvr.solve.direct",
        "qsvr.solve.refinement",
        "qsvr.solve.decomposition",
        "qsvr.model.combination",
        "qsvr.model.intercept",
    ),
    "qsvr-problem": (
        "qsvr.problem.dual",
        "qsvr.problem.kernels",
        "qsvr.problem.objective",
        "qsvr.problem.spectrum",
        "qsvr.problem.local_search",
    ),
    "hpo-search": (
        "hpo",
        "hpo.space.domains",
        "hpo.trainers",
        "hpo.trainers.objective",
        "hpo.run.executors",
        "hpo.run.executors.pools",
        "hpo.errors",
    ),
    "hpo-results": (
        "hpo.run.results",
        "hpo.run.trial_results",
        "hpo.run.journal",
        "hpo.report",
        "hpo.report.plots",
    ),
    "hpo-methods": (
        "hpo.schedulers",
        "hpo.schedulers.halving",
        "hpo.searchers",
        "hpo.predictors",
        "hpo.surrogates",
        "hpo.loop",
        "hpo.trial",
        "hpo.brackets",
    ),
    "hpo-simulation": (
        "hpo.simulation",
        "hpo.simulation.datasets",
        "hpo.simulation.synthetic",
    ),
    "hpo-integrations": (
        "hpo.integrations",
        "hpo.integrations.optuna",
        "hpo.integrations.ray",
        "hpo.integrations.mlflow",
        "hpo.integrations.tensorboard",
        "hpo.examples",
        "hpo.examples.architectures",
        "hpo.examples.particle_flow",
    ),
}
MODULES: dict[str, tuple[str, ...]] = {
    package: tuple(
        module
        for modules in GROUPS.values()
        for module in modules
        if module.partition(".")[0] == package
    )
    for package in ("qsvr", "hpo")
}
# The sections of the long pages; what no section names follows by its kind.
TOPICS: dict[str, dict[str, tuple[str, ...]]] = {
    "qsvr": {
        "Estimators": ("QSVR", "QSVC", "QSVREnsemble", "QSVCEnsemble"),
        "Many fits": ("fit_many", "C_path", "QSVRPath", "QSVRProblem"),
        "Samplers": ("SamplerFactory", "get_sampler", "sampler_names", "Sampler"),
        "Access to an annealer": ("AccessPlan", "scan_chain_strength"),
        "Inspection of a fit": ("Solutions", "SamplerReport", "SampleEnergyDisplay"),
        "The problem behind a fit": (
            "SVRDual",
            "Relaxation",
            "FixedPointEncoding",
            "SVRQubo",
            "Samples",
        ),
    },
    "hpo": {
        "A search": ("Tuner", "RunSpec", "Results", "SwiftSearchCV", "SearchSpace"),
        "Training": (
            "FunctionTrainer",
            "TorchTrainer",
            "TorchRun",
            "TorchrunTrainer",
            "ScriptTrainer",
            "Trainer",
            "TrialContext",
            "current_trial",
            "Metrics",
        ),
        "Schedulers": (
            "make_scheduler",
            "ASHA",
            "SwiftASHA",
            "Hyperband",
            "SwiftHyperband",
            "FastHyperband",
            "SuccessiveHalving",
            "EarlyStopping",
            "RandomSearch",
        ),
        "Searchers": (
            "make_searcher",
            "RandomSearcher",
            "GridSearcher",
            "ListSearcher",
            "CurveSearcher",
            "QLearningSearcher",
        ),
        "Predictors of learning curves": (
            "make_predictor",
            "CurvePredictor",
            "PooledPredictor",
            "JointPredictor",
            "MixedPredictor",
        ),
        "Callbacks": ("Callback", "Stop"),
    },
    "hpo.trial": {
        "Configurations and curves": ("Value", "Curve", "Proposal", "with_tuples", "same"),
        "Jobs of a scheduler": ("TrainJob", "PredictJob", "ForecastJob", "Wait", "Done"),
        "Reports of a runner": (
            "TrainReport",
            "TrainFailure",
            "PredictReport",
            "PredictFailure",
            "ForecastReport",
        ),
        "Summaries": ("TrialStatus", "TrialSummary", "SchedulerSummary", "Event"),
        "The best trial": ("best_of", "rank_of", "rank_key", "finite_or_worst", "not_finite"),
    },
}


@dataclass(frozen=True)
class PublicObject:
    """A public name.

    Attributes
    ----------
    module, name : str
        Where it is offered and how it is called.
    value : object
    """

    module: str
    name: str
    value: Any

    @property
    def path(self) -> str:
        """Module and name."""
        return f"{self.module}.{self.name}"

    @property
    def kind(self) -> str:
        """Return the heading under which it is listed."""
        if not isinstance(self.value, type):
            return "Functions" if inspect.isroutine(self.value) else "Constants"
        if issubclass(self.value, BaseException):
            return "Errors and warnings"
        return "Protocols" if getattr(self.value, "_is_protocol", False) else "Classes"


def existing(package: str) -> list[str]:
    """Return the modules of a package's table that are there, with what they need installed."""
    return [name for name in MODULES[package] if _can_be_imported(name)]


def _can_be_imported(module: str) -> bool:
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        if module.startswith(str(error.name)) or error.name.partition(".")[0] not in MODULES:
            return False  # not there, or an optional dependency is not
        raise
    return True


def names_of(module: str) -> list[str]:
    """Return the names that a module offers."""
    loaded = import_module(module)
    listed = getattr(loaded, "__all__", None)
    if listed is not None:
        return list(listed)
    return [
        name
        for name, value in vars(loaded).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module
    ]


def public_objects() -> Iterator[PublicObject]:
    """Yield every public object once, with the first module that offers it."""
    seen: set[Any] = set()
    for package in MODULES:
        for module in existing(package):
            for name in names_of(module):
                value = getattr(import_module(module), name)
                if isinstance(value, ModuleType):
                    continue  # has a page of its own
                key = id(value) if isinstance(value, type) or callable(value) else (name,)
                if key not in seen:
                    seen.add(key)
                    yield PublicObject(module, name, value)


def aliases() -> dict[str, str]:
    """Return what the names of our classes mean in the types of parameters."""
    return {
        each.name: f":py:obj:`~{each.path}`"
        for each in public_objects()
        if each.kind in ("Classes", "Protocols", "Errors and warnings")
    }


_ORDER = ("Classes", "Functions", "Protocols", "Errors and warnings", "Constants")


def _page(module: str, objects: list[PublicObject]) -> str:
    lines = [f"``{module}``", "=" * (len(module) + 4), ""]
    lines += [
        f".. automodule:: {module}",
        "   :no-members:",
        "",
        f".. currentmodule:: {module}",
        "",
    ]
    for heading, names in _sections(module, objects):
        lines += ["", heading, "-" * len(heading), "", ".. autosummary::", "   :nosignatures:"]
        lines += ["   :toctree: objects"]
        lines += ["", *(f"   {name}" for name in names)]
    return "\n".join([*lines, ""])


def _sections(module: str, objects: list[PublicObject]) -> Iterator[tuple[str, list[str]]]:
    """Yield the headings of a page and the names below them: topics, then the rest by its kind."""
    left = {each.name: each.kind for each in objects}
    for topic, names in TOPICS.get(module, {}).items():
        chosen = [name for name in names if left.pop(name, None) is not None]
        if chosen:
            yield topic, chosen
    for kind in _ORDER:
        chosen = [name for name, each in left.items() if each == kind]
        if chosen:
            mixed = kind in ("Classes", "Functions", "Protocols") and len(left) < len(objects)
            yield f"Other {kind.lower()}" if mixed else kind, chosen


def _group(title: str, modules: list[str]) -> str:
    lines = [
        ".. autosummary::",
        "   :nosignatures:",
        "",
        *(f"   {module}" for module in modules),
        "",
    ]
    lines += [".. toctree::", "   :hidden:", f"   :caption: {title}", ""]
    lines += [f"   /api/{module}" for module in modules]
    return "\n".join([*lines, ""])


def write_pages(directory: Path) -> list[Path]:
    """Write the pages into a directory, and return them; unchanged ones are left as they are."""
    directory.mkdir(parents=True, exist_ok=True)
    by_module: dict[str, list[PublicObject]] = {}
    for each in public_objects():
        by_module.setdefault(each.module, []).append(each)
    pages = {f"{module}.rst": _page(module, objects) for module, objects in by_module.items()}
    headings = _headings(directory.parent / "reference.md")
    for group, modules in GROUPS.items():
        there = [module for module in modules if module in by_module]
        pages[f"{group}.inc"] = _group(headings[group], there)
    for name, text in pages.items():
        path = directory / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for old in [*directory.glob("*.rst"), *directory.glob("*.inc")]:
        if old.name not in pages:
            old.unlink()
    return [directory / name for name in pages]


def _headings(page: Path) -> dict[str, str]:
    """Return the heading above each group that the reference's front page includes."""
    headings, title = {}, ""
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            title = line.removeprefix("## ")
        elif line.startswith(".. include:: /api/"):
            headings[line.rpartition("/")[2].removesuffix(".inc")] = title
    return headings


def _documented(target: str) -> str | None:
    """Return the path under which a name of ours is documented; "" where it is not, but exists."""
    paths = {id(each.value): each.path for each in public_objects()}
    parts = target.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            value = import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        path = ""
        for number, name in enumerate(parts[cut:], cut + 1):
            value = getattr(value, name, None)
            if value is None:
                return None
            if id(value) in paths:
                path = ".".join([paths[id(value)], *parts[number:]])
        return path
    return None


def resolve_alias(app: Any, env: Any, node: Any, text: Any) -> Any:
    """Lead a reference to another name of a documented object to its page.

    A name that exists without a page becomes plain code; one that does not is left to Sphinx, which
    warns.
    """
    target = node["reftarget"]
    if node.get("refdomain") != "py" or target.partition(".")[0] not in MODULES:
        return None
    path = _documented(target)
    if path is None:
        return None
    if path in ("", target):
        return text
    domain = env.get_domain("py")
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", path, node, text)


def setup(app: Any) -> dict[str, Any]:
    """Connect to Sphinx: pages have to be there before it looks for sources."""
    app.connect("config-inited", lambda app, _: write_pages(Path(app.srcdir) / "api"))
    app.connect("missing-reference", resolve_alias)
    return {"parallel_read_safe": True}
