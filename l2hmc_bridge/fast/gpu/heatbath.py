"""The heat bath of fields that the compiled kernels do not see: by torch, on a GPU or elsewhere.

Where several processes share the lattice, torch would have to ask the neighbours after each colour:
there fields on GPUs go to main memory, and the compiled kernels ask.
"""

from torch import Tensor

from l2hmc_bridge.errors import ActionError
from l2hmc_bridge.fast import heatbath as reference
from l2hmc_bridge.fast.cpu import heatbath as compiled, library
from l2hmc_bridge.fields import part as parts


def heat_bath(links: Tensor, beta: float, words: Tensor, sweeps: int, overrelaxations: int
              ) -> Tensor:
    """`sweeps` heat-bath sweeps, then `overrelaxations` of the other kind.

    Raises ActionError on a part of a lattice without compiled kernels.
    """
    held = parts.of(links)
    if held is None or not held.cut:
        return reference.heat_bath(links, beta, words, sweeps, overrelaxations)
    if library.library_of(links.dtype) is None:
        raise ActionError("heat bath on a part of a lattice: expected the compiled kernels, found "
                          "none (install with a C++ compiler)")
    return compiled.heat_bath(links.cpu(), beta, words, sweeps, overrelaxations).to(links.device)
