"""What a kernel must know of the group its fields live in: one table, chosen by `action.group`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.errors import ActionError
from l2hmc_bridge.fields import layout, su3, u1, vectors


def _draw_su3(shape: tuple[int, ...], generator: torch.Generator,
              device: torch.device | None = None) -> Tensor:
    return su3.random_algebra(shape[:-2], generator, device)


def _same(field: Tensor) -> Tensor:
    return field


def _minus(one: Tensor, other: Tensor) -> Tensor:
    return one - other


def _none(field: Tensor, *_: Tensor) -> Any:
    raise ActionError("group: elementwise updates have no meaning on matrices of SU(3)")


class Group(NamedTuple):
    """Momenta, their energy, and the moves of one group."""

    name: str
    draw: Callable[..., Tensor]  # (links.shape, generator, device) -> momenta, N(0, 1)
    kinetic: Callable[[Tensor], Tensor]  # momenta -> [Nb]
    drift: Callable[..., Tensor]  # (momenta, links, step) -> links moved along the momenta
    project: Callable[[Tensor], Tensor]  # links -> the nearest ones in the group
    components: int  # real numbers of one momentum: what a scalar factor e^s does to the volume
    spread: Callable[[Tensor], Tensor]  # a number per link -> something that multiplies momenta
    apart: Callable[[Tensor, Tensor], Tensor]  # difference of two fields; angles modulo 2 pi
    # Where components of a field have meanings of their own: (field, a, c) -> (moved, log det),
    # its inverse, and what a network sees of a field; ActionError on SU(3).
    update: Callable[..., tuple[Tensor, Tensor]] = _none
    update_back: Callable[..., tuple[Tensor, Tensor]] = _none
    seen: Callable[[Tensor], tuple[Tensor, ...]] = _none
    momenta: Callable[[Tensor], int] = lambda field: field[0].numel()  # real ones of a chain


GROUPS = {
    one.name: one
    for one in (
        Group("su3", _draw_su3, fast.kinetic, fast.expm_multiply, su3.project_group,
              su3.DIMENSION, lambda numbers: numbers[..., None, None], _minus,
              momenta=lambda links: 4 * su3.DIMENSION * layout.volume(links)),
        Group("u1", u1.random_momenta, u1.kinetic, u1.free_drift, u1.wrap, 1, _same,
              lambda one, other: u1.wrap(one - other), u1.drift, u1.drift_back,
              lambda angles: (torch.cos(angles), torch.sin(angles))),
        Group("vector", u1.random_momenta, u1.kinetic, vectors.drift, _same, 1, _same, _minus,
              vectors.scale_shift, vectors.shift_scale_back, lambda points: (points,)),
    )
}


def group_of(action) -> Group:
    """The table entry of `action.group`; ActionError names the choices."""
    if action.group not in GROUPS:
        raise ActionError(f"group: expected one of {', '.join(GROUPS)}, found {action.group!r}")
    return GROUPS[action.group]
