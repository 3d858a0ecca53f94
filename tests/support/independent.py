"""A second reader and checker of ILDG and NERSC files, with numpy and zlib only.

Written apart from the package and sharing nothing with it: plain loops over sites and words.
"""

import re
import struct
import zlib
from pathlib import Path

import numpy as np


def lime_records(path: Path) -> list[tuple[str, int, bytes]]:
    """(type, flags, data) of every record; asserts magic, version, zero padding."""
    raw, at, found = path.read_bytes(), 0, []
    while at < len(raw):
        magic, version, flags, length = struct.unpack(">IHHQ", raw[at : at + 16])
        assert (magic, version) == (0x456789AB, 1)
        name = raw[at + 16 : at + 144].rstrip(b"\0").decode()
        data = raw[at + 144 : at + 144 + length]
        assert len(data) == length
        end = at + 144 + length
        at = end + (8 - length % 8) % 8
        assert raw[end:at] == bytes(at - end)
        found.append((name, flags, data))
    return found


def read_ildg(path: Path) -> dict:
    """links [4,T,X,Y,Z,3,3] (t,x,y,z), what the XML says, and the checksums recomputed."""
    records = lime_records(path)
    texts = {name: data for name, _, data in records}
    form = texts["ildg-format"].decode()
    lattice = [int(_tag(form, f"l{axis}")) for axis in "xyzt"]
    bits = int(_tag(form, "precision"))
    data = texts["ildg-binary-data"]
    nx, ny, nz, nt = lattice
    site = 72 * bits // 8
    assert len(data) == site * nx * ny * nz * nt
    suma = sumb = 0
    for rank in range(nx * ny * nz * nt):
        crc = zlib.crc32(data[rank * site : (rank + 1) * site])
        suma ^= _rotate(crc, rank % 29)
        sumb ^= _rotate(crc, rank % 31)
    stored = texts["scidac-checksum"].decode()
    usqcd = texts["scidac-record-xml"].decode()
    return {
        "links": _natural(data, f">c{bits // 4}", lattice, 3),
        "records": records,
        "computed": (suma, sumb),
        "stored": (int(_tag(stored, "suma"), 16), int(_tag(stored, "sumb"), 16)),
        "plaquette": _tag(usqcd, "plaq"),
        "link_trace": _tag(usqcd, "linktr"),
        "lfn": texts["ildg-data-lfn"].decode(),
        "texts": texts,
    }


def read_nersc(path: Path) -> dict:
    """links, header keys, and the checksum recomputed word by word."""
    raw = path.read_bytes()
    head, data = raw.split(b"END_HEADER\n", 1)
    lines = head.decode("ascii").split("\n")
    assert lines[0] == "BEGIN_HEADER" and lines[-1] == ""
    keys = dict(line.split(" = ") for line in lines[1:-1])
    lattice = [int(keys[f"DIMENSION_{i}"]) for i in range(1, 5)]
    rows = 3 if keys["DATATYPE"].endswith("3x3") else 2
    word = {"IEEE64BIG": ">u8", "IEEE32BIG": ">u4"}[keys["FLOATING_POINT"]]
    total = 0
    for number in np.frombuffer(data, word).tolist():
        total += (number >> 32) + (number & 0xFFFFFFFF)
    kind = ">c16" if word == ">u8" else ">c8"
    return {
        "links": _natural(data, kind, lattice, rows),
        "keys": keys,
        "lines": lines,
        "computed": total % 2**32,
        "stored": int(keys["CHECKSUM"], 16),
    }


def plaquette(links: np.ndarray) -> float:
    """Mean of Re tr P / 3 over all sites and planes, with np.roll and einsum."""
    total = 0.0
    for mu in range(4):
        for nu in range(mu):
            one = np.einsum("...ab,...bc->...ac", links[mu], np.roll(links[nu], -1, mu))
            other = np.einsum("...ab,...bc->...ac", links[nu], np.roll(links[mu], -1, nu))
            total += np.einsum("...ab,...ab->...", one, other.conj()).real.mean() / 3
    return total / 6


def link_trace(links: np.ndarray) -> float:
    return float(np.einsum("...aa->...", links).real.mean() / 3)


def _natural(data: bytes, kind: str, lattice: list[int], rows: int) -> np.ndarray:
    nx, ny, nz, nt = lattice
    array = np.frombuffer(data, kind).astype("c16").reshape(nt, nz, ny, nx, 4, rows, 3)
    if rows == 2:
        third = np.cross(array[..., 0, :], array[..., 1, :]).conj()
        array = np.concatenate([array, third[..., None, :]], axis=-2)
    return np.stack([array[:, :, :, :, mu].transpose(0, 3, 2, 1, 4, 5) for mu in (3, 0, 1, 2)])


def _tag(text: str, name: str) -> str:
    (found,) = re.findall(f"<{name}>([^<]*)</{name}>", text)
    return found


def _rotate(number: int, by: int) -> int:
    return ((number << by) | (number >> (32 - by))) & 0xFFFFFFFF if by else number
