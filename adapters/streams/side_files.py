"""What a host wants to find beside its last configuration, kept in step with a new one.

A side file is planned, and refused, before any work is done, and written after the configuration,
as the hosts themselves do: one that is killed in between finds its former pair whole.
"""

import functools
import re
import struct
from collections.abc import Sequence
from pathlib import Path

from l2hmc_bridge.errors import FormatError, StreamError

from . import chroma_restart
from .names import HostStream
from .side import DRAWN, Side, copy, fill, find, pair

LARGEST_COUNTER = 1 << 12
COUNTERS = ("nstore_counter", ".nstore_counter")  # tmLQCD's, the second until 2012
RNG_HEAD = struct.Struct("<9i")  # openQCD: configuration number, process grid, local lattice


def plan(
    stream: HostStream, number: int, lattice: Sequence[int], folders: Sequence[Path],
    without_rng: bool = False,
) -> tuple[list[Side], list[str]]:
    """(side files for configuration `number`, in the order of writing; what to say of others).

    lattice: X,Y,Z,T; folders: where side files may lie; without_rng: Grid's need not be there.
    Raises FormatError or StreamError if one that the host needs is missing or does not belong to
    its last configuration.
    """
    planner = {"Grid or GPT": _grid, "Chroma": chroma_restart.sides, "openQCD": _openqcd,
               "tmLQCD": _tmlqcd}.get(stream.scheme.name)
    if stream.scheme.name == "Grid or GPT" and not without_rng:
        _require_rng(stream, folders)
    return planner(stream, number, lattice, folders) if planner else ([], [])


def own_names(stream: HostStream) -> set[str]:
    """Names of side files without a number."""
    return {f"{stream.stem}.log", f"{stream.stem}.rng", *COUNTERS}


def _require_rng(stream: HostStream, folders: Sequence[Path]) -> None:
    """StreamError for a configuration of Grid without its generators.

    It is Grid's if its file says so, or if generators of other configurations are there: GPT saves
    none, and has the same names.
    """
    name = stream.file_name("{rng}.{number}", stream.number)
    pattern = re.compile(re.escape(name.rpartition(".")[0]) + r"\.[0-9]{1,12}")
    others = [path.name for folder in folders for path in sorted(folder.iterdir())
              if pattern.fullmatch(path.name)]
    if find(name, folders) is None and (stream.grid or others):
        told = f"{others[-1]} is there" if others else "the file is Grid's"
        raise StreamError(f"{stream.path(stream.number)}: expected {name} with it ({told}), "
                          "without which Grid does not start again, found none (--side-files names "
                          "its folder; --without-rng goes on all the same)")


def _grid(
    stream: HostStream, number: int, _lattice: Sequence[int], folders: Sequence[Path]
) -> tuple[list[Side], list[str]]:
    name, found = pair(stream, "{rng}.{number}", number, folders)
    if found is None:
        return [], [f"no {name} (GPT saves none; Grid does not start without)"]
    source, path = found
    said = f"a copy of {name}: {DRAWN} {stream.number}"
    return [Side(source, path, lambda place: copy(source, place), said)], []


def _tmlqcd(
    stream: HostStream, number: int, _lattice: Sequence[int], folders: Sequence[Path]
) -> tuple[list[Side], list[str]]:
    """The counter file: number of the next save, next trajectory, configuration to start from."""
    sides = []
    for name in COUNTERS:
        path = find(name, folders)
        if path is not None:
            text = _counted(path, stream, number).encode()
            sides.append(Side(path, path, functools.partial(fill, data=text),
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
        copy(log, place)
        with open(place, "ab") as file:
            file.write(line)

    sides = [Side(log, log, extend, f"told of configuration {number}, as -a wants it")]
    if rng is None:
        return sides, [f"no {stream.stem}.rng: openQCD wants -norng"]
    _check_rng(rng, stream.number, lattice)

    def renumber(place: Path) -> None:
        copy(rng, place)
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


