"""How a stream reads and writes its configurations: `stream.reading.Files` on the table of formats.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from l2hmc_bridge.adapters.format.metadata import CARRIED
from l2hmc_bridge.errors import FormatError
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.stream.reading import Output
from l2hmc_bridge.stream.start import Start

from . import table

FALLBACK = "ildg"  # the format written where the input's cannot be


def read(path: Path) -> Configuration:
    """A verified configuration."""
    return table.read(path)


def count(path: Path) -> int:
    """How many configurations a file holds."""
    return table.count(path)


def carried(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What every writer carries as far as its format can hold it."""
    return {key: meta[key] for key in (*CARRIED, "info") if meta.get(key) is not None}


def output_format(start: Start, asked: str | None) -> Output:
    """(name, suffix) of what is written: asked for, the input's, or ILDG where neither can be."""
    writable = {name: form for name, form in table.FORMATS.items()
                if form.write is not None and form.suffixes}
    if asked is not None:
        if table.by_name(asked).name not in writable:
            raise FormatError(f"--format: expected one of {', '.join(writable)}, found {asked}, "
                              "which no configuration can be written in here")
        return Output(asked, writable[asked].suffixes[0])
    name = start.format or FALLBACK
    if name not in writable:
        start.notes.append(f"{start.name}: format {start.format} is not written here: {FALLBACK} "
                           "is (--format)")
        name = FALLBACK
    return Output(name, writable[name].suffixes[0])


def write(path: Path, configuration: Configuration, format: str) -> None:
    """Write a whole file or none, replacing what is there."""
    table.write(path, configuration, format=format, force=True)
