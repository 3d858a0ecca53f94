"""The folder of a new stream: free, made when needed, gone again when nothing came of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.storage import lock
from l2hmc_bridge.stream import run as stream, state as checkpoint

LEFT_BEHIND = (lock.NAME, stream.LOG)  # by a run that ended before its first save point


@contextmanager
def new_folder(folder: Path) -> Iterator[None]:
    """Make `folder` if need be; remove it again where an error leaves it without a stream."""
    require_free(folder)
    made = not folder.exists()
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise StreamError(f"{folder}: could not be made: {error.strerror}") from error
    try:
        yield
    except BaseException:
        if not checkpoint.exists(folder):
            (folder / stream.LOG).unlink(missing_ok=True)
            if made and not any(folder.iterdir()):
                folder.rmdir()
        raise


def require_free(folder: Path) -> None:
    """Raise StreamError unless `folder` is absent or empty."""
    if not folder.parent.is_dir():
        raise StreamError(f"{folder}: expected the folder {folder.parent} to exist (--out), found "
                          "none")
    if not folder.exists():
        return
    if not folder.is_dir():
        raise StreamError(f"{folder}: expected a new folder (--out), found a file")
    if checkpoint.exists(folder):
        raise StreamError(f"{folder}: expected a new folder (--out), found a stream; "
                          f"`sample --in {folder} --resume` goes on with it")
    other = sorted(path.name for path in folder.iterdir()
                   if path.name not in LEFT_BEHIND and not stream.PARTIAL.fullmatch(path.name))
    if other:
        raise StreamError(f"{folder}: expected a new or empty folder (--out), found {other[0]}")
