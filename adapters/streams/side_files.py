"""What a host wants to find beside its last configuration, kept in step with a new one.

A side file is planned, and refused, before any work is done, and written after the configuration,
as the hosts themselves do: one that is killed in between finds its former pair whole.
"""

import functools
import re
import shutil
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from l2hmc_bridge.adapters.formats.lime import markup
from l2hmc_bridge.errors import FormatError, StreamError
from l2hmc_bridge.storage.atomic import temporary_path

from .names import HostStream

DRAWN = "right only if the host has not drawn from it since"
LARGEST_XML = 1 << 24
LARGEST_COUNTER = 1 << 12
COUNTERS = ("nstore_counter", ".nstore_counter")  # tmLQCD's, the second until 2012
RNG_HEAD = struct.Struct("<9i")  # openQCD: configuration number, process grid, local lattice


class Side(NamedTuple):
    """A side file: where it comes from, what writes it (to a temporary name), what to say."""

    source: Path
    path: Path
    write: Callable[[Path], None]
    said: str

    @property
    def replaces(self) -> bool:
        """Whether it takes the place of its source."""
        return self.source == self.path


def plan(
    stream: HostStream, number: int, lattice: Sequence[int], folders: Sequence[Path]
) -> tuple[list[Side], list[str]]:
    """(side files for configuration `number`, in the order of writing; what to say of others).

    lattice: X,Y,Z,T; folders: where side files may lie. Raises FormatError or StreamError if one
    that the host needs is missing or does not belong to its last configuration.
    """
    planner = {"Grid or GPT": _grid, "Chroma": _chroma, "openQCD": _openqcd,
               "tmLQCD": _tmlqcd}.get(stream.scheme.name)
    return planner(stream, number, lattice, folders) if planner else ([], [])


def write(side: Side) -> None:
    """Write a side file, whole or not at all."""
    with temporary_path(side.path, force=side.replaces) as temporary:
        side.write(temporary)


def _grid(
    stream: HostStream, number: int, _lattice: Sequence[int], folders: Sequence[Path]
) -> tuple[list[Side], list[str]]:
    name, source, path = _pair(stream, "{rng}.{number}", number, folders)
    if source is None:
        return [], [f"no {name} (GPT saves none; Grid does not start without)"]
    said = f"a copy of {name}: {DRAWN} {stream.number}"
    return [Side(source, path, lambda place: _copy(source, place), said)], []


def _chroma(
    stream: HostStream, number: int, _lattice: Sequence[int], folders: Sequence[Path]
) -> tuple[list[Side], list[str]]:
    name, source, path = _pair(stream, "{stem}_restart_{number}.xml", number, folders)
    if source is None:
        raise StreamError(f"{stream.path(stream.number)}: expected {name} beside it, from which "
                          "Chroma starts again, found none (--side-files names its folder)")
    text, total = _restart(source, stream, number)
    said = f"{name} with its number and file name changed, its RNG seed {DRAWN} {stream.number}"
    notes = []
    if number >= total:
        notes.append(f"{path.name}: update {number} is the last of {total}: Chroma will have "
                     "nothing left to do")
    return [Side(source, path, lambda place: _fill(place, text), said)], notes


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


def _tmlqcd(
    stream: HostStream, number: int, _lattice: Sequence[int], folders: Sequence[Path]
) -> tuple[list[Side], list[str]]:
    """The counter file: number of the next save, next trajectory, configuration to start from."""
    sides = []
    for name in COUNTERS:
        path = find(name, folders)
        if path is not None:
            text = _counted(path, stream, number).encode()
            sides.append(Side(path, path, functools.partial(_fill, data=text),
                              f"names {stream.path(number).name} and the save after it"))
    if sides:
        return sides, []
    return [], [f"no {COUNTERS[0]} (--side-files): tmLQCD goes on from what its input file names"]


def _counted(path: Path, stream: HostStream, number: int) -> str:
    """The counter for configuration `number`; StreamError unless it stands at the stream's last."""
    with open(path, "rb") as file:
        words = file.read(LARGEST_COUNTER).decode("utf-8", "replace").split()
    if len(words) != 3 or not (words[0].isdigit() and words[1].isdigit()):
        raise FormatError(f"{path}: expected `number trajectory file`, found "
                          f"{' '.join(words)[:80]}")
    name = stream.path(stream.number).name
    if int(words[0]) != stream.number + 1 or Path(words[2]).name != name:
        raise StreamError(f"{path}: expected {stream.number + 1} and {name}, the last of the "
                          f"stream, found {words[0]} and {words[2][:80]}")
    renewed = Path(words[2]).with_name(stream.path(number).name)
    return f"{number + 1} {int(words[1]) + number - stream.number} {renewed}\n"


def _openqcd(
    stream: HostStream, number: int, lattice: Sequence[int], folders: Sequence[Path]
) -> tuple[list[Side], list[str]]:
    log, rng = (find(f"{stream.stem}.{kind}", folders) for kind in ("log", "rng"))
    if log is None:
        if rng is not None:
            raise StreamError(f"{rng}: expected {stream.stem}.log with it, found none "
                              "(--side-files names its folder)")
        return [], [f"no {stream.stem}.log and {stream.stem}.rng (--side-files): openQCD takes "
                    f"{stream.path(number).name} with -c, without -a"]
    _check_log(log, stream.number)
    line = f"\nConfiguration no {number} exported\n\n".encode()

    def extend(place: Path) -> None:
        _copy(log, place)
        with open(place, "ab") as file:
            file.write(line)

    sides = [Side(log, log, extend, f"told of configuration {number}, as -a wants it")]
    if rng is None:
        return sides, [f"no {stream.stem}.rng: openQCD wants -norng"]
    _check_rng(rng, stream.number, lattice)

    def renumber(place: Path) -> None:
        _copy(rng, place)
        with open(place, "r+b") as file:
            file.write(struct.pack("<i", number))

    said = f"its number made {number}; the state is {DRAWN} {stream.number}"
    return [Side(rng, rng, renumber, said), *sides], []


def _check_log(path: Path, number: int) -> None:
    """StreamError unless openQCD's log ends with configuration `number`, as its -a wants it."""
    last = None
    with open(path, encoding="latin-1") as file:
        for line in file:
            found = re.search(r"(Trajectory|Configuration) no\s+(\d+)", line)
            last = found.groups() if found else last
    if last != ("Configuration", str(number)):
        raise StreamError(f"{path}: expected it to end with configuration {number}, found "
                          f"{' '.join(last or ('none',)).lower()} last")


def _check_rng(path: Path, number: int, lattice: Sequence[int]) -> None:
    """FormatError unless this is openQCD's state of its generators at configuration `number`."""
    with open(path, "rb") as file:
        head = file.read(RNG_HEAD.size)
    if len(head) < RNG_HEAD.size:
        raise FormatError(f"{path}: expected openQCD's .rng file, found {len(head)} bytes")
    found, *rest = RNG_HEAD.unpack(head)
    nx, ny, nz, nt = lattice
    extents = [grid * local for grid, local in zip(rest[:4], rest[4:], strict=True)]
    if found != number or extents != [nt, nx, ny, nz]:
        raise FormatError(f"{path}: expected configuration {number} of T,X,Y,Z = "
                          f"{nt},{nx},{ny},{nz}, found {found} of {','.join(map(str, extents))}")


def _pair(
    stream: HostStream, spelled: str, number: int, folders: Sequence[Path]
) -> tuple[str, Path | None, Path | None]:
    """(name of the side file there should be, where it is, where that of `number` goes)."""
    name = stream.file_name(spelled, stream.number)
    source = find(name, folders)
    return name, source, source and source.with_name(stream.file_name(spelled, number))


def find(name: str, folders: Sequence[Path]) -> Path | None:
    """The first file of this name in the folders, None where none has it."""
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


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


def _copy(source: Path, place: Path) -> None:
    shutil.copyfile(source, place)


def _fill(place: Path, data: bytes) -> None:
    place.write_bytes(data)
