"""One writer per folder: an advisory lock that vanishes with its process."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from l2hmc_bridge.errors import StreamError

NAME = "lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder`/lock (it names process and host); StreamError where another process does.

    The kernel drops the lock when its holder ends, however it ends: a file left behind by a
    killed run is no obstacle.
    """
    path = folder / NAME
    descriptor = _acquire(path)
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
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StreamError(f"{path}: could not be written: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 200).decode("utf-8", "replace").strip()
            os.close(descriptor)
            raise StreamError(
                f"{path.parent}: expected no other run in this folder, found "
                f"{holder or 'a lock'} ({error.strerror})"
            ) from error
        if _same_file(descriptor, path):
            return descriptor
        os.close(descriptor)


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        named = os.stat(path)
    except FileNotFoundError:
        return False
    held = os.fstat(descriptor)
    return (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino)
