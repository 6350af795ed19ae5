"""What the docstrings of the public objects lack, by package.

``python docs/_ext/api_report.py`` lists the classes without an example, the entry points without a
section See Also, and the parameters whose line does not name the default that the signature has, as
``type, default=value``. ``--write`` puts these defaults into the docstrings.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # a script of this folder, or loaded by the tests

import public_api

# Where readers arrive: from each, they have to find what stands beside it.
ENTRY_POINTS = (
    "qsvr.QSVR",
    "qsvr.QSVC",
    "qsvr.QSVREnsemble",
    "qsvr.QSVCEnsemble",
    "qsvr.C_path",
    "qsvr.fit_many",
    "qsvr.Solutions",
    "qsvr.SampleEnergyDisplay",
    "qsvr.SVRDual",
    "qsvr.SVRQubo",
    "qsvr.FixedPointEncoding",
    "qsvr.SamplerFactory",
    "qsvr.get_sampler",
    "qsvr.samplers.StructuredAnnealer",
    "qsvr.samplers.DimodSampler",
    "qsvr.samplers.dwave.QPUSampler",
    "qsvr.samplers.dwave.HybridSampler",
    "qsvr.AccessPlan",
    "qsvr.scan_chain_strength",
    "hpo.Tuner",
    "hpo.RunSpec",
    "hpo.Results",
    "hpo.SearchSpace",
    "hpo.SwiftSearchCV",
    "hpo.ASHA",
    "hpo.EarlyStopping",
    "hpo.FastHyperband",
    "hpo.Hyperband",
    "hpo.RandomSearch",
    "hpo.SuccessiveHalving",
    "hpo.SwiftASHA",
    "hpo.SwiftHyperband",
    "hpo.CurveSearcher",
    "hpo.GridSearcher",
    "hpo.ListSearcher",
    "hpo.QLearningSearcher",
    "hpo.RandomSearcher",
    "hpo.JointPredictor",
    "hpo.MixedPredictor",
    "hpo.PooledPredictor",
    "hpo.FunctionTrainer",
    "hpo.TorchTrainer",
    "hpo.ScriptTrainer",
    "hpo.TorchrunTrainer",
    "hpo.make_scheduler",
    "hpo.make_searcher",
    "hpo.make_predictor",
    "hpo.simulation.simulate",
    "hpo.run.journal.read_journal",
    "hpo.report.write_report",
)
_HEADER = re.compile(r"(?P<names>\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: : (?P<type>.+))?")
_SECTION = r"^(?:{})\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)"


@dataclass(frozen=True)
class Default:
    """A line of a parameter section whose parameters have defaults.

    Attributes
    ----------
    path : str
        The object that is documented.
    line : str
        As it stands in the docstring.
    wanted : str
        The same, with the defaults.
    """

    path: str
    line: str
    wanted: str

    @property
    def is_named(self) -> bool:
        """Whether the line names the defaults as it should."""
        return self.line == self.wanted


def section(doc: str, *names: str) -> str:
    """Return the text of the first section of a docstring that has one of these names."""
    pattern = _SECTION.format("|".join(names))
    found = re.search(pattern, inspect.cleandoc(doc), re.DOTALL | re.MULTILINE)
    return found.group(1) if found else ""


def without_example(objects: list[Any]) -> list[str]:
    """Return the public classes whose docstring has no example."""
    return [
        each.path
        for each in objects
        if each.kind == "Classes" and ">>> " not in section(each.value.__doc__ or "", "Examples")
    ]


def without_see_also(objects: list[Any]) -> list[str]:
    """Return the entry points whose docstring refers to nothing beside it."""
    return [
        each.path
        for each in objects
        if each.path in ENTRY_POINTS and not section(each.value.__doc__ or "", "See Also").strip()
    ]


def defaults_of(objects: list[Any]) -> Iterator[Default]:
    """Yield the lines of parameters that have a default, of objects and their methods."""
    for public in objects:
        for path, function in _functions(public):
            yield from _defaults(path, function)


def _functions(public: Any) -> Iterator[tuple[str, Any]]:
    value = public.value
    if public.kind == "Errors and warnings" or not (
        isinstance(value, type) or inspect.isfunction(value)
    ):
        return
    yield public.path, value
    if isinstance(value, type):
        for name, member in vars(value).items():
            function = getattr(member, "__func__", member)
            if not name.startswith("_") and inspect.isfunction(function):
                yield f"{public.path}.{name}", function


def _defaults(path: str, function: Any) -> Iterator[Default]:
    own = vars(function).get("__doc__") if isinstance(function, type) else function.__doc__
    if isinstance(function, type) and issubclass(function, Enum):
        return
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not parameter.empty
    }
    for each in fields(function) if is_dataclass(function) else ():
        if each.default_factory is not MISSING and each.name in defaults:
            defaults[each.name] = each.default_factory()
    for line in section(own or "", "Parameters", "Attributes").splitlines():
        found = _HEADER.fullmatch(line)
        if not found:
            continue
        names = found["names"].split(", ")
        if any(name in defaults for name in names):
            yield Default(path, line, _with_defaults(names, found["type"] or "", defaults))


def _with_defaults(names: list[str], kind: str, defaults: dict[str, Any]) -> str:
    kind = re.sub(r"(?:^|,? )(?:optional|default(?:=| of ).*)$", "", kind)
    written = [shown(defaults[name]) for name in names if name in defaults]
    if len(written) < len(names):
        some = [name for name in names if name in defaults]
        kind += f", default of {' and '.join(some)}={', '.join(dict.fromkeys(written))}"
    else:
        kind += f", default={', '.join(dict.fromkeys(written) if _equal(written) else written)}"
    return f"{', '.join(names)} : {kind.removeprefix(', ')}"


def _equal(written: list[str]) -> bool:
    return len(set(written)) == 1


def shown(value: Any) -> str:
    """Return a default as code writes it."""
    if isinstance(value, Mapping) and not value:
        return "{}"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if (is_dataclass(value) and value == type(value)()) or " object at 0x" in repr(value):
        return f"{type(value).__name__}()"
    if callable(value):
        return str(getattr(value, "__name__", type(value).__name__))
    return repr(value).replace("'", '"')


def write_defaults(objects: list[Any]) -> list[str]:
    """Put the defaults into the docstrings' lines, and return those that no line has room for."""
    by_file: dict[Path, dict[str, str]] = {}
    narrow = []
    for public in objects:
        for path, function in _functions(public):
            for each in _defaults(path, function):
                if each.is_named:
                    continue
                file = Path(inspect.getsourcefile(function) or "")
                place = f"{function.__qualname__}\n{each.line}"
                by_file.setdefault(file, {})[place] = each.wanted
    for file, lines in by_file.items():
        narrow += _edit(file, lines)
    return narrow


def _edit(file: Path, wanted: dict[str, str]) -> list[str]:
    source = file.read_text(encoding="utf-8")
    lines, narrow = source.splitlines(keepends=True), []
    for name, first, last in _docstrings(ast.parse(source), ""):
        for number in range(first - 1, last):
            text = lines[number]
            new = wanted.get(f"{name}\n{text.strip()}")
            if new is None:
                continue
            indent = text[: len(text) - len(text.lstrip())]
            if len(indent + new) > 100:
                narrow.append(f"{file}:{number + 1}: {new}")
                continue
            lines[number] = f"{indent}{new}\n"
    file.write_text("".join(lines), encoding="utf-8")
    return narrow


def _docstrings(node: Any, prefix: str) -> Iterator[tuple[str, int, int]]:
    for child in node.body:
        if not isinstance(child, ast.ClassDef | ast.FunctionDef):
            continue
        name = f"{prefix}{child.name}"
        if ast.get_docstring(child) is not None:
            expression = child.body[0]
            yield name, expression.lineno, expression.end_lineno or expression.lineno
        if isinstance(child, ast.ClassDef):
            yield from _docstrings(child, f"{name}.")


def main(arguments: list[str]) -> int:
    """Print the report, or write the defaults."""
    objects = list(public_api.public_objects())
    if "--write" in arguments:
        for line in write_defaults(objects):
            print(f"no room within 100 characters: {line}")
        return 0
    unnamed = [each for each in defaults_of(objects) if not each.is_named]
    print("\n".join(f"no example: {path}" for path in without_example(objects)))
    print("\n".join(f"no See Also: {path}" for path in without_see_also(objects)))
    print("\n".join(f"default: {each.path}: {each.line}  ->  {each.wanted}" for each in unnamed))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
