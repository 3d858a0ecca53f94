"""An update of a host's stream that was cut short: finished, or forgotten, by the next call.

`sample --continue` writes the configuration and its side files aside, notes them in
l2hmc_bridge.jsonl, and renames them. Killed before the note, only temporary files are left, and
they go; killed after it, the files are whole, and get their names now.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from l2hmc_bridge.adapters.records import host_log
from l2hmc_bridge.adapters.streams.names import HostStream
from l2hmc_bridge.adapters.streams.side_files import own_names
from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.storage import together
from l2hmc_bridge.storage.parsing import Entries
from l2hmc_bridge.storage.together import Aside


def found(
    host: HostStream, folders: Sequence[Path]
) -> tuple[dict[str, Any] | None, list[Path], list[str]]:
    """The last entry about the stream, and what `finish` made of its update."""
    entry = host_log.last(host.folder, host.name)
    renamed, said = finish(host, folders, entry)
    return entry, renamed, said


def finish(
    host: HostStream, folders: Sequence[Path], entry: Mapping[str, Any] | None
) -> tuple[list[Path], list[str]]:
    """(files of the last update that got their names now, sentences about what was found).

    entry: the last one about this stream; folders: where its files lie.
    """
    files = [] if entry is None else _noted(host.folder, entry)
    kept = {file.part for file in files}
    try:
        renamed = together.finish(files)
        said = []
    except StreamError as error:
        renamed, kept = [], set()
        said = [f"{error}: the update from {entry and entry['from']} to {entry and entry['to']} "
                "that was cut short is void"]
    together.forget(part for part in _left(host, folders) if renamed or part not in kept)
    if renamed:
        names = ", ".join(path.name for path in renamed)
        said.append(f"the last update was cut short: finished now ({names})")
    return renamed, said


def _noted(folder: Path, entry: Mapping[str, Any]) -> list[Aside]:
    """What an entry says lies aside; earlier versions noted nothing."""
    where = folder / host_log.NAME
    given = Entries.of(entry, where, StreamError)
    return [Aside.of(Entries.of(one, where, StreamError), folder)
            for one in (given.listed("files", most=64) if "files" in entry else [])]


def _left(host: HostStream, folders: Sequence[Path]) -> Iterator[Path]:
    """Temporary files of this stream, of a configuration or side file of any number."""
    words = {name: re.escape(text) for name, text in host.words().items()}
    related = re.compile(host.scheme.related.format(NUMBER=r"[0-9]{1,12}", **words), re.DOTALL)
    for folder in dict.fromkeys(folders):
        for path in folder.iterdir():
            name = together.final_name(path.name)
            if name is not None and (related.fullmatch(name) or name in own_names(host)):
                yield path
