"""log.jsonl: the rows of a stream on disk, append-only, with a running digest of all of it."""

import errno
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.recorded.rows import Row, decode, encode
from l2hmc_bridge.storage import regular


class Log:
    """The open log of a stream; `size` is its length in bytes, all of it complete lines."""

    def __init__(self, path: Path, file: BinaryIO, content: bytes = b""):
        self.path, self.size = path, len(content)
        self._file, self._sha = file, hashlib.sha256(content)

    @classmethod
    def begin(cls, path: Path) -> "Log":
        """A new, empty log. Raises StreamError if anything has this name or it cannot be written.
        """
        return cls(path, regular.creating(path, StreamError))

    @classmethod
    def reopen(
        cls, path: Path, size: int, rows: int, first: Sequence[int], digest: str | None = None
    ) -> tuple["Log", list[Row]]:
        """The log with the rows of its first `size` bytes; `cut_back` removes what is behind them.

        Raises StreamError unless these are exactly `rows` whole lines with fitting checksums and
        numbers that follow `first`, and have the SHA-256 `digest`, if that is known.
        """
        file = regular.changing(path, StreamError)
        try:
            with _named(path):
                there = os.fstat(file.fileno()).st_size
                data = _front(file, min(size, there))
            found = decode(path, data, first)
            if len(data) < size or len(found) != rows:
                raise StreamError(f"{path}: expected {rows} trajectories in {size} bytes, found "
                                  f"{len(found)} in {there}: the log was damaged")
            log = cls(path, file, data)
            if digest not in (None, log.digest):
                raise StreamError(f"{path}: expected the log that this stream's state knows "
                                  f"({digest[:12]}), found another ({log.digest[:12]}): the log of "
                                  "another stream, or altered")
        except BaseException:
            file.close()
            raise
        return log, found

    @property
    def digest(self) -> str:
        """SHA-256 of the whole log, in hex."""
        return self._sha.hexdigest()

    def cut_back(self) -> None:
        """Remove what lies behind the last save point; it will be done again."""
        with _named(self.path):
            self._file.truncate(self.size)
            self._file.seek(self.size)

    def append(self, row: Row) -> None:
        """Add one line; after a failure the log is as it was. Raises StreamError."""
        line = encode(row)
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self._file.truncate(self.size)
            raise StreamError(f"{self.path}: could not be written: {error.strerror}") from error
        self.size += len(line)
        self._sha.update(line)

    def sync(self) -> None:
        """Wait until all lines are on the disk."""
        with _named(self.path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@contextmanager
def closing_on_error(log: Log) -> Iterator[None]:
    """Close the log if what follows its opening fails."""
    try:
        yield
    except BaseException:
        log.close()
        raise


def _front(file: BinaryIO, size: int) -> bytes:
    """The first `size` bytes; one call of the system reads 2 GiB at most."""
    parts: list[bytes] = []
    while size > 0:
        parts.append(file.read(min(size, 1 << 30)))
        size -= len(parts[-1]) or size
    return b"".join(parts)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """An OSError as a StreamError that names the file."""
    try:
        yield
    except OSError as error:
        raise StreamError(f"{path}: {error.strerror or error}") from error
