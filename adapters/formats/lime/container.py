"""The LIME container: records of a 144-byte big-endian header, data, and zeros up to 8 bytes.

Header: magic 0x456789ab, version 1, flag byte (0x80 message begin, 0x40 message end), a zero byte,
64-bit data length, type (ASCII, NUL-padded, 128 bytes). Written from the c-lime sources
(include/lime_binary_header.h). Reading tolerates wrong message flags, as c-lime's reader does.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from l2hmc_bridge.adapters.format import metadata
from l2hmc_bridge.errors import FormatError

MAGIC = 0x456789AB
HEADER = struct.Struct(">IHBBQ128s")
BEGIN, END = 0x80, 0x40
LARGEST_TEXT = 1 << 20
MOST_RECORDS = 1 << 16


@dataclass(frozen=True)
class Record:
    """One record: its type, where its data lies, its flags and the number of its message."""

    kind: str
    offset: int
    length: int
    begin: bool
    end: bool
    message: int


def scan(path: Path) -> tuple[list[Record], list[str]]:
    """All records of a LIME file and sentences about what is odd; FormatError if it breaks."""
    records: list[Record] = []
    warnings: list[str] = []
    size = os.stat(path).st_size
    with open(path, "rb") as file:
        position, message, open_message = 0, -1, False
        while position < size:
            rest = size - position
            if rest < HEADER.size:
                file.seek(position)
                if set(file.read(rest)) <= {0x00, 0x0A} and records:
                    warnings.append(f"{rest} bytes of padding after the last record")
                    break
                raise FormatError(f"{path}: expected a LIME record at byte {position}, found "
                                  f"{rest} bytes (truncated or over-long file)")
            file.seek(position)
            kind, flags, length = _header(path, file.read(HEADER.size), position)
            begin, end = bool(flags & BEGIN), bool(flags & END)
            if begin or not open_message:
                message += 1
            open_message = not end
            offset = position + HEADER.size
            if length > size - offset:
                raise FormatError(f"{path}: record {kind!r} at byte {position}: expected {length} "
                                  f"bytes of data, found {size - offset} (truncated file)")
            records.append(Record(kind, offset, length, begin, end, message))
            position = offset + length + -length % 8
            if len(records) > MOST_RECORDS:
                raise FormatError(f"{path}: expected at most {MOST_RECORDS} LIME records")
        if position > size:
            warnings.append("the padding of the last record is missing")
    return records, warnings


def _header(path: Path, raw: bytes, position: int) -> tuple[str, int, int]:
    magic, version, flags, _, length, kind = HEADER.unpack(raw)
    if magic != MAGIC:
        raise FormatError(f"{path}: expected the LIME magic {MAGIC:08x} at byte {position}, found "
                          f"{magic:08x} (over-long or damaged file)")
    if version != 1:
        raise FormatError(f"{path}: expected LIME version 1 at byte {position}, found {version}")
    name = kind.split(b"\0", 1)[0]
    return metadata.printable(name.decode("ascii", "backslashreplace")), flags, length


def text_of(path: Path, record: Record) -> bytes:
    """The data of a small record, NUL bytes and blanks around it stripped."""
    if record.length > LARGEST_TEXT:
        raise FormatError(f"{path}: record {record.kind!r}: expected at most {LARGEST_TEXT} bytes "
                          f"of text, found {record.length}")
    with open(path, "rb") as file:
        file.seek(record.offset)
        return file.read(record.length).strip(b"\0 \t\r\n")


def header_bytes(kind: str, length: int, begin: bool, end: bool) -> bytes:
    """The 144 bytes before a record's data."""
    flags = BEGIN * begin | END * end
    return HEADER.pack(MAGIC, 1, flags, 0, length, kind.encode("ascii"))


def record_bytes(kind: str, data: bytes, begin: bool = False, end: bool = False) -> bytes:
    """A whole small record."""
    return header_bytes(kind, len(data), begin, end) + data + bytes(-len(data) % 8)
