"""A side file: what a host wants beside its configuration, and what writes it."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from .names import HostStream

DRAWN = "right only if the host has not drawn from it since"


class Side(NamedTuple):
    """A side file: where it comes from, what writes it (to a temporary name), what to say."""

    source: Path
    path: Path
    write: Callable[[Path], None]
    said: str

    @property
    def replaces(self) -> bool:
        """Whether it takes the place of its source."""
        return self.source == self.path


def pair(
    stream: HostStream, spelled: str, number: int, folders: Sequence[Path]
) -> tuple[str, tuple[Path, Path] | None]:
    """(name of the side file there should be, (where it is, where that of `number` goes))."""
    name = stream.file_name(spelled, stream.number)
    source = find(name, folders)
    if source is None:
        return name, None
    return name, (source, source.with_name(stream.file_name(spelled, number)))


def find(name: str, folders: Sequence[Path]) -> Path | None:
    """The first file of this name in the folders, None where none has it."""
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def copy(source: Path, place: Path) -> None:
    """The same bytes under another name."""
    shutil.copyfile(source, place)


def fill(place: Path, data: bytes) -> None:
    """These bytes under this name."""
    place.write_bytes(data)
