"""The sites of one process in an ensemble of ours, read without the others'."""

import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from l2hmc_bridge.fields import part as parts
from l2hmc_bridge.fields.part import Part
from l2hmc_bridge.fields.slabs import by_each

from . import safety

if TYPE_CHECKING:
    import h5py


def own_sites(
    path: Path, links: "h5py.Dataset", index: int, part: Part, verify: bool
) -> tuple[Tensor, int]:
    """(the links of a part [1,4,...], CRC-32 of the whole configuration or 0).

    The CRC runs over all bytes in their order: the first process reads them, slice after slice.
    """
    out = np.empty((4, *part.held, 3, 3), np.complex128)
    own = out[(slice(None), *part.own)]
    t, *origin = part.origin
    box = tuple(slice(o, o + n) for o, n in zip(origin, part.extents[1:], strict=True))

    def take() -> None:
        with safety.damaged(path), np.errstate(all="ignore"):
            for at in range(part.extents[0]):
                own[:, at] = links[(index, slice(None), t + at, *box)]

    def summed() -> int:
        found = 0
        with safety.damaged(path):
            for mu in range(4 if verify else 0):
                for at in range(part.lattice[0]):
                    found = zlib.crc32(np.ascontiguousarray(links[index, mu, at]).data, found)
        return found

    by_each(part, path, take)
    tensor = torch.from_numpy(out)[None]
    parts.renew(part, tensor)
    return tensor, part.network.made(summed)
