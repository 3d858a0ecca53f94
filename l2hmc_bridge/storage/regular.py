"""Regular files and nothing else: no pipe, no device, and among one's own no symbolic link.

Opening a pipe waits for a writer, a device may never end, and a link leads to what is somebody
else's: files are opened first, without waiting, and looked at before a byte is read or written.
"""

import os
import stat
from io import BufferedReader, FileIO
from pathlib import Path

from l2hmc_bridge.errors import BridgeError

KINDS = ((stat.S_ISREG, "a file"), (stat.S_ISDIR, "a folder"), (stat.S_ISLNK, "a symbolic link"),
         (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"),
         (stat.S_ISBLK, "a device"))
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NOW = getattr(os, "O_NONBLOCK", 0)


def kind(path: Path, links: bool = False) -> str | None:
    """What lies at `path`: "a file", "a folder", "a symbolic link", ...; None for nothing.

    links: say what the end of a symbolic link is instead.
    """
    try:
        found = os.stat(path, follow_symlinks=links)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return named(found.st_mode)


def named(mode: int) -> str:
    """The kind of file that has this mode."""
    return next((name for test, name in KINDS if test(mode)), "something else")


def reading(path: Path, error: type[BridgeError], links: bool = True) -> BufferedReader:
    """An open file to read from. Raises `error` unless a regular file lies there.

    links: follow symbolic links; what a stream has in its own folder is none.
    """
    return open(_opened(path, os.O_RDONLY | (0 if links else _NO_LINK), error), "rb")


def changing(path: Path, error: type[BridgeError]) -> FileIO:
    """An open file to read and change, unbuffered; no link is followed. Raises `error`."""
    return FileIO(_opened(path, os.O_RDWR | _NO_LINK, error), "r+b")


def creating(path: Path, error: type[BridgeError]) -> FileIO:
    """A new, empty file to write to, unbuffered. Raises `error` if anything has the name."""
    return FileIO(_opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, error), "wb")


def appending(path: Path, error: type[BridgeError]) -> int:
    """A descriptor of a file, made if need be, to whose end is written. Raises `error`."""
    return _opened(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, error)


def content(path: Path, most: int, error: type[BridgeError], links: bool = True) -> bytes:
    """All of a file of at most `most` bytes. Raises `error` for a larger one or none."""
    with reading(path, error, links) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise error(f"{path}: expected at most {most} bytes, found {size}")
        return file.read(most + 1)[:most]


def _opened(path: Path, flags: int, error: type[BridgeError]) -> int:
    """A descriptor of a regular file. Raises `error` for anything else."""
    try:
        descriptor = os.open(path, flags | _NOW, 0o644)
    except OSError as reason:
        raise error(f"{path}: {_why(path, reason)}") from reason
    try:
        found = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(found):
            raise error(f"{path}: expected a file, found {named(found)}")
        return descriptor
    except BaseException:
        os.close(descriptor)
        raise


def _why(path: Path, reason: OSError) -> str:
    """What is in the way, in words, else what the system says."""
    found = kind(path)
    if isinstance(reason, FileExistsError):
        return f"expected no file here, found {found or 'one'}"
    if found is None and isinstance(reason, FileNotFoundError | NotADirectoryError):
        return "expected a file, found none"
    if found not in (None, "a file") and not isinstance(reason, PermissionError):
        return f"expected a file, found {found}"
    return reason.strerror or str(reason)
