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

MODULES: dict[str, tuple[str, ...]] = {
    "qsvr": (
        "qsvr",
        "qsvr.samplers",
        "qsvr.samplers.dwave",
        "qsvr.samplers.dwave.embedding",
        "qsvr.problem.dual",
        "qsvr.problem.kernels",
        "qsvr.model.combination",
        "qsvr.model.intercept",
        "qsvr.problem.objective",
        "qsvr.problem.spectrum",
        "qsvr.problem.local_search",
        "qsvr.solve.direct",
        "qsvr.solve.refinement",
        "qsvr.solve.decomposition",
        "qsvr.estimators.ensemble",
        "qsvr.model.uncertainty",
        "qsvr.inspection.report",
        "qsvr.model.export",
        "qsvr.warm_up",
    ),
    "hpo": (
        "hpo",
        "hpo.schedulers",
        "hpo.schedulers.halving",
        "hpo.searchers",
        "hpo.surrogates",
        "hpo.predictors",
        "hpo.trainers",
        "hpo.loop",
        "hpo.run.journal",
        "hpo.trial",
        "hpo.brackets",
        "hpo.space.domains",
        "hpo.run.executors.pools",
        "hpo.simulation",
        "hpo.simulation.datasets",
        "hpo.simulation.synthetic",
        "hpo.run.results",
        "hpo.run.trial_results",
        "hpo.trainers.objective",
        "hpo.report.plots",
        "hpo.errors",
        "hpo.run.executors",
        "hpo.integrations",
        "hpo.integrations.optuna",
        "hpo.integrations.ray",
        "hpo.integrations.mlflow",
        "hpo.integrations.tensorboard",
        "hpo.report",
        "hpo.examples",
        "hpo.examples.architectures",
        "hpo.examples.particle_flow",
    ),
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
    for kind in _ORDER:
        chosen = [each.name for each in objects if each.kind == kind]
        if chosen:
            lines += ["", kind, "-" * len(kind), "", ".. autosummary::", "   :toctree: objects", ""]
            lines += [f"   {name}" for name in chosen]
    return "\n".join([*lines, ""])


def write_pages(directory: Path) -> list[Path]:
    """Write the pages into a directory, and return them; unchanged ones are left as they are."""
    directory.mkdir(parents=True, exist_ok=True)
    by_module: dict[str, list[PublicObject]] = {}
    for each in public_objects():
        by_module.setdefault(each.module, []).append(each)
    written = []
    for module, objects in by_module.items():
        path = directory / f"{module}.rst"
        text = _page(module, objects)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
        written.append(path)
    for old in set(directory.glob("*.rst")) - set(written):
        old.unlink()
    return written


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
