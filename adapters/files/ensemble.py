"""Many configurations as one sequence: an HDF5 ensemble, a pattern, a folder or a list of files."""

import glob
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from l2hmc_bridge.errors import FormatError
from l2hmc_bridge.fields.configuration import Configuration

from . import table as files

OWN_NAME = re.compile(r"cfg_(\d{1,18})\.[^.]+")
CHAIN = re.compile(r"chain_(\d{1,9})")


@dataclass(frozen=True)
class Source:
    """One configuration; `index` if its file holds several, trajectory if it is a stream's own."""

    path: Path
    index: int | None = None
    chain: int = 0
    trajectory: int | None = None


class Ensemble(Sequence[Configuration]):
    """Random access to configurations; a file is opened only when one of its own is asked for."""

    def __init__(
        self, sources: Sequence[Source], format: str | None, verify: bool, options: dict[str, Any]
    ):
        self.sources = tuple(sources)
        self._format, self._verify, self._options = format, verify, options

    def __len__(self) -> int:
        return len(self.sources)

    @overload
    def __getitem__(self, item: int) -> Configuration: ...
    @overload
    def __getitem__(self, item: slice) -> "Ensemble": ...
    def __getitem__(self, item: int | slice) -> "Configuration | Ensemble":
        if isinstance(item, slice):
            return Ensemble(self.sources[item], self._format, self._verify, self._options)
        path, options = self._source(item)
        return files.read(path, self._format, self._verify, **options)

    def __iter__(self) -> Iterator[Configuration]:
        return (self[item] for item in range(len(self)))

    def header(self, item: int) -> dict[str, Any]:
        """The metadata of one configuration; its links are not touched."""
        path, options = self._source(item)
        for name in ("slices", "accept", "mend"):
            options.pop(name, None)
        return files.header(path, self._format, **options)

    def _source(self, item: int) -> tuple[Path, dict[str, Any]]:
        path, index = self.sources[item].path, self.sources[item].index
        options = dict(self._options)
        if index is not None:
            options["index"] = index
        return path, options


def open_ensemble(
    source: str | Path | Sequence[str | Path],
    format: str | None = None,
    verify: bool = True,
    **options: Any,
) -> Ensemble:
    """The configurations of an HDF5 ensemble, a pattern (`cfg_*.lime`), a folder or a list.

    Files of a pattern or folder come in the order of the numbers in their names, those of a stream
    with chains chain by chain. Options as in
    `files.read` (slices=(a, b) reads those time slices alone; lattice=(X,Y,Z,T); accept; mend).
    Raises FormatError.
    """
    given = [source] if isinstance(source, str | Path) else list(source)
    lattice = options.get("lattice")
    sources = []
    for one in given:
        chains = [found for found in in_stream(Path(one)) if found[0] is not None]
        paths = [(chain or 0, path) for chain, _, path in chains] or [
            (0, path) for path in expand(one, format, lattice)]
        for chain, path in paths:
            held = files.chains(path, format)
            sources += [Source(path, index if len(held) != 1 else None, chain or own)
                        for index, own in enumerate(held)]
    return Ensemble(sources, format, verify, options)


def expand(
    source: str | Path, format: str | None = None, lattice: Sequence[int] | None = None
) -> list[Path]:
    """The files that a name, a pattern or a folder stands for. Raises FormatError on none.

    Of a folder those of a known format, or of `format` (headerless ones by the size of `lattice`).
    """
    path = Path(source)
    if path.is_dir():
        found = [one for one in path.iterdir() if one.is_file() and not one.name.startswith(".")
                 and _is_configuration(one, format, lattice)]
    elif path.exists() or not glob.has_magic(str(source)):
        return [path]
    else:
        found = [Path(name) for name in glob.glob(str(source)) if Path(name).is_file()]
    if not found:
        raise FormatError(f"{source}: expected configuration files, found none")
    return sorted(found, key=_numbers)


def in_stream(folder: Path) -> list[tuple[int | None, int, Path]]:
    """(chain, trajectory, file) of the configurations that a stream has in its folder, in order.

    cfg_<trajectory>.<suffix>, chain None; of several chains in chain_<c>/.
    """
    if not folder.is_dir():
        return []
    places: list[tuple[int | None, Path]] = [(None, folder)]
    for place in folder.iterdir():
        match = CHAIN.fullmatch(place.name)
        if match and place.is_dir():
            places.append((int(match.group(1)), place))
    found = [(chain, int(match.group(1)), path) for chain, place in places
             for path in place.iterdir()
             if (match := OWN_NAME.fullmatch(path.name)) and path.is_file()]
    return sorted(found, key=lambda one: (one[0] or 0, one[1]))


def _is_configuration(path: Path, format: str | None, lattice: Sequence[int] | None) -> bool:
    """Whether a file of a folder is a configuration; HDF5 files there are histories."""
    try:
        if format is not None:
            files.header(path, format, lattice=lattice)
            return True
        return files.detect(path).name != "hdf5"
    except FormatError:
        return False


def _numbers(path: Path) -> list[tuple[int, str]]:
    """Sorts cfg_9 before cfg_10."""
    parts = re.split(r"([0-9]+)", path.name)
    return [(int(part), "") if part.isdigit() else (0, part) for part in parts]
