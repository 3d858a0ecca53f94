"""What a live field of another code must be before it is updated: links in SU(3), periodic."""

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.adapters.format.checks import GROUP_BOUND
from l2hmc_bridge.adapters.payload.phases import oddity
from l2hmc_bridge.errors import ActionError, VerificationError
from l2hmc_bridge.fields.part import largest


def require_periodic_su3(
    name: str, links: Tensor, defects: fast.Defects | None = None
) -> None:
    """Raise VerificationError (not SU(3), and why) or ActionError (boundary) for what `name` holds.

    Bounds are those of files, 2e-5 on max|U U^dagger - 1| and max|det U - 1|. What has a name is
    named: open, fixed and anti-periodic boundaries, staggered and other phases. defects: those of
    these links if the pass that fetched them found them. Ranks that share a lattice raise alike,
    and name fixed boundaries, and phases without their pattern.
    """
    unitarity, determinant = (largest(torch.tensor(defect, dtype=torch.float64), links)
                              for defect in defects or fast.group_defects(links))
    found = oddity(links, unitarity, determinant, centre=False)
    if found is not None and found.boundary:
        raise ActionError(f"{name}: expected periodic links, found {found.sentence}: this action "
                          "is not among ours")
    if found is not None:
        raise VerificationError(f"{name}: expected links in SU(3), found {found.sentence}")
    if not (unitarity <= GROUP_BOUND and determinant <= GROUP_BOUND):
        raise VerificationError(
            f"{name}: expected max|U U^dagger - 1| and max|det U - 1| of at most {GROUP_BOUND:g}, "
            f"found {unitarity:.2g} and {determinant:.2g}"
        )
