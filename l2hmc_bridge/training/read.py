"""A training file: TOML, read into a checked `Config`.

Unknown keys, wrong types and impossible values are refused before anything runs.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.storage import parsing, regular
from l2hmc_bridge.training.checks import MOST_STAGES, check, number
from l2hmc_bridge.training.config import Config, Model, Stage


def read(path: Path) -> Config:
    """Read and check a TOML file. Raises ConfigError with the key and the choices."""
    table = table_of(path)
    try:
        return parse(table)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def table_of(path: Path) -> dict[str, Any]:
    """The table of a TOML file, not checked yet; a key `host` makes it one for nested steps."""
    path = Path(path)
    if regular.kind(path, links=True) is None:
        raise ConfigError(f"{path}: expected a training configuration, found no such file")
    return parsing.toml_table(path)


def parse(table: Mapping[str, Any]) -> Config:
    """The same from a table that was read already."""
    table = dict(table)
    model = make(Model, table.pop("model", {}), "model")
    stages = table.pop("stage", [{}])
    if not isinstance(stages, list) or not 0 < len(stages) <= MOST_STAGES:
        raise ConfigError(f"stage: expected 1 to {MOST_STAGES} tables [[stage]], found "
                          f"{parsing.shown(stages)}")
    stages = tuple(make(Stage, stage, "stage") for stage in stages)
    config = make(Config, {**table, "model": model, "stages": stages}, "")
    check(config)
    return config


def make(kind, table: Mapping[str, Any], where: str):
    """A dataclass from a table of these names and types; ConfigError names the key at fault."""
    fields = {field.name: field for field in dataclasses.fields(kind)}
    prefix = f"{where}." if where else ""
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where}: expected a table, found {parsing.shown(table)}")
    unknown = sorted(set(table) - set(fields))
    if unknown:
        shown = sorted("stage" if name == "stages" else name for name in fields)
        raise ConfigError(f"{prefix}{unknown[0][:40]}: unknown key, expected one of {shown}")
    values = {}
    for name, field in fields.items():
        if name not in table:
            if field.default is dataclasses.MISSING:
                raise ConfigError(f"{prefix}{name}: expected a value, found none")
            continue
        values[name] = _convert(table[name], field, prefix + name)
    return kind(**values)


def _convert(value: Any, field: dataclasses.Field, name: str) -> Any:
    built = value if isinstance(value, tuple) else (value,)
    if built and all(map(dataclasses.is_dataclass, built)):
        return value
    wanted = str(field.type) if not isinstance(field.type, type) else field.type.__name__
    entry = (lambda v: isinstance(v, str)) if wanted.startswith("tuple[str") else number
    right = {
        "int": lambda v: isinstance(v, int) and not isinstance(v, bool),
        "float": number,
        "str": lambda v: isinstance(v, str),
        "bool": lambda v: isinstance(v, bool),
        "dict": lambda v: isinstance(v, dict),
        "tuple": lambda v: isinstance(v, list | tuple) and all(map(entry, v)),
    }[wanted.split("[")[0].split(" ")[0]]
    if not right(value):
        raise ConfigError(f"{name}: expected {wanted}, found {parsing.shown(value)}")
    if wanted.startswith("tuple"):
        return tuple(value)
    return float(value) if wanted == "float" else value
