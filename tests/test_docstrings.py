"""Public docstrings hold what numpydoc asks for, but for what is excused here."""

import ast
import dataclasses
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import validate

PUBLIC_MODULES = [
    "mug_sklearn",
    "mug_sklearn.adapters.aeon",
    "mug_sklearn.adapters.sktime",
    "mug_sklearn.benchmark",
    "mug_sklearn.callbacks",
    "mug_sklearn.datasets",
    "mug_sklearn.distributed",
    "mug_sklearn.plotting",
]
# scikit-learn calls these on a callback and says what they get.
HOOKS = {"setup", "on_fit_task_begin", "on_fit_task_end", "teardown"}
EXCUSED = {
    "ES01": "a summary that says all needs no second paragraph",
    "EX01": "the example of a class shows its methods",
    "PR04": "parameters 'as' those of a function are described there, once",
    "PR07": "a type such as 'path-like' may say all",
    "RT02": "a name before the type tells what comes, as in scikit-learn",
    "RT03": "'self' and 'ax' say all",
    "SA01": "what is related stands beside it in the reference",
}


def public_objects() -> dict[str, Any]:
    """Classes and functions in the modules' `__all__` by their names."""
    modules = {name: importlib.import_module(name) for name in PUBLIC_MODULES}
    objects = {
        f"{module_name}.{name}": getattr(module, name)
        for module_name, module in modules.items()
        for name in module.__all__
    }
    return {
        name: value
        for name, value in objects.items()
        if (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__.startswith("mug_sklearn")
    }


def public_names() -> Iterator[str]:
    """Names of all public objects, and of the methods that the classes define."""
    for name, value in public_objects().items():
        yield name
        if inspect.isclass(value):
            for method, attribute in vars(value).items():
                is_public = not method.startswith("_") and method not in HOOKS
                if is_public and _is_method(attribute):
                    yield f"{name}.{method}"


def _is_method(attribute: object) -> bool:
    return inspect.isfunction(attribute) or isinstance(
        attribute, classmethod | property | staticmethod
    )


def _is_record(name: str) -> bool:
    """Whether it is a dataclass or a named tuple, which describe their attributes."""
    value = public_objects().get(name)
    return dataclasses.is_dataclass(value) or hasattr(value, "_fields")


@pytest.mark.parametrize("name", list(public_names()))
def test_public_docstrings_are_complete(name):
    excused = {*EXCUSED, "PR01"} if _is_record(name) else {*EXCUSED}
    errors = validate(name)["errors"]
    assert [f"{code}: {what}" for code, what in errors if code not in excused] == []


@pytest.mark.parametrize("name", list(public_names()))
def test_defaults_that_are_told_are_those_of_the_signature(name):
    objects = public_objects()
    owner, _, method = name.rpartition(".")
    value = objects[name] if name in objects else getattr(objects[owner], method)
    if isinstance(value, property):
        return
    parameters = inspect.signature(value).parameters
    for names, kind, _ in NumpyDocString(inspect.getdoc(value))["Parameters"]:
        if told := re.search("default=(.*)", kind):
            expected = ast.literal_eval(told[1])
            for one in names.split(", "):
                assert repr(parameters[one].default) == repr(expected), one


def test_every_excuse_is_needed():
    found = {code for name in public_names() for code, _ in validate(name)["errors"]}
    assert set(EXCUSED) <= found


@pytest.mark.parametrize("name", list(public_objects()))
def test_every_public_object_is_in_the_reference(name):
    reference = Path(__file__).parents[1] / "docs" / "api" / "index.md"
    assert name.rpartition(".")[2] in reference.read_text(encoding="utf-8").split()
