"""Every key `twin.toml` may hold, derived from the models: for messages, for `twin init` and for the docs."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from pipelines.project_model import (
    Area,
    ChangeTable,
    GroundRule,
    HeightRule,
    Layer,
    Output,
    ProjectFile,
    ProjectTable,
    RegistryTable,
    Source,
)


@dataclass(frozen=True, slots=True)
class Key:
    """One key of `twin.toml`.

    Attributes:
        dotted: Where it stands, e.g. `project.name`, `source.fields.id`, `source.height[dsm].inset_m`.
        type: What may stand there, in words.
        default: The default as TOML text, "required", or "none" where leaving it out has its own meaning.
        description: What it is for, with its unit.
    """

    dotted: str
    type: str
    default: str
    description: str


def toml_text(value: Any) -> str:
    """Writes a default or a small value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_text(item) for item in value) + "]"
    return str(value)


def rule_models(union: Any) -> dict[str, type[BaseModel]]:
    """The models of a discriminated union of rules, by the value of `from`."""
    members = typing.get_args(typing.get_args(union)[0])
    return {typing.get_args(model.model_fields["from_"].annotation)[0]: model for model in members}


HEIGHT_MODELS = rule_models(HeightRule)
GROUND_MODELS = rule_models(GroundRule)


def allowed_in(annotation: Any, metadata: typing.Iterable[Any] = ()) -> str:
    """Says in words what an annotation allows, with its limits."""
    metadata = list(metadata)
    if typing.get_origin(annotation) is Annotated:
        inner, *more = typing.get_args(annotation)
        return allowed_in(inner, [*more, *metadata])
    limits = _limits(metadata)
    if typing.get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in typing.get_args(annotation) if member is not type(None)]
        return " or ".join(allowed_in(member, metadata) for member in members)
    if typing.get_origin(annotation) is Literal:
        return " | ".join(toml_text(value) for value in typing.get_args(annotation))
    if typing.get_origin(annotation) is tuple:
        one = any(type(item).__name__ == "BeforeValidator" for item in metadata)
        inner_text = allowed_in(typing.get_args(annotation)[0])
        return f"text or list of texts{limits}" if one else f"list of {inner_text}"
    if typing.get_origin(annotation) is dict:
        return f"table of {allowed_in(typing.get_args(annotation)[1])}"
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    return names.get(annotation, "table") + limits


def _limits(metadata: list[Any]) -> str:
    found: dict[str, float] = {}
    for item in metadata:
        for part in getattr(item, "metadata", [item]):
            for kind, attribute, words in _LIMITS:
                if isinstance(part, kind):
                    found[words] = getattr(part, attribute)
    if "from" in found and "to" in found:
        return f" from {found['from']:g} to {found['to']:g}"
    return "".join(f", {words} {value:g}" for words, value in found.items())


_LIMITS: tuple[tuple[type, str, str], ...] = (
    (Gt, "gt", "above"),
    (Ge, "ge", "from"),
    (Le, "le", "to"),
    (Lt, "lt", "below"),
)


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    if info.default_factory is not None:
        return "{}"
    if info.default is PydanticUndefined or info.default in (None, "", ()):
        return "none"
    return toml_text(info.default)


def _keys_of(model: type[BaseModel], prefix: str) -> Iterator[Key]:
    for name, info in model.model_fields.items():
        key = info.alias or name
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from _keys_of(info.annotation, f"{prefix}.{key}")
        elif model is Source and key in ("height", "ground"):
            for tag, rule in (HEIGHT_MODELS if key == "height" else GROUND_MODELS).items():
                yield from _keys_of(rule, f"{prefix}.{key}[{tag}]")
        else:
            yield Key(
                f"{prefix}.{key}", allowed_in(info.annotation, info.metadata), _default(info), info.description or ""
            )


#: Every key of `twin.toml`, in file order.
KEYS: tuple[Key, ...] = (
    *_keys_of(ProjectTable, "project"),
    *_keys_of(Source, "source"),
    *_keys_of(Area, "area"),
    *_keys_of(Layer, "layers.NAME"),
    *_keys_of(Output, "output"),
    *_keys_of(RegistryTable, "registry"),
    *_keys_of(ChangeTable, "change"),
)


def key_names(model: type[BaseModel]) -> list[str]:
    """The names a table may hold, as they are written in the file."""
    return [info.alias or name for name, info in model.model_fields.items()]


def model_at(place: tuple[str | int, ...], raw: object) -> type[BaseModel] | None:
    """The model of the table at a place of the file, or None where no table belongs there."""
    model: type[BaseModel] | None = ProjectFile
    value = raw
    for step in place:
        value = _child(value, step)
        model = _model_below(model, step, value) if not isinstance(step, int) else model
        if isinstance(step, int) and model is None:
            return None
        if isinstance(model, _Rules):
            model = model.pick(value) if isinstance(value, dict) else model  # type: ignore[assignment]
    return model if isinstance(model, type) else None


class _Rules:
    """Stands for a list of rules until an element tells which model it is."""

    def __init__(self, models: dict[str, type[BaseModel]]) -> None:
        self.models = models

    def pick(self, value: dict[str, Any]) -> type[BaseModel] | None:
        kind = value.get("from")
        return self.models.get(kind) if isinstance(kind, str) else None


def _child(value: object, step: str | int) -> object:
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value):
        return value[step]
    return None


def _model_below(model: Any, step: str | int, value: object) -> Any:
    del value
    below: dict[tuple[Any, str | int], Any] = {
        (ProjectFile, "project"): ProjectTable,
        (ProjectFile, "source"): Source,
        (ProjectFile, "area"): Area,
        (Area, "fields"): Area.model_fields["fields"].annotation,
        (ProjectFile, "output"): Output,
        (ProjectFile, "registry"): RegistryTable,
        (ProjectFile, "change"): ChangeTable,
        (ProjectFile, "layers"): Layer,
        (Source, "height"): _Rules(HEIGHT_MODELS),
        (Source, "ground"): _Rules(GROUND_MODELS),
        (Source, "fields"): Source.model_fields["fields"].annotation,
    }
    if model is Layer:
        return Layer
    return below.get((model, step))
