"""What a file holds: one gauge field and everything the file said about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:  # who reads a header alone does not wait for torch
    from torch import Tensor


class Configuration(NamedTuple):
    """One gauge field with its metadata.

    links: [1,4,Nt,Nx,Ny,Nz,3,3] complex128, directions (t,x,y,z).
    meta: what the file said, in common keys where they have a common meaning:
        format, dialect, precision (32 or 64), lattice (X,Y,Z,T), beta, trajectory, lfn,
        ensemble_id, ensemble_label, plaquette, link_trace, checksum (as stored), checks (list of
        verification results), warnings (list of sentences), header (raw, format's own keys).
    """

    links: Tensor
    meta: Mapping[str, Any]
