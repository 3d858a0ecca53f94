"""One writer per folder: an advisory lock that vanishes with its process."""

import fcntl
import os
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.storage import regular

NAME = "lock"
HOLDER = re.compile(rb"process \d+ on [^\n]*\n?|")  # what a killed run may have left
LONGEST = 400
OPENED = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder`/lock (it names process and host); StreamError if another process does.

    The kernel drops the lock when its holder ends, however it ends: a file left behind by a
    killed run is no obstacle. What bears the name and is no lock of ours is refused, not changed.
    """
    path = folder / NAME
    descriptor = _acquire(path)
    try:
        _require_ours(descriptor, path)
    except BaseException:
        os.close(descriptor)
        raise
    try:
        os.truncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held: see _acquire
        os.close(descriptor)


def _acquire(path: Path) -> int:
    """An open descriptor with the lock on the file that bears the name now.

    The last holder may have removed the file between our open and our lock; then we try again.
    """
    while True:
        try:
            descriptor = os.open(path, OPENED, 0o644)
        except OSError as error:
            found = regular.kind(path)
            if found not in (None, "a file"):
                raise StreamError(f"{path}: expected no file or a lock, found {found}") from error
            raise StreamError(f"{path}: could not be written: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, LONGEST).decode("utf-8", "replace").strip()
            os.close(descriptor)
            raise StreamError(
                f"{path.parent}: expected no other run in this folder, found "
                f"{holder or 'a lock'} ({error.strerror})"
            ) from error
        if _same_file(descriptor, path):
            return descriptor
        os.close(descriptor)


def _require_ours(descriptor: int, path: Path) -> None:
    """Raise StreamError unless the file is empty or names a process, as locks do."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise StreamError(f"{path}: expected no file or a lock, found "
                          f"{regular.named(found.st_mode)}")
    if not HOLDER.fullmatch(os.pread(descriptor, LONGEST + 1, 0)):
        raise StreamError(f"{path}: expected no file or a lock, found another file of this name")


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        named = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    held = os.fstat(descriptor)
    return (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino)
