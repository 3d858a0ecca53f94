"""Steps of a run on several ranks: what is required, how the lattice is cut, the run itself."""

import functools
import hashlib
import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import torch

from l2hmc_bridge import __version__, errors, fast
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fast.collectives import connected
from l2hmc_bridge.fast.devices import kind_of, own_device
from l2hmc_bridge.fields.part import Extents
from l2hmc_bridge.ranks.grid import chosen
from l2hmc_bridge.ranks.reach import CPU, halo, needs_even
from l2hmc_bridge.ranks.share import Share
from l2hmc_bridge.ranks.world import World
from l2hmc_bridge.recorded.specs import BundleSpec, KernelSpec, StreamKernel
from l2hmc_bridge.stream.progress import Progress, Silent


def share_of(
    world: World, ranks: str, kernel: StreamKernel, spec: KernelSpec, lattice: Extents,
    chains: int = 1, device: torch.device = CPU,
) -> Share:
    """How a lattice (t, x, y, z) is cut for this kernel, and its chains are spread over groups.

    device: of this rank's fields.
    """
    if isinstance(spec, BundleSpec):
        world.agreed("bundle", spec.hash)
    world.agreed("lattice", str(lattice))
    depth = world.each(lambda: halo(kernel, device))
    world.agreed("chains", str(chains))
    grid = chosen(ranks, lattice, world.size, depth, needs_even(kernel), chains)
    return Share(world.divided(grid.size), grid, lattice, depth, world)


class Placed(NamedTuple):
    """All processes, each with its device; `note`: why messages take a longer way, if they do."""

    world: World
    device: torch.device
    note: str = ""


def on_device(world: World, name: str) -> Placed:
    """Each process on its own device of this name, "cpu" or "cuda[:N]", and how they are beside.

    Raises StreamError, the same on all, for other names or kinds of GPU on some, ConfigError
    unless all have such a device, and for one GPU by number if a machine has several processes.
    """
    world.agreed("ranks: device", name)
    if name.startswith("cuda:") and len(set(world.told(platform.node()))) < world.size:
        raise ConfigError(f"ranks: expected the device cuda, found {name}: each process of a "
                          "machine takes a GPU of its own")
    device = world.each(lambda: own_device(name))
    if device.type == "cpu":
        return Placed(world, device)
    world.agreed("ranks: GPU", kind_of(device))
    together = connected(device)
    together.add_up(torch.zeros(1, device=device))  # all meet before the first two swap
    return Placed(world.on_gpus(together.gpus), device, together.note)


def device_again(world: World, began: str) -> str:
    """The name of the device that a stream which began on `began` goes on on, on these ranks.

    Several ranks do not share the GPU whose number one rank was told.
    """
    return "cuda" if began.startswith("cuda:") and world.size > 1 else began


def listener(world: World, progress: Progress | None) -> Progress:
    """Rank 0 says what is to be said."""
    return progress if progress is not None and world.first else Silent()


def require_one_program(world: World) -> None:
    """Raise StreamError unless every rank runs the same source on the same torch and kernels."""
    for what, value in (("version", __version__), ("torch", str(torch.__version__)),
                        ("kernels", fast.description()), ("source", _source())):
        world.agreed(f"ranks: {what}", value)


@functools.cache
def _source(package: Path = Path(errors.__file__).parent) -> str:
    """A SHA-256 of the modules that compute: two checkouts may have one version.

    A checkout keeps adapters/ and cli/ beside the package, an install inside it.
    """
    roots = [package, *(package.parent / room for room in ("adapters", "cli")
                        if not (package / room).is_dir())]
    modules = {path.relative_to(package if root == package else package.parent).as_posix(): path
               for root in roots for path in root.rglob("*.py")}
    found = hashlib.sha256()
    for name, path in sorted(modules.items()):
        found.update(name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


@contextmanager
def on_rank_0(world: World, *contexts: AbstractContextManager[object]) -> Iterator[None]:
    """Contexts that rank 0 enters; what they refuse, all ranks refuse."""
    with ExitStack() as stack:

        def enter() -> None:
            for one in contexts:
                stack.enter_context(one)

        world.made(enter)
        yield
