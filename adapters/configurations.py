"""Which configuration files a stream or a list of paths holds, in order."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from l2hmc_bridge.errors import BridgeError, FormatError

from . import files

OWN_NAME = re.compile(r"cfg_(\d+)\.[^.]+")
CHAIN = re.compile(r"chain_(\d+)")


class Source(NamedTuple):
    """One configuration file; chain and trajectory are None where the name does not say."""

    path: Path
    chain: int
    trajectory: int | None


def find(paths: Iterable[Path]) -> list[Source]:
    """Files as they are; a folder stands for its configurations, by chain and trajectory.

    A stream's own names are cfg_<trajectory>.<suffix>, in chain_<c>/ for several chains; in any
    other folder every file of a known format counts. Raises FormatError where nothing is found.
    """
    sources = []
    for path in map(Path, paths):
        if path.is_dir():
            found = sorted(_in_stream(path), key=lambda s: (s.chain, s.trajectory))
            found = found or sorted(_in_folder(path), key=_order)
            if not found:
                raise FormatError(f"{path}: expected a folder with configurations, found none")
            sources.extend(found)
        else:
            sources.append(Source(path, 0, trajectory_of(path)))
    return sources


def trajectory_of(path: Path) -> int | None:
    """The number a production code put into the name: the last one, cfg_12.ildg, ckpoint_lat.12.

    Lattice sizes and couplings also stand in names: only a number after the last "_", "." or "n"
    of the stem, or a purely numeric suffix, counts.
    """
    if path.suffix[1:].isdigit():
        return int(path.suffix[1:])
    match = re.search(r"(?:^|[_.n-])(\d+)$", path.stem)
    return int(match.group(1)) if match and "." not in path.stem[-4:] else None


def is_stream(path: Path) -> bool:
    """Whether a folder holds a stream of ours."""
    return path.is_dir() and ((path / "history.h5").exists() or any(_in_stream(path)))


def _in_stream(folder: Path) -> Iterator[Source]:
    places = [(0, folder)]
    for place in folder.iterdir():
        match = CHAIN.fullmatch(place.name)
        if match and place.is_dir():
            places.append((int(match.group(1)), place))
    for chain, place in places:
        for path in place.iterdir():
            match = OWN_NAME.fullmatch(path.name)
            if match and path.is_file():
                yield Source(path, chain, int(match.group(1)))


def _in_folder(folder: Path) -> Iterator[Source]:
    for path in folder.iterdir():
        if not path.is_file() or path.name.startswith("."):
            continue
        try:
            files.detect(path)
        except BridgeError:
            continue
        yield Source(path, 0, trajectory_of(path))


def _order(source: Source) -> tuple[int, str]:
    return (-1 if source.trajectory is None else source.trajectory, source.path.name)
