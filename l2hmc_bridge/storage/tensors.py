"""A safetensors file of unknown origin: its head is bounded and read before the library opens it.

safetensors itself checks that the tensors lie inside the file, without gaps and overlaps; no pickle
is in it anywhere. Here the head (names, dtypes, shapes, texts) is kept to what this package writes.
"""

import json
import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
from torch import Tensor

from l2hmc_bridge.errors import BridgeError
from l2hmc_bridge.storage import parsing, regular

LARGEST_HEAD = 1 << 24
MOST_TENSORS = 10_000
SIZES = {"F64": 8, "F32": 4, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1}  # of what is written here
DTYPES = tuple(SIZES)
META = "__metadata__"


class Shape(NamedTuple):
    """What the head says of one tensor; `begin`: its first byte behind the head."""

    dtype: str
    extents: tuple[int, ...]
    begin: int = 0

    @property
    def size(self) -> int:
        """Bytes of its numbers."""
        return math.prod(self.extents) * SIZES[self.dtype]


class Head(NamedTuple):
    """The texts of a file, and which tensors it holds; `size`: bytes before the first of them."""

    meta: dict[str, str]
    shapes: dict[str, Shape]
    size: int

    def require_whole(self, path: Path, error: type[BridgeError]) -> None:
        """Raise `error` unless the tensors lie one after the other and fill the file."""
        end = 0
        for shape in sorted(self.shapes.values(), key=lambda one: one.begin):
            if shape.begin != end:
                raise error(f"{path}: expected tensors one after the other, found a gap at byte "
                            f"{self.size + end}")
            end += shape.size
        found = path.stat().st_size
        if self.size + end != found:
            raise error(f"{path}: expected {self.size + end} bytes, found {found}")


def head(
    path: Path, error: type[BridgeError], links: bool = True, most: int = LARGEST_HEAD,
    named: str = "file",
) -> Head:
    """The head alone, of at most `most` bytes; whether the rest is whole, nobody knows yet.

    Raises `error`, which calls what was expected a safetensors `named`.
    """
    with regular.reading(path, error, links) as file:
        size = os.fstat(file.fileno()).st_size
        stated = file.read(8)
        length = struct.unpack("<Q", stated)[0] if len(stated) == 8 else 0
        if not 2 <= length <= min(size - 8, most):
            raise error(f"{path}: expected a safetensors {named}, found a head of {length} bytes "
                        f"in a file of {size}")
        text = file.read(length)
    entries = parsing.json_table(text, path, error)
    names = [name for name in entries.values if name != META]
    if len(names) > MOST_TENSORS:
        raise error(f"{path}: expected at most {MOST_TENSORS} tensors, found {len(names)}")
    return Head(_meta(entries), {name: _shape(entries.table(name)) for name in names}, 8 + length)


def load(
    path: Path, error: type[BridgeError], links: bool = True, most: int = LARGEST_HEAD,
    named: str = "file",
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors by name, in main memory, and the texts. Raises `error`."""
    found = head(path, error, links, most, named)
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (safetensors.SafetensorError, OSError, ValueError, TypeError) as reason:
        said = " ".join(str(reason).split())[:200]
        raise error(f"{path}: expected a safetensors {named}, found: {said}") from reason
    return tensors, found.meta


def save(
    tensors: Mapping[str, Tensor], meta: Mapping[str, str], most: int = LARGEST_HEAD
) -> bytes:
    """The bytes of a safetensors file. Raises BridgeError for texts that `load` would refuse."""
    size = sum(len(name) + len(text) for name, text in meta.items())
    if size > most // 2:  # JSON in JSON: every quotation mark takes two letters
        raise BridgeError(f"metadata: expected at most {most // 2} letters, found {size}")
    return safetensors.torch.save(dict(tensors), dict(meta))


def head_of(shapes: Mapping[str, tuple[int, ...]], meta: Mapping[str, str]) -> tuple[bytes, Head]:
    """(the bytes before the numbers of a file of these tensors, F64, what they say)."""
    placed, begin = {}, 0
    for name in sorted(shapes):
        placed[name] = Shape("F64", shapes[name], begin)
        begin += placed[name].size
    entries = {name: {"dtype": one.dtype, "shape": list(one.extents),
                      "data_offsets": [one.begin, one.begin + one.size]}
               for name, one in placed.items()}
    text = json.dumps({META: dict(meta), **entries}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text, Head(dict(meta), placed, 8 + len(text))


def _meta(entries: parsing.Entries) -> dict[str, str]:
    if META not in entries.values:
        return {}
    table = entries.table(META)
    return {name: table.text(name) for name in table.values}


def _shape(entries: parsing.Entries) -> Shape:
    extents: list[Any] = entries.listed("shape", most=16)
    counted = parsing.Entries({str(n): one for n, one in enumerate(extents)}, entries.where,
                              entries.error)
    offsets: list[Any] = entries.listed("data_offsets", most=2)
    begin = parsing.Entries({"begin": offsets[0] if offsets else 0}, entries.where, entries.error)
    return Shape(entries.text("dtype", DTYPES),
                 tuple(counted.whole(str(n)) for n in range(len(extents))), begin.whole("begin"))
