"""What a live field of another code must be before it is updated: links in SU(3), periodic.

det U finds what a plaquette cannot: a sign (-1)^3 = -1 on single links is a fermion boundary or a
staggered phase multiplied into them, zero is a link that open boundaries switched off.
"""

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.adapters.format.checks import GROUP_BOUND
from l2hmc_bridge.errors import ActionError, VerificationError
from l2hmc_bridge.fields import su3


def require_periodic_su3(
    name: str, links: Tensor, defects: fast.Defects | None = None
) -> None:
    """Raise VerificationError (not SU(3), and why) or ActionError (boundary) for what `name` holds.

    Bounds are those of files, 2e-5 on max|U U^dagger - 1| and max|det U - 1|. A boundary that is
    fixed (Schroedinger functional) is known by spatial links that are one diagonal matrix on the
    first time slice alone. defects: those of these links where the pass that fetched them found
    them.
    """
    unitarity, determinant = defects or fast.group_defects(links)
    if unitarity <= GROUP_BOUND and determinant <= GROUP_BOUND:
        if _fixed_slice(links):
            raise ActionError(
                f"{name}: expected periodic links, found Schroedinger-functional boundaries "
                "(constant diagonal spatial links at t = 0): an update would move them"
            )
        return
    if not torch.view_as_real(links).isfinite().all():
        raise VerificationError(f"{name}: expected links in SU(3), found NaN or infinity")
    switched_off = links.abs().sum((-2, -1)) == 0
    if switched_off[:, 0, -1].all() and not switched_off.all():
        raise ActionError(f"{name}: expected periodic links, found open boundaries (time links 0 "
                          "on the last slice): this action is not among ours")
    signs = (torch.linalg.det(links).real < 0)[0]
    turned = torch.where(signs[None, ..., None, None], -links, links)
    if signs.any() and max(fast.group_defects(turned)) <= GROUP_BOUND:
        raise VerificationError(f"{name}: expected links in SU(3), found {_phases(links, signs)}")
    raise VerificationError(
        f"{name}: expected max|U U^dagger - 1| and max|det U - 1| of at most {GROUP_BOUND:g}, "
        f"found {unitarity:.2g} and {determinant:.2g}"
    )


def _phases(links: Tensor, signs: Tensor) -> str:
    """What signs det U = -1 on these links look like."""
    boundary = torch.zeros_like(signs)
    boundary[0, -1] = True
    trace = su3.trace(links).real[0] / 3
    numbers = (f"link trace {float(trace[signs].mean()):+.4f} on them, "
               f"{float(trace[~signs].mean()) if (~signs).any() else 0.0:+.4f} elsewhere")
    if torch.equal(signs, boundary):
        return (f"det U = -1 on all time links of the last slice ({numbers}): anti-periodic "
                "fermion boundaries multiplied into the links; multiply them out again")
    return (f"det U = -1 on {int(signs.sum())} of {signs.numel()} links ({numbers}): staggered or "
            "other phases multiplied into the links; multiply them out again")


def _fixed_slice(links: Tensor) -> bool:
    """Whether spatial links are one diagonal matrix each on slice t = 0, and not on t = 1."""
    corner = links[0, 1:, 0, 0, 0, 0]
    if links.shape[2] < 2 or (corner - torch.diag_embed(
            corner.diagonal(dim1=-2, dim2=-1))).abs().max() > GROUP_BOUND:
        return False

    def constant(slice_at: int) -> bool:
        spatial = links[0, 1:, slice_at]
        return bool((spatial - spatial[:, :1, :1, :1]).abs().max() < GROUP_BOUND)

    return constant(0) and not constant(1)
