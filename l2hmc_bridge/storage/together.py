"""Several files that appear together: each is written aside, then all are renamed.

Whoever writes them notes what lies aside before the first is renamed. If the process ends in
between, whoever comes next finishes it, or forgets it if somebody else changed a file meanwhile:
nothing has to be removed by hand, and nothing that changed since is overwritten.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from l2hmc_bridge.errors import BridgeError, StreamError
from l2hmc_bridge.storage import atomic, regular
from l2hmc_bridge.storage.parsing import Entries

Made = TypeVar("Made")
TEMPORARY = re.compile(r"\.(?P<stem>.+)\.[0-9a-f]{8}\.part(?P<suffix>\.[^.]*)?", re.DOTALL)


@dataclass(frozen=True)
class Aside:
    """A file that is whole and synced under a temporary name, and what it is to replace.

    digest: SHA-256 of its content; before: that of what has the name now, None for nothing.
    """

    part: Path
    path: Path
    digest: str
    before: str | None

    def noted(self, folder: Path) -> dict[str, str | None]:
        """JSON-ready; names in `folder` are relative to it."""
        return {"part": self.part.name, "path": _relative(self.path, folder),
                "sha256": self.digest, "before": self.before}

    @classmethod
    def of(cls, given: Entries, folder: Path) -> "Aside":
        """The inverse of `noted`. Raises the error of `given` unless both lie in one folder."""
        path, name = folder / given.text("path"), given.text("part")
        if final_name(name) != path.stem[:atomic.LONGEST_STEM] + path.suffix:
            given.refuse("part", f"a temporary name of {path.name}", name)
        before = None if given.any("before") is None else given.text("before")
        return cls(path.with_name(name), path, given.text("sha256"), before)

    @property
    def there(self) -> bool:
        """Whether it still lies aside, as it was written."""
        return digest_of(self.part) == self.digest

    @property
    def overtaken(self) -> bool:
        """Whether what has its name is neither what it replaces nor itself."""
        return digest_of(self.path) not in (self.before, self.digest)


class Maker(Protocol):
    """Who looks at names and files for all who write one."""

    def made(self, make: Callable[[], Made]) -> Made:
        """What one process makes, in all of them; all raise its error."""


class Itself:
    """The process that writes."""

    def made(self, make: Callable[[], Made]) -> Made:
        return make()


def write_aside(
    path: Path, replaces: bool, write: Callable[[Path], None], maker: Maker | None = None
) -> Aside:
    """Let `write` fill a file beside `path`. Raises BridgeError, with nothing left behind.

    Of several processes all write the same file, and `maker` names it and looks at it.
    """
    maker = maker or Itself()
    part = maker.made(lambda: _named(path, replaces))
    try:
        write(part)
        return maker.made(lambda: _written(part, path))
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            told = f"{path}: could not be written: {error.strerror or error}"
            raise StreamError(told) from error
        if isinstance(error, BridgeError):  # of a writer, which knows the temporary name
            raise type(error)(str(error).replace(str(part), str(path))) from error
        raise


def _named(path: Path, replaces: bool) -> Path:
    """A temporary name for `path`, if that can be written."""
    atomic.refuse_existing(path, replaces)
    return atomic.temporary_name(path)


def _written(part: Path, path: Path) -> Aside:
    """What lies aside at `part` for `path`, synced."""
    atomic.sync(part)
    digest = digest_of(part)
    if digest is None:
        raise StreamError(f"{path}: could not be written")
    return Aside(part, path, digest, digest_of(path))


def finish(files: Sequence[Aside]) -> list[Path]:
    """Give those that still lie aside their names; returns what was renamed.

    Raises StreamError, with nothing renamed, if somebody changed what has one of the names.
    """
    waiting = [file for file in files if file.there]
    for one in waiting:
        if one.overtaken:
            raise StreamError(f"{one.path}: expected it as it was when its successor was written, "
                              "found another: somebody else goes on here")
    for one in waiting:
        try:
            os.replace(one.part, one.path)
            atomic.sync(one.path.parent)
        except OSError as error:
            raise StreamError(f"{one.path}: could not be written: {error.strerror}") from error
    return [one.path for one in waiting]


def forget(parts: Iterable[Path]) -> None:
    """Remove files that lie aside."""
    for part in parts:
        if regular.kind(part) == "a file":
            part.unlink(missing_ok=True)


def final_name(name: str) -> str | None:
    """The name that a temporary one stands for, None if it is none; temporaries of those, too."""
    found = TEMPORARY.fullmatch(name)
    if found is None:
        return None
    final = found["stem"] + (found["suffix"] or "")
    return final_name(final) or final


def digest_of(path: Path) -> str | None:
    """SHA-256 of a file in hex; None if no file lies there (a link is none)."""
    if regular.kind(path) != "a file":
        return None
    with regular.reading(path, StreamError, links=False) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _relative(path: Path, folder: Path) -> str:
    return path.name if path.parent == folder else os.path.abspath(path)


def noted(files: Sequence[Aside], folder: Path) -> list[dict[str, Any]]:
    """All of them, JSON-ready."""
    return [file.noted(folder) for file in files]
