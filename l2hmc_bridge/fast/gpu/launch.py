"""Starting Triton kernels on a GPU, and finding out whether they may be trusted there."""

import functools
import importlib
import importlib.util
import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from l2hmc_bridge.errors import ActionError
from l2hmc_bridge.fast import reference
from l2hmc_bridge.fields import part as parts, su3

BLOCK = 128  # sites per program
AGREEMENT = {torch.complex128: 1e-12, torch.complex64: 1e-4}  # of the largest number expected
SHAPES = ((1, 1, 0.4), (1, 2, -0.7), (3, 3, 0.1))  # as far as around a lattice
# How each function is called with links U and momenta P when it is tried.
TRIALS: dict[str, Callable] = {
    "action": lambda f, u, p: f(u, 5.7, -0.3),
    "force": lambda f, u, p: f(u, 5.7, -0.3),
    "staples": lambda f, u, p: f(u),
    "rectangle_staples": lambda f, u, p: f(u),
    "staple_trace": lambda f, u, p: f(u),
    "loop_square": lambda f, u, p: f(u),
    "plaquettes": lambda f, u, p: f(u),
    "expm_multiply": lambda f, u, p: f(p, u, 0.9),
    "kinetic": lambda f, u, p: f(p),
    "laplacian": lambda f, u, p: f(u, p) + f(u, p, True),
    "transport_laplacian": lambda f, u, p: f(u, p[:, 2], 2),
    "frozen_features": lambda f, u, p: sum(_last_axes(one) for one in f(u, p[:, 1], 1)),
    "clover": lambda f, u, p: f(u),
    "measured": lambda f, u, p: torch.cat(f(u, False), 1),
    "charge_density": lambda f, u, p: f(u, SHAPES),
    "charge": lambda f, u, p: f(u, SHAPES),
    "flow": lambda f, u, p: f(u, 0.05, 2, -0.1),
    "flow_measured": lambda f, u, p: torch.cat([torch.cat(one, 1) for one in f(
        u, ((0.0, 0), (0.05, 1)), -0.1)]),
    "trajectory": lambda f, u, p: _all_of(p, reference.Ends(*f(
        u, p, reference.force(u, 5.7, -0.3), 5.7, -0.3, (0.05, 0.1, 0.05), (0.1, 0.1),
        (0.0, 0.002, 0.0)))),
}


SUMS = ("action", "plaquettes", "kinetic", "clover", "measured", "flow_measured", "charge",
        "trajectory")  # exact ones of a part


def triton_available() -> bool:
    """Whether triton can be imported."""
    return importlib.util.find_spec("triton") is not None


def served(function: Callable) -> Callable:
    """The function where its kernels may serve fields like its first argument, else torch's.

    ActionError where torch's would have to, of a lattice that several processes share.
    """
    name, other = function.__name__, getattr(reference, function.__name__)

    @functools.wraps(function)
    def choose(field: Tensor, *arguments, **options):
        if trusted(name, function, field.device, field.dtype):
            return function(field, *arguments, **options)
        require_whole(name, field)
        return other(field, *arguments, **options)

    return choose


def require_whole(name: str, field: Tensor) -> None:
    """Raise ActionError for a field that is one of several parts of a lattice."""
    held = parts.of(field)
    if held is not None and held.cut:
        raise ActionError(f"{name} on a part of a lattice: expected its kernel on {field.device}, "
                          "found none that agrees with torch there; on one rank torch serves")


@functools.cache
def trusted(name: str, function: Callable, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether this function agrees with the reference's of that name; what it says is kept.

    Sums over sites in both ways: plain, and exactly as those of a part of a lattice.
    """
    generator = torch.Generator().manual_seed(1)
    links = su3.random_group((2, 4, 2, 3, 4, 5), generator).to(device, dtype)
    momenta = su3.random_algebra((2, 4, 2, 3, 4, 5), generator).to(device, dtype)
    trial = TRIALS[name]

    def found(links: Tensor, momenta: Tensor) -> Tensor:
        return trial(function, links, momenta)

    def found_exactly(links: Tensor, momenta: Tensor) -> Tensor:
        with parts.exactly(links):
            return found(links, momenta)

    return all(agree(name, one, functools.partial(trial, getattr(reference, name)), links, momenta)
               for one in ((found, found_exactly) if name in SUMS else (found,)))


def agree(name: str, function: Callable[[Tensor, Tensor], Tensor],
          expected: Callable[[Tensor, Tensor], Tensor], links: Tensor, momenta: Tensor) -> bool:
    """Whether a function of (links, momenta) is what is expected, but for rounding; a warning says
    where torch serves in its place.
    """
    device, dtype = links.device, links.dtype
    try:
        with torch.no_grad(), parts.holding(None):
            difference = _apart(function(links, momenta), expected(links, momenta))
    except Exception as error:  # whatever a compiler for a GPU can raise
        logging.getLogger(__name__).warning("%s: %s by torch alone: %s", device, name, error)
        return False
    if not difference < AGREEMENT[dtype]:
        logging.getLogger(__name__).warning(
            "%s: %s by torch alone: its kernel differs by %.1e", device, name, difference)
    return difference < AGREEMENT[dtype]


def _apart(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def launch(name: str, grid: tuple[int, ...], *arguments, **constants) -> None:
    """Start the kernel `name` of kernels.py, or "module.name" of this room, on the GPU that holds
    its first argument; fields in the torch layout.
    """
    given = [torch.view_as_real(value) if isinstance(value, Tensor) and value.is_complex()
             else value for value in arguments]
    _start(_named(name if "." in name else f"kernels.{name}"), grid, arguments[0], given,
           {"BLOCK": BLOCK, **constants})


def launch_planar(name: str, field: Tensor, *arguments, programs: int | None = None, **constants
                  ) -> None:
    """Start the kernel "module.name" of this room for all chains of a `field` with its numbers
    apart, a program for each block or `programs` of them.
    """
    grid = (field.shape[2] if programs is None else programs, len(field))
    _start(_named(name), grid, field, arguments, constants)


def _named(name: str) -> Any:
    module, _, kernel = name.rpartition(".")
    return getattr(importlib.import_module(f"l2hmc_bridge.fast.gpu.{module}"), kernel)


def _start(kernel: Any, grid: tuple[int, ...], there: Tensor, arguments: Sequence, constants: dict
           ) -> None:
    if all(grid):
        with torch.cuda.device_of(there):
            kernel[grid](*arguments, **constants, enable_fp_fusion=True)  # the default changes


def over_sites(name: str, links: Tensor, *arguments, rows: int = 4, **constants) -> None:
    """`launch` with `rows` programs for each block of sites of each chain."""
    launch(name, (rows * blocks(links), len(links)), links, *arguments, *links.shape[2:6],
           ROWS=rows, **constants)


def blocks(links: Tensor) -> int:
    """Blocks of sites of a field, copies of other processes' sites included."""
    return math.ceil(math.prod(links.shape[2:6]) / BLOCK)


def _all_of(momenta: Tensor, ends: reference.Ends) -> Tensor:
    """Links, momenta and force where a trajectory ended, its S and K' - K per link, in one."""
    action, change = ends.action, ends.delta_kinetic
    if action is None or change is None:
        action = reference.action(ends.links, 5.7, -0.3)
        change = reference.kinetic(ends.momenta) - reference.kinetic(momenta)
    energies = torch.stack([action, change], 1) / momenta[0, ..., 0, 0].numel()
    return torch.cat([ends.links.flatten(1), ends.momenta.flatten(1), ends.force.flatten(1),
                      energies], 1)


def _last_axes(one: Tensor) -> Tensor:
    """A number per site as a matrix per site, for a sum with one."""
    return one if one.is_complex() else one[..., None, None].expand(*one.shape, 3, 3)
