"""Writing a file so that its final name only ever belongs to a complete one."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from l2hmc_bridge.errors import BridgeError
from l2hmc_bridge.storage import regular

LONGEST_STEM = 200  # of a file's name that its temporary one keeps


def refuse_existing(path: Path, force: bool) -> None:
    """Raise BridgeError if `path` exists and `force` does not allow to replace it.

    Only files are ever replaced: never a folder, a pipe, a device or a symbolic link.
    """
    found = regular.kind(path)
    if found not in (None, "a file"):
        raise BridgeError(f"{path}: expected the name of a file to write, found {found}")
    if found and not force:
        raise BridgeError(f"{path}: expected no file here, found one (--force replaces)")
    if not path.parent.is_dir():
        raise BridgeError(f"{path}: expected the folder {path.parent} to exist, found none")


@contextmanager
def temporary_path(path: Path, force: bool) -> Iterator[Path]:
    """A temporary name beside `path`; what was written there is synced and renamed on success.

    On any failure the temporary file is removed and what `path` held before stays whole. An
    OSError (full disk, no permission) comes out as a BridgeError that names `path`.
    """
    path = Path(path)
    refuse_existing(path, force)
    temporary = temporary_name(path)
    try:
        yield temporary
        sync(temporary)
        if force:
            os.replace(temporary, path)
        else:
            _rename_new(temporary, path)
        sync(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BridgeError(f"{path}: could not be written: {reason}") from error
    finally:
        temporary.unlink(missing_ok=True)


def temporary_name(path: Path) -> Path:
    """A name beside `path` that nobody has: `.STEM.XXXXXXXX.part.SUFFIX`."""
    return path.with_name(f".{path.stem[:LONGEST_STEM]}.{secrets.token_hex(4)}.part{path.suffix}")


@contextmanager
def replacing(path: Path, force: bool) -> Iterator[BinaryIO]:
    """Like `temporary_path`, as an open binary file."""
    with temporary_path(path, force) as temporary, open(temporary, "xb") as file:
        yield file
        file.flush()


def _rename_new(temporary: Path, path: Path) -> None:
    """Rename that fails when somebody else made `path` meanwhile."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        refuse_existing(path, force=False)
        os.replace(temporary, path)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
