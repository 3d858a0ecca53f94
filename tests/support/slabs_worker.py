"""One of several processes: files of a lattice in parts, read and written, beside those of one.

    python -m tests.support.slabs_worker X,Y,Z,T FOLDER

FOLDER holds whole_N.SUFFIX, written by one process as CASES say. Rank 0 writes a line for each: its
number, and what is not the same.
"""

import sys
from pathlib import Path

import torch

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.payload import dispatch
from l2hmc_bridge.errors import BridgeError
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.fields.part import holding
from l2hmc_bridge.ranks.grid import chosen
from l2hmc_bridge.ranks.share import Share
from l2hmc_bridge.ranks.world import joined

CASES = (
    ("ildg", {}), ("ildg", {"precision": 32}), ("scidac", {}), ("nersc", {}),
    ("nersc", {"precision": 32, "rows": 2}), ("nersc", {"rows": 2}), ("milc", {}), ("hdf5", {}),
    ("hdf5", {"compression": "gzip"}), ("hdf5", {"dialect": "pyquda"}), ("hdf5", {"precision": 32}),
    ("openqcd", {}), ("npy", {}),
)
META = {"date": "Mon Jan  1 00:00:00 2024 UTC", "beta": 6.0, "trajectory": 7, "lfn": "lfn://a/b"}
WHOLE, PARTS, SPOILED = "whole", "parts", "spoiled"


def name(folder, kind, number):
    """The file of a case."""
    form = files.FORMATS[CASES[number][0]]
    return Path(folder) / f"{kind}_{number}.{form.suffixes[0]}"


def told(path):
    """The meta of a file, or the sentence that refuses it."""
    try:
        found = files.inspect(path)
    except BridgeError as error:
        return None, str(error)
    return found.links, {key: value for key, value in found.meta.items() if key != "theory"}


def refusal(path):
    try:
        files.read(path)
    except BridgeError as error:
        return str(error)
    return "none"


def compared(share, folder, number):
    """Names of what is not as in one process."""
    form, options = CASES[number]
    path, copy = (name(folder, kind, number) for kind in (WHOLE, PARTS))
    alone, expected = told(path)
    with holding(share.part):
        links, found = told(path)
        files.write(copy, Configuration(links, META), form, **options)
        refused = refusal(name(folder, SPOILED, number))
    wrong = []
    if not torch.equal(links, share.part.taken(alone)):
        wrong.append("links")
    if str(found) != str(expected):
        wrong.append(f"meta {found} {expected}")
    unguarded = form == "npy"  # without any checksum
    if refused != refusal(name(folder, SPOILED, number)) or (refused == "none") != unguarded:
        wrong.append(f"refusal {refused}")
    again = files.read(copy)
    if not torch.equal(again.links, files.read(path).links):
        wrong.append("links written")
    if form != "hdf5" and copy.read_bytes() != path.read_bytes():  # HDF5 notes the hour
        wrong.append("bytes written")
    return wrong


@torch.no_grad()
def main(grid, folder):
    torch.set_num_threads(1)
    with joined() as world:
        for compiled in (False, True):
            dispatch.COMPILED_FROM = 0 if compiled else 1 << 60
            for number in range(len(CASES)):
                x, y, z, t = files.header(name(folder, WHOLE, number))["lattice"]
                lattice = t, x, y, z
                share = Share(world, chosen(grid, lattice, world.size, 1, False), lattice, 1)
                wrong = world.each(lambda: None) or compared(share, folder, number)
                found = [None] * world.size
                torch.distributed.all_gather_object(found, wrong)
                if world.first:
                    print(f"{number}: {', '.join(sum(found, [])) or 'the same'}", flush=True)
                    name(folder, PARTS, number).unlink()


if __name__ == "__main__":
    main(*sys.argv[1:])
