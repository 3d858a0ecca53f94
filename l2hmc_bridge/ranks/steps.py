"""Steps of a run on several ranks: what is required, how the lattice is cut, the run itself."""

import functools
import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import torch

from l2hmc_bridge import __version__, errors, fast
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fields.part import Extents
from l2hmc_bridge.ranks.grid import chosen
from l2hmc_bridge.ranks.reach import halo, needs_even
from l2hmc_bridge.ranks.share import Share
from l2hmc_bridge.ranks.world import World
from l2hmc_bridge.recorded.specs import BundleSpec, KernelSpec, StreamKernel
from l2hmc_bridge.stream.progress import Progress, Silent


def share_of(
    world: World, ranks: str, kernel: StreamKernel, spec: KernelSpec, lattice: Extents,
    chains: int = 1,
) -> Share:
    """How a lattice (t, x, y, z) is cut for this kernel, and its chains are spread over groups."""
    if isinstance(spec, BundleSpec):
        world.agreed("bundle", spec.hash)
    world.agreed("lattice", str(lattice))
    depth = halo(kernel)
    world.agreed("chains", str(chains))
    grid = chosen(ranks, lattice, world.size, depth, needs_even(kernel), chains)
    return Share(world.divided(grid.size), grid, lattice, depth, world)


def require_cpu(device: str | None) -> None:
    """Raise ConfigError for GPUs, on which a lattice is not shared yet."""
    if device not in (None, "cpu"):
        raise ConfigError(f"ranks: expected the device cpu, found {device}: on a GPU a lattice "
                          "runs on one rank alone")


def listener(world: World, progress: Progress | None) -> Progress:
    """Rank 0 says what is to be said."""
    return progress if progress is not None and world.first else Silent()


def require_one_program(world: World) -> None:
    """Raise StreamError unless every rank runs the same source on the same torch and kernels."""
    for what, value in (("version", __version__), ("torch", str(torch.__version__)),
                        ("kernels", fast.description()), ("source", _source())):
        world.agreed(f"ranks: {what}", value)


@functools.cache
def _source() -> str:
    """A SHA-256 of the modules that compute: two checkouts may have one version."""
    root, found = Path(errors.__file__).parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        found.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
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
