"""The checksums that gauge files carry, each as a sum over blocks of whole time slices.

scidac: (suma, sumb), XOR over sites of rotl32(crc32(site bytes), rank mod 29) and mod 31.
nersc:  sum mod 2^32 of all stored 32-bit words as numbers, whatever the byte order of the file.
milc:   (sum29, sum31), XOR over 32-bit words as numbers of rotl32(word, index mod 29), mod 31.
"""

import functools
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from l2hmc_bridge.errors import FormatError

if TYPE_CHECKING:
    from .payload import Payload

MASK = 0xFFFFFFFF


def block_sums(
    raw: NDArray[np.uint8], position: int, payload: "Payload", sums: Sequence[str]
) -> list[tuple[int, ...]]:
    """The named checksums of time slice number `position`, as stored in `raw`."""
    first_site = position * (payload.slice_bytes // payload.site_bytes)
    found = []
    for name in sums:
        if name == "scidac":
            found.append(scidac(raw, payload.site_bytes, first_site))
        elif name == "nersc":
            found.append((nersc(words(raw, payload.word, payload.big)),))
        elif name == "milc":
            found.append(milc(words(raw, 4, payload.big), first_site * payload.site_bytes // 4))
        else:
            raise ValueError(name)
    return found


def combine(
    sums: Sequence[str], partials: Sequence[Sequence[tuple[int, ...]]]
) -> dict[str, tuple[int, ...]]:
    """One value per named checksum from those of the blocks."""
    combined = {}
    for index, name in enumerate(sums):
        columns = zip(*(partial[index] for partial in partials), strict=True)
        if name == "nersc":
            combined[name] = tuple(sum(column) & MASK for column in columns)
        else:
            combined[name] = tuple(functools.reduce(int.__xor__, column) for column in columns)
    return combined


def words(raw: NDArray[np.uint8], word: int, big: bool) -> NDArray[np.uint32]:
    """The stored numbers as 32-bit words in file order, each read in its byte order."""
    order = ">" if big else "<"
    if word == 8:  # both halves; which comes first matters to no sum over doubles
        return raw.view(f"{order}u8").astype("<u8").view(np.uint32)
    return raw.view(f"{order}u4").astype(np.uint32)


def scidac(raw: NDArray[np.uint8], site_bytes: int, first_site: int) -> tuple[int, int]:
    """(suma, sumb) of the sites in `raw`, the first of which has this lexicographic rank."""
    view = memoryview(raw)
    crc = np.fromiter(
        (zlib.crc32(view[at : at + site_bytes]) for at in range(0, len(view), site_bytes)),
        np.uint32,
        len(view) // site_bytes,
    )
    ranks = first_site + np.arange(len(crc))
    return rotated_xor(crc, ranks % 29), rotated_xor(crc, ranks % 31)


def nersc(numbers: NDArray[np.uint32]) -> int:
    """Sum mod 2^32."""
    return int(numbers.sum(dtype=np.uint64)) & MASK


def milc(numbers: NDArray[np.uint32], first_word: int) -> tuple[int, int]:
    """(sum29, sum31)."""
    index = first_word + np.arange(len(numbers))
    return rotated_xor(numbers, index % 29), rotated_xor(numbers, index % 31)


def rotated_xor(numbers: NDArray[np.uint32], shifts: NDArray[np.int64]) -> int:
    """XOR of the 32-bit numbers, each rotated left by its shift (0 to 31; by 0 is itself)."""
    wide = numbers.astype(np.uint64) << shifts.astype(np.uint64)
    return int(np.bitwise_xor.reduce((wide | (wide >> np.uint64(32))) & np.uint64(MASK)))


def posix_cksum(path: Path, offset: int, size: int) -> int:
    """The CRC that POSIX cksum(1) prints for this range of the file, its length included."""
    table = _posix_table()
    crc = 0
    with open(path, "rb") as file:
        file.seek(offset)
        left = size
        while left:
            block = file.read(min(left, 1 << 20))
            if not block:
                raise FormatError(f"{path}: expected {left} more bytes, found none")
            left -= len(block)
            for byte in block:
                crc = (crc << 8) & MASK ^ table[crc >> 24 ^ byte]
    while size:
        crc = (crc << 8) & MASK ^ table[crc >> 24 ^ size & 0xFF]
        size >>= 8
    return crc ^ MASK


@functools.cache
def _posix_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 * (crc >> 31)) & MASK
        table.append(crc)
    return table
