"""Files of a continued stream: written aside, noted in the host's log, then named together."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.records import host_log
from l2hmc_bridge.adapters.streams.names import HostStream
from l2hmc_bridge.adapters.streams.side import Side
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.ranks.hands import Hands
from l2hmc_bridge.recorded.definition import Definition
from l2hmc_bridge.storage import together
from l2hmc_bridge.storage.together import Aside
from l2hmc_bridge.stream.configurations import renamed

NAMED = ("ildg", "scidac")  # formats that hold a logical file name


def aside(
    host: HostStream, number: int, first: int, definition: Definition, links: torch.Tensor,
    sides: Sequence[Side], hands: Hands,
) -> list[Aside]:
    """Configuration and side files under temporary names, in the order of hosts.

    All write the configuration, the first of `hands` its side files: `sides` are asked for there.
    """
    path = host.path(number)
    reached = number
    if host.scheme.name == "tmLQCD":  # whose files are numbered by saves, not by trajectories
        reached += first - host.number
    meta = renamed({**definition.meta[0], "trajectory": reached}, path.name)
    if host.format in NAMED:  # not after the temporary name
        meta["lfn"] = meta.get("lfn") or f"lfn://l2hmc-bridge/{path.name}"
    configuration = Configuration(links.cpu(), meta)

    def write(place: Path) -> None:
        files.write(place, configuration, format=host.format, **host.options)

    written = together.write_aside(path, False, write, hands)
    with _forgotten([written]):
        return [written, *hands.made(lambda: _sides_aside(sides))]


def _sides_aside(sides: Sequence[Side]) -> list[Aside]:
    made: list[Aside] = []
    with _forgotten(made):
        for side in sides:
            made.append(together.write_aside(side.path, side.replaces, side.write))
    return made


def place(host: HostStream, made: Sequence[Aside], entry: Mapping[str, Any]) -> None:
    """Note the files that lie aside, then give them their names."""
    with _forgotten(made):
        host_log.append(host.folder, {**entry, "files": together.noted(made, host.folder)})
    together.finish(made)


@contextmanager
def _forgotten(made: Sequence[Aside]) -> Iterator[None]:
    """Files that lie aside go if they could not be noted: nobody would know of them."""
    try:
        yield
    except BaseException:
        together.forget(one.part for one in made)
        raise
