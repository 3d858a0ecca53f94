"""What a field must be before a kernel takes it: checked at the door, once, not inside a stream."""

from collections.abc import Callable

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.errors import LayoutError, VerificationError
from l2hmc_bridge.fields import layout, u1
from l2hmc_bridge.systems.actions import Action
from l2hmc_bridge.systems.groups import group_of

# max|U U^+ - 1| and max|det U - 1| beyond this are never SU(3): links of a single-precision file
# stay below, and readers refuse what does not.
GROUP_BOUND = 2e-5


def check_field(links: Tensor, action: Action) -> None:
    """Raise BridgeError unless `links` is a field of the action's group; one pass over it.

    SU(3): complex [Nb,4,Nt,Nx,Ny,Nz,3,3] with max|U U^+ - 1| and max|det U - 1| of at most 2e-5.
    U(1): finite angles [Nb,2,Nt,Nx]; vectors: finite points [Nb,n]. LayoutError for an array, a
    wrong shape or dtype, or no chain at all, VerificationError for numbers that are no field. A
    field on torch's meta device has no numbers to check.
    """
    if not isinstance(links, Tensor):
        raise LayoutError(f"links: expected a torch tensor, found {type(links).__name__} "
                          "(torch.from_numpy makes one of an array)")
    if links.ndim and not len(links):
        raise LayoutError(f"links: expected at least one chain, found {list(links.shape)}")
    _CHECKS[group_of(action).name](links)


def _check_su3(links: Tensor) -> None:
    layout.check_links(links)
    if links.dtype not in (torch.complex128, torch.complex64):
        raise LayoutError(f"links: expected complex128 or complex64, found {links.dtype}")
    if links.is_meta:
        return
    unitarity, determinant = fast.group_defects(links)
    if unitarity <= GROUP_BOUND and determinant <= GROUP_BOUND:
        return
    if not links.isfinite().all():
        raise VerificationError("links: expected matrices of SU(3), found NaN or infinity")
    raise VerificationError(
        f"links: expected max|U U^+ - 1| and max|det U - 1| of at most {GROUP_BOUND:g}, found "
        f"{unitarity:.2g} and {determinant:.2g} (fields.su3.project_group projects to SU(3))"
    )


def _check_angles(angles: Tensor) -> None:
    u1.check_angles(angles)
    _check_finite("angles", angles)


def _check_points(points: Tensor) -> None:
    if points.ndim != 2:
        raise LayoutError(f"points: expected [Nb,n], found {list(points.shape)}")
    if not points.is_floating_point():
        raise LayoutError(f"points: expected real numbers, found {points.dtype}")
    _check_finite("points", points)


def _check_finite(name: str, field: Tensor) -> None:
    if not field.is_meta and not field.isfinite().all():
        raise VerificationError(f"{name}: expected finite numbers, found NaN or infinity")


_CHECKS: dict[str, Callable[[Tensor], None]] = {
    "su3": _check_su3, "u1": _check_angles, "vector": _check_points,
}
