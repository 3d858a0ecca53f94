"""One of several processes: how much memory it takes to read and to save its part of a lattice.

    python -m tests.support.memory_worker X,Y,Z,T SMALL LARGE FOLDER

Rank 0 writes a line for each of reading, writing, saving and resuming: the most that any process
took beside the field that it began with, and the share of a process with and without copies.
"""

import sys
from pathlib import Path

import torch

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.payload import dispatch
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.fields.part import holding
from l2hmc_bridge.ranks.grid import chosen
from l2hmc_bridge.ranks.share import Share
from l2hmc_bridge.ranks.world import joined
from l2hmc_bridge.recorded import shared_state
from l2hmc_bridge.recorded.state import Checkpoint
from l2hmc_bridge.sampling.markov import State
from tests.support.streams import define

STATUS = Path("/proc/self/status")


def memory(name):
    """"VmHWM", the most so far, or "VmRSS", what is taken now."""
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))


def took(world, make):
    """(the most that any process took while it made something, what it made)."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak from here on
    before = memory("VmRSS")
    made = make()
    most = torch.tensor(memory("VmHWM") - before)
    torch.distributed.all_reduce(most, torch.distributed.ReduceOp.MAX)
    return int(most), made


def written(world, links, folder, part):
    """What it takes to write these links as a configuration and as a save point."""
    state = State(links, torch.zeros(1, dtype=torch.float64), None)
    point = Checkpoint(define(), state, 0, 1, 0, "")
    return {"write": took(world, lambda: files.write(
                folder / "copy.ildg", Configuration(links, {}), "ildg", force=True))[0],
            "save": took(world, lambda: shared_state.save(folder, point, part))[0]}


def passed_through(world, grid, path, folder):
    """The four numbers, and the bytes of a part without and with its copies."""
    x, y, z, t = files.header(path)["lattice"]
    share = Share(world, chosen(grid, (t, x, y, z), world.size, 1, False), (t, x, y, z), 1)
    part, found = share.part, {}
    with holding(part):
        found["read"], one = took(world, lambda: files.read(path))
        found |= written(world, one.links, folder, part)
        del one
        found["load"], _ = took(world, lambda: shared_state.load(folder, part))
    bytes_of = [torch.Size(sites).numel() * 576 for sites in (part.extents, part.held)]
    return found, bytes_of


@torch.no_grad()
def main(grid, small, large, folder):
    torch.set_num_threads(1)
    dispatch.COMPILED_FROM = 0
    with joined() as world:
        passed_through(world, grid, small, Path(folder))
        found, (own, held) = passed_through(world, grid, large, Path(folder))
        if world.first:
            for name, most in found.items():
                print(name, most, own, held, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
