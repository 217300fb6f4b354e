"""What is wrong with a configuration, in sentences: the path of the key, what was found, what would be accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from inferix_core.errors import ConfigError, nearest

_UNITS = {"seconds", "milliseconds", "latents", "blocks", "frames", "tokens", "heads", "layers", "ranks", "threads"}
_UNITS |= {"levels", "bytes", "kib", "mib", "gib", "bits", "pixels", "hz", "fps"}
_BOUNDS = {
    "greater_than_equal": ("must be at least", "ge"),
    "greater_than": ("must be greater than", "gt"),
    "less_than_equal": ("must be at most", "le"),
    "less_than": ("must be less than", "lt"),
    "multiple_of": ("must be a multiple of", "multiple_of"),
}
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "dict": "a table",
    "mapping": "a table",
    "model": "a table",
    "path": "a path",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault at one path."""

    path: str
    sentence: str
    error: type[ConfigError] = ConfigError

    def __str__(self) -> str:
        return f"{self.path}: {self.sentence}" if self.path else self.sentence


def raise_problems(problems: Sequence[Problem], what: str = "the configuration") -> None:
    """Raises one `ConfigError` that tells of every problem; returns if there is none."""
    if not problems:
        return
    if len(problems) == 1:
        raise problems[0].error(str(problems[0]))
    lines = "".join(f"\n  {problem}" for problem in problems)
    raise ConfigError(f"{len(problems)} problems in {what}:{lines}")


def problems_of(error: ValidationError, model: type[BaseModel], prefix: Sequence[str] = ()) -> list[Problem]:
    """The sentences for what pydantic found in the table at `prefix`."""
    return [_problem(fault, model, prefix) for fault in error.errors(include_url=False)]


def unit_of(name: str, field: FieldInfo | None) -> str:
    """The unit of a field: `json_schema_extra={"unit": …}`, else the last word of its name if that is a unit."""
    extra = field.json_schema_extra if field is not None else None
    if isinstance(extra, Mapping) and "unit" in extra:
        return str(extra["unit"])
    last = name.rpartition("_")[2]
    return last if last in _UNITS else ""


def _problem(fault: Any, model: type[BaseModel], prefix: Sequence[str]) -> Problem:
    location = [str(part) for part in fault["loc"]]
    path = ".".join([*prefix, *location])
    kind, found, context = fault["type"], fault["input"], fault.get("ctx", {})
    owner = _owner(model, location[:-1])
    name = location[-1] if location else ""
    field = owner.model_fields.get(name) if owner is not None else None
    if kind == "extra_forbidden":
        accepted = sorted(owner.model_fields) if owner is not None else []
        listed = f" Accepted: {', '.join(accepted)}." if accepted else " It has no keys of its own."
        return Problem(path, f"there is no such key.{nearest(name, accepted)}{listed}")
    if kind == "missing":
        description = f" ({field.description.rstrip('.')})" if field is not None and field.description else ""
        return Problem(path, f"is missing{description}. Set it.")
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        unit = unit_of(name, field)
        return Problem(path, f"{words} {context[bound]}{f' ({unit})' if unit else ''}, found {found!r}.")
    if kind == "literal_error" or kind == "enum":
        suggestion = nearest(found, _choices(context)) if isinstance(found, str) else ""
        return Problem(path, f"must be {context['expected']}, found {found!r}.{suggestion}")
    if kind == "finite_number":
        return Problem(path, f"must be a finite number, found {found!r}.")
    if kind == "value_error":
        return Problem(path, f"{context['error']}" if "error" in context else str(fault["msg"]))
    if kind == "string_pattern_mismatch":
        meaning = f" {field.description}" if field is not None and field.description else ""
        return Problem(path, f"{found!r} is not accepted.{meaning}")
    wanted = _TYPES.get(kind.partition("_")[0])
    if wanted is not None and kind.endswith(("_type", "_parsing", "_from_float", "_attributes_type")):
        example = ', e.g. { use = "name" }' if wanted == "a table" and "use" in _field_names(field) else ""
        return Problem(path, f"must be {wanted}{example}, found {found!r}.")
    message = str(fault["msg"])
    return Problem(path, f"{message[:1].lower()}{message[1:]}, found {found!r}.")


def _choices(context: Mapping[str, Any]) -> list[str]:
    return [part.strip(" '") for part in str(context["expected"]).replace(" or ", ", ").split(",")]


def _field_names(field: FieldInfo | None) -> set[str]:
    model = _model_in(field.annotation) if field is not None else None
    return set(model.model_fields) if model is not None else set()


def _owner(model: type[BaseModel], location: Sequence[str]) -> type[BaseModel] | None:
    """The model that the location leads to, through nested models and lists of them."""
    owner: type[BaseModel] | None = model
    for part in location:
        if owner is None:
            return None
        if part in owner.model_fields:
            owner = _model_in(owner.model_fields[part].annotation)
        elif not part.isdigit():
            return None
    return owner


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The pydantic model in an annotation, directly or as an item or an alternative."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType, list, tuple):
        for argument in get_args(annotation):
            if (found := _model_in(argument)) is not None:
                return found
    return None
