"""Which configurations a list of files, folders and streams holds, with chain and trajectory."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from l2hmc_bridge.adapters.format.metadata import trajectory_of
from l2hmc_bridge.errors import BridgeError

from . import ensemble
from .ensemble import Source
from .reading import Reading


def find(paths: Iterable[Path], reading: Reading | None = None) -> list[Source]:
    """The configurations of files, patterns and folders, in order; `reading` names their format.

    A stream's own are cfg_<trajectory>.<suffix>, in chain_<c>/ for several chains; of any other
    folder every file of a known format counts. Raises FormatError if nothing is found.
    """
    reading = reading or Reading()
    sources = []
    for path in map(Path, paths):
        own = [Source(file, chain=chain or 0, trajectory=number)
               for chain, number, file in ensemble.in_stream(path)]
        for file in [] if own else ensemble.expand(path, reading.format, reading.lattice):
            own.extend(in_file(file, reading))
        sources.extend(own)
    return sources


def in_file(path: Path, reading: Reading) -> Iterator[Source]:
    """The configurations of one file; one that cannot be read counts as one."""
    try:
        chains = reading.chains(path)
    except BridgeError:
        chains = [0]  # whoever reads it will say what is wrong with it
    for index, chain in enumerate(chains):
        yield Source(path, index if len(chains) != 1 else None, chain)


def number_of(source: Source, meta: Mapping[str, Any]) -> int | None:
    """The trajectory of a source whose file says `meta`: its name counts before what is stated."""
    if source.index is not None:
        return meta["trajectory"]
    if source.trajectory is not None:
        return source.trajectory
    named = trajectory_of(source.path.name, lattice=meta["lattice"])
    return meta["trajectory"] if named is None else named
