"""Every public object says what it takes, in which shape, and what it raises."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

import hpo
import qsvr

# Documented by what they are: an attribute that is not there, a protocol that cannot be made.
_NEEDS_NO_WORD = {"AttributeError", "NotImplementedError"}


@dataclass(frozen=True)
class Documented:
    """A function or method, and the docstring that has to describe it."""

    path: str
    function: object
    doc: str

    @property
    def parameters(self) -> list[inspect.Parameter]:
        found = inspect.signature(self.function).parameters.values()
        return [each for each in found if each.name not in ("self", "cls")]

    def section(self, name: str) -> str:
        pattern = rf"^{name}\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)"
        match = re.search(pattern, inspect.cleandoc(self.doc), re.DOTALL | re.MULTILINE)
        return match.group(1) if match else ""

    def raised(self) -> set[str]:
        """Return the errors that the body itself raises by name."""
        tree = ast.parse(textwrap.dedent(inspect.getsource(self.function)))
        calls = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise)]
        names = {
            call.func.id
            for call in calls
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
        }
        return {name for name in names if not name.startswith("_")} - _NEEDS_NO_WORD


@pytest.fixture(scope="module")
def objects(public_api):
    return [each for each in public_api.public_objects() if each.kind != "Constants"]


@pytest.fixture(scope="module")
def callables(objects) -> list[Documented]:
    return [each for public in objects for each in _callables(public)]


@pytest.fixture(scope="module")
def by_protocol(objects, callables) -> set[str]:
    """Return the methods that a protocol or an abstract class documents, by name."""
    protocols = tuple(
        f"{public.path}."
        for public in objects
        if public.kind == "Protocols" or inspect.isabstract(public.value)
    )
    return {each.path.rpartition(".")[2] for each in callables if each.path.startswith(protocols)}


def _callables(public) -> Iterator[Documented]:
    value = public.value
    if not isinstance(value, type):
        if inspect.isfunction(value):
            yield Documented(public.path, value, value.__doc__ or "")
        return
    for name in ("__init__", "__post_init__"):
        own = vars(value).get(name)
        if public.kind not in ("Protocols", "Errors and warnings") and _is_written(own, value):
            yield Documented(f"{public.path}.{name}", own, _with_parents(value))
    for name, member in vars(value).items():
        function = getattr(member, "__func__", getattr(member, "fget", member))
        if not name.startswith("_") and _is_written(function, value):
            yield Documented(f"{public.path}.{name}", function, function.__doc__ or "")


def _with_parents(owner: type) -> str:
    """Return the docstring, followed by those of the parents that it refers to by name."""
    own = inspect.cleandoc(owner.__doc__ or "")
    parents = [base for base in owner.__mro__[1:] if f"`{base.__name__}`" in own]
    return "\n\n".join([own, *(inspect.cleandoc(base.__doc__ or "") for base in parents)])


def _is_written(function: object, owner: type) -> bool:
    """Tell methods of a class from what dataclasses generate and from functions it merely holds."""
    if not inspect.isfunction(function) or function.__code__.co_filename == "<string>":
        return False
    return function.__qualname__.startswith(f"{owner.__name__}.")


def test_the_tables_hold_both_packages_whole(objects):
    listed = {public.value for public in objects if isinstance(public.value, type)}
    for package in (qsvr, hpo):
        offered = [getattr(package, name) for name in package.__all__]
        assert {each for each in offered if isinstance(each, type)} <= listed
    assert len(objects) > 100


def test_everything_has_a_docstring(objects, callables):
    silent = [public.path for public in objects if not (public.value.__doc__ or "").strip()]
    silent += [each.path for each in callables if not each.doc.strip()]
    assert not silent, f"no docstring: {silent}"


def test_every_parameter_is_described(callables, by_protocol):
    missing = []
    for each in callables:
        if each.path.rpartition(".")[2] in by_protocol and not _is_protocol(each):
            continue  # the protocol says it
        if _called_by_ray(each):
            continue  # Ray says what it passes
        names = [p.name for p in each.parameters if not re.search(rf"\b{p.name}\b", each.doc)]
        if names:
            missing.append(f"{each.path}: {', '.join(names)}")
    assert not missing, "parameters without a word in the docstring:\n" + "\n".join(missing)


def _owner(each: Documented) -> type | None:
    owner = each.function.__qualname__.rpartition(".")[0]
    return getattr(inspect.getmodule(each.function), owner, None)


def _is_protocol(each: Documented) -> bool:
    return bool(getattr(_owner(each), "_is_protocol", 0))


def _called_by_ray(each: Documented) -> bool:
    owner, name = _owner(each), each.function.__name__
    bases = owner.__mro__[1:] if owner is not None else ()
    return any(name in vars(base) and base.__module__.startswith("ray.") for base in bases) and (
        name != "__init__"
    )


def test_many_parameters_have_a_section(callables, by_protocol):
    missing = [
        each.path
        for each in callables
        if len(each.parameters) > 4
        and each.path.rpartition(".")[2] not in by_protocol
        and not each.section("Parameters")
        and not each.section("Attributes")
    ]
    assert not missing, f"no section Parameters: {missing}"


def test_arrays_have_shapes(callables, by_protocol):
    missing = []
    for each in callables:
        hints = [str(p.annotation) for p in each.parameters]
        arrays = any("NDArray" in hint or "ArrayLike" in hint for hint in hints)
        told = each.path.rpartition(".")[2] in by_protocol
        if arrays and not told and not re.search(r"shape|\(n_\w+|\(\.\.\.", each.doc):
            missing.append(each.path)
    assert not missing, f"arrays without a shape: {missing}"


def test_every_error_is_described(callables, by_protocol):
    missing = []
    for each in callables:
        described = set(re.findall(r"\w+", each.section("Raises")))
        if each.path.rpartition(".")[2] in by_protocol:
            described |= {"ValueError", "UsageError"}
        if lost := each.raised() - described:
            missing.append(f"{each.path}: {', '.join(sorted(lost))}")
    assert not missing, "errors that the section Raises lacks:\n" + "\n".join(missing)


def test_every_class_has_an_example(extension, objects):
    """The tests of the docstrings run them."""
    assert extension("api_report").without_example(objects) == []


def test_the_entry_points_refer_to_what_stands_beside_them(extension, objects):
    report = extension("api_report")
    assert set(report.ENTRY_POINTS) <= {each.path for each in objects}
    assert report.without_see_also(objects) == []


def test_defaults_are_named_as_in_the_signature(extension, objects):
    """``python docs/_ext/api_report.py --write`` puts them into the docstrings."""
    lines = list(extension("api_report").defaults_of(objects))
    assert len(lines) > 400
    assert [f"{each.path}: {each.wanted}" for each in lines if not each.is_named] == []


def test_topics_and_groups_name_what_is_there(public_api, objects):
    public = {(each.module, each.name) for each in objects}
    for module, topics in public_api.TOPICS.items():
        assert {(module, name) for names in topics.values() for name in names} <= public
    grouped = [module for modules in public_api.GROUPS.values() for module in modules]
    assert sorted(grouped) == sorted(set(grouped))
