"""Stacks: the file of each read into checked settings, by the same checks that the program uses under Pulumi."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel

from infra.cloud.settings import Settings, SettingsError, check

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

STACKS = Path(__file__).parent / "stacks"
PROJECT, REGION = "simplicity", "aws:region"
# What else Pulumi writes into a stack's file: how its secrets are encrypted.
_PULUMIS = {"config", "encryptionsalt", "encryptedkey", "secretsprovider", "environment"}
# Settings of the AWS plugin and of the engine, which they check themselves.
_OTHERS = ("aws", "pulumi")


def names(directory: Path = STACKS) -> tuple[str, ...]:
    """Return the names of all stacks that have a file."""
    return tuple(sorted(path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in _files(directory)))


def load(name: str, directory: Path = STACKS) -> Settings:
    """Return a stack's checked settings; raises SettingsError with one line for each mistake."""
    return checked(configuration(name, directory))


def configuration(name: str, directory: Path = STACKS) -> dict[str, Any]:
    """Return what a stack's file configures: values by key, `simplicity:owner` and the like; raises SettingsError."""
    if name not in (known := names(directory)):
        raise SettingsError((f"{name}: no such stack{_hint(name, known)}; there are: {', '.join(known) or 'none'}",))
    path = directory / f"Pulumi.{name}.yaml"
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError((f"{path.name}: cannot be read: {' '.join(str(error).split())[:200]}",)) from None
    if not isinstance(found, dict) or not isinstance(found.get("config"), dict):
        raise SettingsError((f"{path.name}: has to have its settings under `config:`",))
    if unknown := sorted(str(each) for each in found.keys() - _PULUMIS):
        raise SettingsError(tuple(f"{path.name}: {each}: is nothing that a stack has" for each in unknown))
    # As Pulumi does: a name without a namespace is the project's.
    return {key if ":" in key else f"{PROJECT}:{key}": value for key, value in _named(found["config"])}


def from_pulumi() -> Settings:
    """Return the checked settings of the stack that runs; raises SettingsError with one line for each mistake."""
    from pulumi.runtime import config  # noqa: PLC0415 - reading a file needs no engine

    return checked({**config.get_config_env(), **config.CONFIG.get()})


def checked(values: Mapping[str, Any]) -> Settings:
    """Return the settings of a configuration: groups as mappings or as JSON, as the engine hands them to a program."""
    lines, given = [], {}
    for key, value in values.items():
        namespace, _, name = key.partition(":")
        if key == REGION:
            given["region"] = str(value)
        elif namespace == PROJECT and name == "region":
            lines.append(f"{key}: no such setting; the region is {REGION}")
        elif namespace == PROJECT:
            given[name] = _value(name, value)
        elif namespace not in _OTHERS:
            lines.append(f"{key}: no such namespace{_hint(namespace, (PROJECT, *_OTHERS))}")
    lines += _unknown(f"{PROJECT}:", Settings, given)
    try:
        settings = check(given)
    except SettingsError as error:
        lines += [line.replace(f"{PROJECT}:region", REGION, 1) for line in error.lines]
    else:
        if not lines:
            return settings
    raise SettingsError(tuple(lines))


def group(name: str) -> type[BaseModel] | None:
    """Return the type of a setting that is a group of others, as `database` is; None for any other."""
    field = Settings.model_fields.get(name)
    kind = field.annotation if field else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _value(name: str, value: Any) -> Any:  # noqa: ANN401 - any YAML value
    if group(name) is None:
        # The engine hands all of these over as text: an account's leading zeros are no number's.
        return (
            str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, int | float) else value
        )
    if isinstance(value, str):
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return value
    return value


def _unknown(prefix: str, model: type[BaseModel], given: dict[str, Any]) -> list[str]:
    """Take names that are no settings out of what was given, and return a line for each."""
    lines = []
    for name, value in list(given.items()):
        if name not in model.model_fields:
            del given[name]
            lines.append(f"{prefix}{name}: no such setting{_hint(name, model.model_fields)}")
        elif model is Settings and (inner := group(name)) is not None and isinstance(value, dict):
            given[name] = dict(value)
            lines += _unknown(f"{prefix}{name}.", inner, given[name])
    return lines


def _hint(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f", did you mean {close[0]}" if close else ""


def _named(values: dict[Any, Any]) -> Iterable[tuple[str, Any]]:
    return ((str(key), value) for key, value in values.items())


def _files(directory: Path) -> Iterable[Path]:
    return directory.glob("Pulumi.*.yaml")
