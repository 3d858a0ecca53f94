"""The folder of a stream: what lies in it under which name, and whether a new one is free.

    log.jsonl, history.h5, state.safetensors, summary.json, bundle.safetensors, lock
    cfg_<trajectory>.<suffix>, of several chains in chain_<number>/

Whatever else is there is somebody else's: it is never opened, changed or removed.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.recorded import state as checkpoint
from l2hmc_bridge.recorded.definition import Definition
from l2hmc_bridge.storage import lock, regular

LOG, BUNDLE = "log.jsonl", "bundle.safetensors"
# What `atomic` calls a file of a stream until it is whole.
PARTIAL = re.compile(r"\.(state|history|summary|bundle|cfg_\d+)\.[0-9a-f]{8}\.part(\.[\w-]*)?")


@contextmanager
def new_folder(folder: Path) -> Iterator[None]:
    """Make `folder` if need be; an error that leaves it empty removes it again."""
    require_free(folder)
    made = regular.kind(folder, links=True) is None
    if made:
        try:
            folder.mkdir()
        except OSError as error:
            raise StreamError(f"{folder}: could not be made: {error.strerror}") from error
    try:
        yield
    except BaseException:
        if made and not any(folder.iterdir()):
            folder.rmdir()
        raise


@contextmanager
def nothing_left(folder: Path) -> Iterator[None]:
    """In a free folder, locked: an error before the first save point leaves it as it was.

    Raises StreamError for a folder that is not free.
    """
    require_free(folder)
    forget(folder)
    try:
        yield
    except BaseException:
        if not checkpoint.exists(folder):
            forget(folder)
        raise


def require_free(folder: Path) -> None:
    """Raise StreamError unless `folder` is absent or holds nothing that anybody could miss."""
    if not folder.parent.is_dir():
        raise StreamError(f"{folder}: expected the folder {folder.parent} to exist (--out), found "
                          "none")
    found = regular.kind(folder, links=True)
    if found is None and regular.kind(folder) is None:
        return
    if found != "a folder":
        raise StreamError(f"{folder}: expected a new folder (--out), found "
                          f"{found or 'a symbolic link to nothing'}")
    if checkpoint.exists(folder):
        raise StreamError(f"{folder}: expected a new folder (--out), found a stream; "
                          f"`sample --in {folder} --resume` goes on with it")
    other = sorted(path.name for path in folder.iterdir() if not _left_behind(path))
    if other:
        raise StreamError(f"{folder}: expected a new or empty folder (--out), found {other[0]}")


def forget(folder: Path) -> None:
    """Remove what a run without any save point leaves: an empty log, half-written files."""
    if _left_behind(folder / LOG):
        (folder / LOG).unlink(missing_ok=True)
    remove_partial(folder)


def remove_partial(*folders: Path) -> None:
    """Remove what killed runs left half written under temporary names."""
    for folder in folders:
        for path in folder.iterdir() if folder.is_dir() else ():
            if PARTIAL.fullmatch(path.name) and regular.kind(path) == "a file":
                path.unlink(missing_ok=True)


def chain_folders(folder: Path, definition: Definition) -> list[Path]:
    """The folders of the configurations, one for each chain. Raises StreamError as `chain_folder`.
    """
    return [chain_folder(folder, definition, chain) for chain in range(definition.chains)]


def chain_folder(folder: Path, definition: Definition, chain: int) -> Path:
    """The folder of one chain's configurations, that of the stream if it is the only one.

    Raises StreamError if something else has its name: no link is followed out of a stream.
    """
    if definition.chains == 1:
        return folder
    place = folder / f"chain_{chain}"
    found = regular.kind(place)
    if found not in (None, "a folder"):
        raise StreamError(f"{place}: expected the folder of a chain, found {found}")
    return place


def configuration_path(folder: Path, definition: Definition, chain: int, number: int) -> Path:
    """Where the configuration of a chain after trajectory `number` lies."""
    return chain_folder(folder, definition, chain) / f"cfg_{number}.{definition.suffix}"


def shown(folder: Path) -> str:
    """The name of a folder as a person or a file can hold it, whatever bytes are in it."""
    return os.fsencode(folder).decode("utf-8", "backslashreplace")


def _left_behind(path: Path) -> bool:
    """Whether a file is what a run without any save point leaves; a log is still empty then."""
    if regular.kind(path) != "a file":
        return False
    if path.name == lock.NAME:
        return True  # whether it is one of ours, `locked` says
    return bool(PARTIAL.fullmatch(path.name)) or path.name == LOG and path.stat().st_size == 0
