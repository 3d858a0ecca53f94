"""The theory of a configuration from its file and from what its code keeps beside it.

Chroma's restart XML, openQCD's log; MILC's .info file and the name of HiRep's belong to the
configuration already.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from l2hmc_bridge.adapters.theory import chroma, hirep, openqcd
from l2hmc_bridge.errors import ActionError, FormatError
from l2hmc_bridge.systems.theory import PRINTED, Theory, combined

from .chroma_restart import LARGEST_XML
from .names import HostStream, recognise
from .side import find


def of(path: Path, meta: Mapping[str, Any], folders: Sequence[Path] = ()) -> Theory:
    """What the file at `path`, read as `meta`, and the side files of its stream state together.

    Side files are looked for beside it and in `folders`. Raises FormatError for a damaged one.
    """
    try:
        stream = recognise(path, meta)
    except FormatError:  # no name of a host's
        return meta["theory"]
    return combined([meta["theory"], *beside(stream, (path.parent, *folders))])


def require_beta(stream: HostStream, folders: Sequence[Path], beta: float) -> None:
    """Raise ActionError if a side file or a name of the stream states another beta."""
    name = stream.path(stream.number).name
    named = [hirep.read(name, name)] if stream.format == "hirep" else []
    for theory in (*beside(stream, folders), *named):
        if theory.beta is not None and abs(theory.beta - beta) > PRINTED:
            raise ActionError(f"{theory.source}: expected beta {beta!r}, which is sampled here "
                              f"(--beta), found beta {theory.beta!r}: the host samples another "
                              "distribution")


def beside(stream: HostStream, folders: Sequence[Path]) -> Iterator[Theory]:
    """What each side file of the stream states."""
    if stream.scheme.name == "Chroma":
        path = find(stream.file_name("{stem}_restart_{number}.xml", stream.number), folders)
        if path is not None and path.stat().st_size <= LARGEST_XML:
            yield chroma.read(path.read_text("utf-8", "replace"), str(path))
    if stream.scheme.name == "openQCD":
        path = find(f"{stream.stem}.log", folders)
        if path is not None:
            with open(path, encoding="latin-1") as file:
                yield openqcd.read(file, str(path))
