"""What all suites share: rules that a subclass inherits and cannot lose."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, TypeVar

import pytest

from inferix_core.catalog.hooks import read_specs

RULE_PREFIX = "test_"
F = TypeVar("F", bound=Callable[..., Any])


def rule(function: F) -> F:
    """Makes a rule of a suite's test method."""
    function.inferix_rule = True  # type: ignore[attr-defined]
    return function


class _Guard(type):
    """Rules stay what they are also after the class was made, and no mark switches all of them off."""

    def __setattr__(cls, name: str, value: object) -> None:
        if name in rules_of(cls):
            raise TypeError(_refusal(cls, name))
        if name == "pytestmark":
            _check_class_marks(cls, value)
        super().__setattr__(name, value)

    def __delattr__(cls, name: str) -> None:
        if name in rules_of(cls):
            raise TypeError(_refusal(cls, name))
        super().__delattr__(name)


class Suite(metaclass=_Guard):
    """Rules are concrete test methods; what a subclass supplies are ordinary methods and attributes.

    `provides` are the optional abilities that the component's spec declares: those are tested, the others
    must raise `UnsupportedError`. A rule that a component cannot keep yet is kept in sight by a method of the
    same name marked `pytest.mark.xfail(strict=True, reason=…)`; it runs the suite's rule, whatever its body is.
    Replacing a rule in any other way is a `TypeError` when the class is made.
    """

    provides: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if "pytestmark" in vars(cls):
            _check_class_marks(cls, vars(cls)["pytestmark"])
        if getattr(cls, "__test__", True) is False:
            raise TypeError(f"{cls.__name__} sets __test__ = False, which would leave out every rule. Remove it.")
        for name, original in _inherited_rules(cls).items():
            found = next(vars(base)[name] for base in cls.__mro__ if name in vars(base))
            if not _is_rule(found):
                type.__setattr__(cls, name, _expected_to_fail(cls, name, found, original))


def rules_of(suite: type) -> tuple[str, ...]:
    """The names of a suite's rules."""
    return tuple(name for name in dir(suite) if name.startswith(RULE_PREFIX) and _is_rule(getattr(suite, name)))


def broken_rules(suite: Suite, folder: Path) -> list[str]:
    """The rules that the suite's component breaks, found without pytest's runner: for tests of suites and components.

    A rule that asks for `tmp_path` gets a new folder below `folder`.
    """
    broken = []
    for name in rules_of(type(suite)):
        check = getattr(suite, name)
        arguments = {}
        if "tmp_path" in inspect.signature(check).parameters:
            arguments["tmp_path"] = folder / name
            arguments["tmp_path"].mkdir()
        try:
            check(**arguments)
        except (Exception, pytest.fail.Exception):  # whatever a component raises breaks the rule
            broken.append(name)
    return broken


def provided_by(plugin: ModuleType, name: str) -> frozenset[str]:
    """The abilities that the plugin module's component `name` declares, as a suite's `provides`."""
    for _, spec in read_specs(plugin, plugin.__name__):
        if spec.name == name:
            return spec.provides
    raise LookupError(f"'{plugin.__name__}' yields no component called '{name}'.")


def _is_rule(attribute: object) -> bool:
    return getattr(attribute, "inferix_rule", False) is True


def _inherited_rules(cls: type) -> dict[str, Callable[..., None]]:
    """Every rule of the classes that `cls` derives from, as the suite wrote it."""
    rules: dict[str, Callable[..., None]] = {}
    for base in reversed(cls.__mro__[1:]):
        rules |= {name: value for name, value in vars(base).items() if _is_rule(value)}
    return rules


def _expected_to_fail(cls: type, name: str, found: object, original: Callable[..., None]) -> Callable[..., None]:
    """The suite's rule under the marks of the subclass's method, where those say that it fails and why."""
    marks = list(getattr(found, "pytestmark", ()))
    expected = [mark for mark in marks if mark.name == "xfail"]
    honest = [mark for mark in expected if _says_why(mark)]
    if not honest or len(honest) != len(marks):
        raise TypeError(_refusal(cls, name))

    @functools.wraps(original)
    def failing(*arguments: Any, **named: Any) -> None:
        original(*arguments, **named)

    failing.pytestmark = honest  # type: ignore[attr-defined]
    return failing


def _says_why(mark: Any) -> bool:
    """Whether an xfail mark holds always, is strict, runs the rule, and has a reason."""
    strict = mark.kwargs.get("strict") is True and mark.kwargs.get("run", True)
    return bool(strict and mark.kwargs.get("reason") and not mark.args and "condition" not in mark.kwargs)


def _check_class_marks(cls: type, marks: Any) -> None:
    listed = marks if isinstance(marks, Iterable) else (marks,)
    for mark in listed:
        if getattr(mark, "name", "") in ("skip", "xfail"):
            raise TypeError(
                f"{cls.__name__} is marked '{mark.name}' as a whole, which hides every rule. Mark single rules "
                "xfail(strict=True, reason=…); skipif is accepted where a machine lacks what the component needs."
            )


def _refusal(cls: type, name: str) -> str:
    return (
        f"{cls.__name__} replaces or removes the rule '{name}' of its suite, which must stay as it is. If the "
        "component cannot keep it yet, define a method of that name marked pytest.mark.xfail(strict=True, reason='…'), "
        "without a condition."
    )
