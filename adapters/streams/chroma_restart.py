"""Chroma's restart XML, from which it starts again: number, file name and what is left to do."""

import re
from collections.abc import Sequence
from pathlib import Path

from l2hmc_bridge.adapters.formats.lime import markup
from l2hmc_bridge.errors import FormatError, StreamError

from .names import HostStream
from .side import DRAWN, Side, fill, pair

LARGEST_XML = 1 << 24


def sides(
    stream: HostStream, number: int, _lattice: Sequence[int], folders: Sequence[Path]
) -> tuple[list[Side], list[str]]:
    name, found = pair(stream, "{stem}_restart_{number}.xml", number, folders)
    if found is None:
        raise StreamError(f"{stream.path(stream.number)}: expected {name} beside it, from which "
                          "Chroma starts again, found none (--side-files names its folder)")
    source, path = found
    text, total = _restart(source, stream, number)
    said = f"{name} with its number and file name changed, its RNG seed {DRAWN} {stream.number}"
    notes = []
    if number >= total:
        notes.append(f"{path.name}: update {number} is the last of {total}: Chroma will have "
                     "nothing left to do")
    return [Side(source, path, lambda place: fill(place, text), said)], notes


def _restart(path: Path, stream: HostStream, number: int) -> tuple[bytes, int]:
    """(Chroma's restart XML for `number`, updates of the whole run)."""
    if path.stat().st_size > LARGEST_XML:
        raise FormatError(f"{path}: expected at most {LARGEST_XML} bytes of XML")
    raw = path.read_bytes()
    fields = markup.parse(raw)
    if fields.broken:
        raise FormatError(f"{path}: expected well-formed XML, found a broken one")
    if "Seed" not in fields.texts:
        raise FormatError(f"{path}: expected the <Seed> of the random numbers, found none")
    last = stream.path(stream.number).name
    stated = _one(path, raw, b"StartUpdateNum")
    file_name = _one(path, raw, b"cfg_file").decode("utf-8", "replace")
    if not stated.isdigit() or int(stated) != stream.number:
        raise FormatError(f"{path}: StartUpdateNum: expected {stream.number}, found "
                          f"{stated.decode('utf-8', 'replace')[:40]}")
    if Path(file_name).name != last:
        raise FormatError(f"{path}: cfg_file: expected {last}, found {file_name[:200]}")
    counts = [_one(path, raw, name) for name in (b"NWarmUpUpdates", b"NProductionUpdates",
                                                 b"NUpdatesThisRun")]
    if not all(count.isdigit() for count in counts):
        raise FormatError(f"{path}: expected NWarmUpUpdates, NProductionUpdates and "
                          "NUpdatesThisRun to be numbers")
    warm, production, this_run = map(int, counts)
    renewed = str(Path(file_name).with_name(stream.path(number).name))
    if file_name.startswith("./"):
        renewed = f"./{renewed}"
    raw = _set(raw, b"StartUpdateNum", str(number))
    raw = _set(raw, b"cfg_file", renewed)
    if warm + production < this_run + number:
        raw = _set(raw, b"NUpdatesThisRun", str(max(0, warm + production - number)))
    return raw, warm + production


def _one(path: Path, raw: bytes, name: bytes) -> bytes:
    """The text of the only element of this name."""
    found = re.findall(rb"<%b>\s*([^<>]*?)\s*</%b>" % (name, name), raw)
    if len(found) != 1:
        raise FormatError(f"{path}: expected one <{name.decode()}>, found {len(found)}")
    return found[0]


def _set(raw: bytes, name: bytes, text: str) -> bytes:
    """The same XML with another text in the only element of this name."""
    pattern = rb"(<%b>)[^<>]*(</%b>)" % (name, name)
    return re.sub(pattern, lambda found: found[1] + text.encode() + found[2], raw)
