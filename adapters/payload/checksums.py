"""The checksums that gauge files carry, each as a sum over blocks of sites.

scidac: (suma, sumb), XOR over sites of rotl32(crc32(site bytes), rank mod 29) and mod 31.
nersc:  sum mod 2^32 of all stored 32-bit words as numbers, whatever the byte order of the file.
milc:   (sum29, sum31), XOR over 32-bit words as numbers of rotl32(word, index mod 29), mod 31.
"""

import functools
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from l2hmc_bridge.errors import FormatError
from l2hmc_bridge.fields.part import Network

from . import dispatch
from .layout import Payload

MASK = 0xFFFFFFFF


def block_sums(
    raw: NDArray[np.uint8], first_site: int, payload: Payload, sums: Sequence[str]
) -> list[tuple[int, ...]]:
    """The named checksums of a block whose first site has this lexicographic rank."""
    kernels = dispatch.kernels(payload.size)
    table = _table(kernels) if kernels is not None else PLAIN
    return [table[name](raw, payload, first_site) for name in sums]


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


def of_all(network: Network, sums: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """One value per named checksum from those of the processes that share a lattice."""
    found = {}
    for name, numbers in sums.items():
        bits = torch.tensor([[number >> bit & 1 for bit in range(32)] for number in numbers])
        weights = 1 << torch.arange(32)
        if name == "nersc":
            total = network.total((bits * weights).sum(1)) & MASK
        else:
            total = (network.total(bits) % 2 * weights).sum(1)
        found[name] = tuple(total.tolist())
    return found


def words(raw: NDArray[np.uint8], payload: Payload) -> NDArray[np.uint32]:
    """The stored numbers as 32-bit words in file order; a double is its two halves."""
    return raw.view(f"{'>' if payload.big else '<'}u4").astype(np.uint32)


def scidac(raw: NDArray[np.uint8], payload: Payload, first_site: int) -> tuple[int, int]:
    """(suma, sumb) of the sites in `raw`, the first of which has this lexicographic rank."""
    view, size = memoryview(raw.data), payload.site_bytes
    crc = np.fromiter(
        (zlib.crc32(view[at : at + size]) for at in range(0, len(view), size)),
        np.uint32,
        len(view) // size,
    )
    ranks = first_site + np.arange(len(crc))
    return rotated_xor(crc, ranks % 29), rotated_xor(crc, ranks % 31)


def nersc(raw: NDArray[np.uint8], payload: Payload, _first_site: int) -> tuple[int]:
    """Sum mod 2^32."""
    return (int(words(raw, payload).sum(dtype=np.uint64)) & MASK,)


def milc(raw: NDArray[np.uint8], payload: Payload, first_site: int) -> tuple[int, int]:
    """(sum29, sum31)."""
    numbers = words(raw, payload)
    index = first_site * (payload.site_bytes // 4) + np.arange(len(numbers))
    return rotated_xor(numbers, index % 29), rotated_xor(numbers, index % 31)


PLAIN = {"scidac": scidac, "nersc": nersc, "milc": milc}


@functools.cache
def _table(kernels: ModuleType) -> dict[str, Any]:
    """The same three with compiled loops."""

    def fast_scidac(raw: NDArray, payload: Payload, first_site: int) -> tuple[int, int]:
        numbers, site = raw.view("<u8"), payload.site_bytes // 8
        first, second = kernels.scidac(numbers, site, first_site, kernels.TABLES)
        return int(first), int(second)

    def fast_nersc(raw: NDArray, payload: Payload, _first_site: int) -> tuple[int]:
        return (int(kernels.nersc(raw.view("<u4"), payload.big)) & MASK,)

    def fast_milc(raw: NDArray, payload: Payload, first_site: int) -> tuple[int, int]:
        first_word = first_site * (payload.site_bytes // 4)
        first, second = kernels.milc(raw.view("<u4"), first_word, payload.big)
        return int(first), int(second)

    return {"scidac": fast_scidac, "nersc": fast_nersc, "milc": fast_milc}


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
