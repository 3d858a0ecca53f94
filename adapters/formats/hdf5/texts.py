"""Text attributes of HDF5 files that anybody may have written.

Texts of variable length, which is what h5py writes by default and so what PyQUDA's files hold, lie
in a heap without checksums on which a damaged file can send the HDF5 library round in circles, in
C, where nothing interrupts it. They are read in a child process that has an end; it costs the
0.2 s of importing h5py, once per file, and only if there is such an attribute.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from l2hmc_bridge.errors import FormatError

if TYPE_CHECKING:
    import h5py

CHILD = Path(__file__).with_name("child.py")
LARGEST_TEXT = 4096
PROCESSOR_SECONDS = 2  # of the reading alone, however busy the machine is
PATIENCE = 120  # seconds until a child that does nothing at all is given up
CHILD_MEMORY = 4 << 30
QUIET = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def attribute(owner: "h5py.Group | h5py.Dataset", name: str) -> str | None:
    """A short text attribute of fixed length, None for any other and for none."""
    kind = _kind(owner, name)
    if kind is None or kind.is_variable_str() or kind.get_size() > LARGEST_TEXT:
        return None
    value = owner.attrs[name]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def number(owner: "h5py.Group", name: str) -> int | None:
    """A single whole number, None for any other attribute and for none."""
    import h5py

    opened = h5py.h5a.open(owner.id, name.encode()) if _exists(owner, name) else None
    if opened is None or not isinstance(opened.get_type(), h5py.h5t.TypeIntegerID):
        return None
    return int(owner.attrs[name]) if opened.shape == () else None


def attributes(
    path: Path, wanted: "Sequence[tuple[h5py.Group | h5py.Dataset, str]]"
) -> list[str | None]:
    """The short texts of `wanted` (owner, name), fixed or variable in length; None where absent.

    Raises FormatError if one is no short text, or where the library finds no end to it.
    """
    found = [attribute(owner, name) for owner, name in wanted]
    rest = [at for at, (owner, name) in enumerate(wanted)
            if found[at] is None and _exists(owner, name)]
    for at in rest:
        owner, name = wanted[at]
        kind = _kind(owner, name)
        if kind is None or not kind.is_variable_str():
            raise FormatError(f"{path}: {owner.name}: attribute {name}: expected a short text")
    if rest:
        names = [(wanted[at][0].name, wanted[at][1]) for at in rest]
        for at, text in zip(rest, _from_child(path, names), strict=True):
            found[at] = text
    return found


def _exists(owner: "h5py.Group | h5py.Dataset", name: str) -> bool:
    import h5py

    return h5py.h5a.exists(owner.id, name.encode())


def _kind(owner: "h5py.Group | h5py.Dataset", name: str) -> "h5py.h5t.TypeStringID | None":
    """The type of a single text; nothing of its value is touched."""
    import h5py

    if not _exists(owner, name):
        return None
    opened = h5py.h5a.open(owner.id, name.encode())
    kind = opened.get_type()
    return kind if isinstance(kind, h5py.h5t.TypeStringID) and opened.shape == () else None


def _from_child(path: Path, names: list[tuple[str, str]]) -> list[str]:
    request = {"path": os.path.abspath(path), "search": sys.path, "wanted": names,
               "seconds": PROCESSOR_SECONDS, "bytes": CHILD_MEMORY}
    told = f"{path}: attributes {', '.join(sorted({name for _, name in names}))}"
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(CHILD)], input=json.dumps(request), capture_output=True,
            text=True, timeout=PATIENCE, env={**os.environ, **QUIET},
        )
    except subprocess.TimeoutExpired:
        done = None
    except OSError as error:
        raise FormatError(f"{told}: expected to read them in a process of their own, which did "
                          f"not start: {error.strerror}") from error
    if done is None or done.returncode:
        raise FormatError(f"{told}: expected texts that the HDF5 library can read within "
                          f"{PROCESSOR_SECONDS} s, found no end: the file is damaged")
    answer = json.loads(done.stdout.splitlines()[-1])
    texts = answer.get("texts", [None])
    if not all(isinstance(text, str) and len(text) <= LARGEST_TEXT for text in texts):
        raise FormatError(f"{told}: expected short texts: {answer.get('error', 'found others')}")
    return texts
