"""How a stream reads and writes its configurations: `stream.reading.Files` on the table of formats.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from l2hmc_bridge.adapters.files import table
from l2hmc_bridge.adapters.files.reading import MENDING, Reading
from l2hmc_bridge.adapters.format.metadata import CARRIED
from l2hmc_bridge.errors import FormatError
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.stream.options import SampleOptions, UpdateOptions
from l2hmc_bridge.stream.reading import Output
from l2hmc_bridge.stream.start import Start
from l2hmc_bridge.systems.theory import Theory

from . import theory

FALLBACK = "ildg"  # the format written where the input's cannot be


@dataclass(frozen=True)
class StreamFiles:
    """Files read as `reading` says; side files that tell of the theory also lie in `folders`."""

    reading: Reading = MENDING
    folders: Sequence[Path] = ()

    def read(self, path: Path) -> Configuration:
        """A verified configuration."""
        return self.reading.read(path)

    def header(self, path: Path) -> Mapping[str, Any]:
        """The metadata alone."""
        return self.reading.header(path)

    def count(self, path: Path) -> int:
        """How many configurations a file holds."""
        return self.reading.count(path)

    def theory(self, path: Path, meta: Mapping[str, Any]) -> Theory:
        """What the file and the side files of its code state."""
        return theory.of(path, meta, self.folders)

    def carried(self, meta: Mapping[str, Any]) -> dict[str, Any]:
        """What every writer carries as far as its format can hold it."""
        return {key: meta[key] for key in (*CARRIED, "info") if meta.get(key) is not None}

    def output_format(self, start: Start, asked: str | None) -> Output:
        """(name, suffix) of what is written: asked for, the input's, or ILDG if neither can be."""
        writable = {name: form for name, form in table.FORMATS.items()
                    if form.write is not None and form.suffixes}
        if asked is not None:
            if table.by_name(asked).name not in writable:
                raise FormatError(f"--format: expected one of {', '.join(writable)}, found "
                                  f"{asked}, which no configuration can be written in here")
            return Output(asked, writable[asked].suffixes[0])
        name = start.format or FALLBACK
        if name not in writable:
            start.notes.append(f"{start.name}: format {start.format} is not written here: "
                               f"{FALLBACK} is (--format)")
            name = FALLBACK
        return Output(name, writable[name].suffixes[0])

    def write(self, path: Path, configuration: Configuration, format: str) -> None:
        """Write a whole file or none, replacing what is there."""
        table.write(path, configuration, format=format, force=True)


def asked_for(options: UpdateOptions, folders: Sequence[Path] = ()) -> StreamFiles:
    """Files as these options say that they are to be read."""
    lattice = options.lattice if isinstance(options, SampleOptions) else None
    return StreamFiles(Reading(options.source, lattice, tuple(options.accept), mend=True), folders)
