"""What one file format is to the rest of the package: a name, a sniffer, a reader, a writer."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from l2hmc_bridge.fields.configuration import Configuration


@dataclass(frozen=True)
class Format:
    """One entry of the table `files.FORMATS`.

    sniff(head, size): whether a file that begins with these 512 bytes and has this size is one.
    read(path, verify, **read_options) -> Configuration with meta["checks"] and meta["warnings"].
    write(path, configuration, force, **write_options); None if the format is read-only.
    header(path, **read_options) -> meta alone, without touching the links (and without torch).
    chains(path): the chain of each configuration in a file; None if it always holds one.
    by_parts: whether processes that share a lattice each read and write their own sites.
    read_options, write_options: names of the keyword arguments that the format understands.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    sniff: Callable[[bytes, int], bool]
    read: Callable[..., Configuration]
    write: Callable[..., None] | None
    header: Callable[..., dict[str, Any]]
    read_options: tuple[str, ...] = ()
    write_options: tuple[str, ...] = ()
    chains: Callable[[Path], list[int]] | None = None
    by_parts: bool = False


def later(module: str, name: str, **fixed: Any) -> Callable[..., Any]:
    """A function of `module` (its full name), which is imported when it is first called.

    Links need torch, headers do not: this is the one place where the ways part.
    """
    def call(*arguments: Any, **options: Any) -> Any:
        function = getattr(importlib.import_module(module), name)
        return function(*arguments, **fixed, **options)

    return call
