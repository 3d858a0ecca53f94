"""Damaged files for the fuzz tests: small good ones, and ways to spoil each of their parts."""

import random
import re
import struct
from pathlib import Path
from typing import NamedTuple

import torch

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.payload.quality import measure
from l2hmc_bridge.fields.configuration import Configuration
from tests.support import dialects, samples

EXTENTS = (2, 4, 2, 2)
NUMBERS = (0, 1, 2, 3, 5, -1, -4, 255, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**62, 2**63 - 1,
           2**63, 2**64 - 1)
WORDS = ("", "0", "-4", "4.5", "1e3", "nan", "inf", "٣", "é\0", "9" * 400, "0x10", " 4 ",
         "4 4 4 4 4", str(2**63), str(2**64), "su2gauge", "IEEE32", "IEEE64", "BIG", "\n", "=",
         "<x>", "&amp;")
HOSTILE = (
    b'<!DOCTYPE a [<!ENTITY b "cccc">]>', b'<!DOCTYPE a SYSTEM "file:///etc/passwd">',
    b"<a>" * 3000,
    b"<?xml version='1.0' encoding='utf-99'?>", b"\xff\xfe<\0a\0", b"&lol;", b"]]>", b"<![CDATA[",
    b"<lx>4</lx>", b"<dims>4 4 4 4</dims>", b"END_HEADER\n", b"DIMENSION_1 = 8\n",
)


class Seed(NamedTuple):
    """A good file; `guarded`: a checksum in it covers every number of the links."""

    name: str
    raw: bytes
    reading: dict
    numbers: torch.Tensor
    guarded: bool


def seeds(folder: Path) -> list[Seed]:
    """One good file of every format and option that is written, and of some other dialects."""
    links = samples.random_links(extents=EXTENTS)
    meta = dict(samples.META, trajectory=7)
    found = []
    for name, case in samples.CASES.items():
        if name.startswith("lyncs"):
            continue
        path = folder / f"{name}.{case.suffix}"
        path.unlink(missing_ok=True)
        files.write(path, Configuration(links, meta), case.format, **case.options)
        reading = {"lattice": dialects.xyzt(links)} if "lattice" in case.reading else {}
        found.append((name, path, reading, name in samples.GUARDED))
    bqcd = dialects.lime(
        folder / "bqcd", dialects.record("ildg-format", dialects.ildg_format(links), dialects.MB),
        dialects.record("ildg-binary-data", samples.payload(links)),
        dialects.record("bqcd-cksum", f"{dialects.posix_cksum(samples.payload(links))}\n"),
        dialects.record("bqcd-plaquette", f"{measure(links).plaquette:.10f}", dialects.ME),
    )
    bare = dialects.nersc(folder / "bare", links, "IEEE32", 2, "<c8")
    lattice = dialects.xyzt(links)
    found += [("bqcd", bqcd, {}, True), ("nersc-bare", bare, {}, True)]
    for kind, body in dialects.headerless(links).items():
        path = folder / kind
        path.write_bytes(body)
        found.append((kind, path, {"format": kind, "lattice": lattice}, False))
    result = []
    for name, path, reading, guarded in found:
        data = path.read_bytes()
        whole = files.inspect(path, **reading).links
        result.append(Seed(name, data, reading, _numbers(whole), guarded))
    return result


def _numbers(links: torch.Tensor) -> torch.Tensor:
    """All entries of the first two rows in ascending order: the same whatever the axes."""
    return torch.view_as_real(links[..., :2, :]).flatten().sort().values


def same_numbers(links: torch.Tensor, seed: Seed) -> bool:
    found = _numbers(links)
    return found.shape == seed.numbers.shape and torch.equal(found, seed.numbers)


def mutate(raw: bytes, rng: random.Random) -> bytes:
    """One to three spoiled places."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        raw = rng.choice(MUTATIONS)(raw, rng)
    return raw


def _at(raw: bytes, rng: random.Random) -> int:
    """A place in the file; the head and the tail, where the structure is, more often."""
    size = max(1, len(raw))
    where = rng.random()
    if where < 0.5:
        return rng.randrange(min(size, 2600))
    return size - 1 - rng.randrange(min(size, 400)) if where < 0.7 else rng.randrange(size)


def _flip(raw: bytes, rng: random.Random) -> bytes:
    at = _at(raw, rng)
    return raw[:at] + bytes([raw[at] ^ 1 << rng.randrange(8)]) + raw[at + 1 :] if raw else raw


def _overwrite(raw: bytes, rng: random.Random) -> bytes:
    at, size = _at(raw, rng), rng.choice((1, 2, 4, 8, 16, 100))
    return raw[:at] + rng.randbytes(size) + raw[at + size :]


def _cut(raw: bytes, rng: random.Random) -> bytes:
    return raw[: _at(raw, rng)]


def _remove(raw: bytes, rng: random.Random) -> bytes:
    at = _at(raw, rng)
    return raw[:at] + raw[at + rng.choice((1, 2, 8, 144, 576)) :]


def _extend(raw: bytes, rng: random.Random) -> bytes:
    return raw + rng.choice((b"\0", b"\n", b"\0" * 8, raw[:400], rng.randbytes(200), raw))


def _repeat(raw: bytes, rng: random.Random) -> bytes:
    at, size = _at(raw, rng), rng.choice((1, 8, 30, 144, 576, 1000))
    return raw[:at] + raw[at : at + size] + raw[at:]


def _number(raw: bytes, rng: random.Random) -> bytes:
    """A whole number of 4 or 8 bytes in either byte order, aligned or not."""
    at = _at(raw, rng) // rng.choice((1, 4, 8)) * 4
    size, order = rng.choice((4, 8)), rng.choice(("big", "little"))
    value = rng.choice(NUMBERS) % (1 << 8 * size)
    return raw[:at] + value.to_bytes(size, order) + raw[at + size :]


def _text(raw: bytes, rng: random.Random) -> bytes:
    """Another word in the place of a number or value of a text header or XML record."""
    found = list(re.finditer(rb"(?<=[>= ])[-+.\w]{1,30}(?=[<\n ])", raw[:3000]))
    found += list(re.finditer(rb"(?<=>)[0-9a-f]{1,8}(?=<)", raw[-400:]))
    if not found:
        return _flip(raw, rng)
    match = rng.choice(found)
    shift = len(raw) - 400 if match.re.pattern.startswith(b"(?<=>)[0-9a-f]") else 0
    start, end = max(0, match.start() + shift), max(0, match.end() + shift)
    return raw[:start] + rng.choice(WORDS).encode() + raw[end:]


def _hostile(raw: bytes, rng: random.Random) -> bytes:
    at = rng.choice((144, _at(raw, rng), raw.find(b">") + 1, raw.find(b"\n") + 1))
    return raw[:at] + rng.choice(HOSTILE) + raw[at:]


def _line(raw: bytes, rng: random.Random) -> bytes:
    """Repeat, drop or exchange lines of a text header."""
    head, mark, rest = raw.partition(b"END_HEADER")
    lines = head.split(b"\n")
    if not mark or len(lines) < 3:
        return _record(raw, rng)
    one, two = rng.randrange(1, len(lines)), rng.randrange(1, len(lines))
    if rng.random() < 0.4:
        lines[one], lines[two] = lines[two], lines[one]
    elif rng.random() < 0.5:
        del lines[one]
    else:
        lines.insert(two, lines[one].rpartition(b"=")[0] + b"= " + rng.choice(WORDS).encode())
    return b"\n".join(lines) + mark + rest


def _record(raw: bytes, rng: random.Random) -> bytes:
    """Change, repeat, drop or exchange whole LIME records; or lie in one of their headers."""
    parts = _records(raw)
    if not parts:
        return _number(raw, rng)
    one, two = rng.randrange(len(parts)), rng.randrange(len(parts))
    kind, flags, length, data = parts[one]
    choice = rng.randrange(8)
    if choice == 0:
        parts[one], parts[two] = parts[two], parts[one]
    elif choice == 1:
        del parts[one]
    elif choice == 2:
        parts.insert(two, parts[one])
    elif choice == 3:
        parts[one] = kind, flags, rng.choice(NUMBERS) % 2**64, data
    elif choice == 4:
        parts[one] = kind, rng.choice((0, 0x8000, 0x4000, 0xC000, 0xFFFF)), length, data
    elif choice == 5:
        other = rng.choice((parts[two][0], b"ildg-format", b"lyncs-io-info", b"\xff" * 128, b""))
        parts[one] = other, flags, length, data
    elif choice == 6:
        parts[one] = kind, flags, max(0, length + rng.choice((-144, -8, -1, 1, 8, 144))), data
    else:
        parts[one] = kind, flags, len(data) + 30, data + rng.choice(HOSTILE)[:30].ljust(30)
    return b"".join(
        struct.pack(">IHHQ128s", 0x456789AB, 1, flags, length % 2**64, kind[:128])
        + data + bytes(-len(data) % 8)
        for kind, flags, length, data in parts
    )


def _records(raw: bytes) -> list[tuple[bytes, int, int, bytes]]:
    at, found = 0, []
    while at + 144 <= len(raw) and raw[at : at + 4] == b"\x45\x67\x89\xab" and len(found) < 50:
        _, _, flags, length, kind = struct.unpack(">IHHQ128s", raw[at : at + 144])
        data = raw[at + 144 : at + 144 + length] if length < 1 << 20 else b""
        found.append((kind.rstrip(b"\0"), flags, length, data))
        at += 144 + len(data) + -len(data) % 8
    return found


MUTATIONS = (_flip, _overwrite, _cut, _remove, _extend, _repeat, _number, _number, _text, _text,
             _hostile, _line, _line, _record, _record)
