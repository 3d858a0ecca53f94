"""How far a kernel looks: the sites that a part must have beside its own."""

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fast.gpu import functions as gpu
from l2hmc_bridge.l2hmc.compiled import CompiledEngine
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.l2hmc.planar import PlanarEngine
from l2hmc_bridge.l2hmc.planar_networks import PlanarNetworkEngine
from l2hmc_bridge.networks.covariant import KickNetwork
from l2hmc_bridge.recorded.specs import StreamKernel
from l2hmc_bridge.sampling.heatbath import HeatBath
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.systems.actions import GaugeAction, cold_start

CPU = torch.device("cpu")


def halo(kernel: StreamKernel, device: torch.device = CPU) -> int:
    """Sites beside a part that its forces, networks and sums need, as deep as this.

    Plaquettes reach one site, rectangles two; a network that looks at forces and momenta of the
    links beside, one more, and mixing of a Laplacian of forces another one. A nested step looks as
    far as the step inside: its terms see to theirs.
    Raises ConfigError, by name, for what is not there on several ranks whose fields are on such a
    device.
    """
    if isinstance(kernel, Nested):
        require_parts(kernel)
        return halo(kernel.inner, device)
    action = kernel.action
    if not isinstance(kernel, HMC | L2HMC | HeatBath) or not isinstance(action, GaugeAction):
        raise ConfigError("ranks: expected the kernel hmc, l2hmc or heatbath of a gauge action of "
                          f"ours, found {kernel.name} of {type(action).__name__}, which runs on "
                          "one rank alone")
    here = cold_start((2, 2, 2, 2))
    links = here.to(device)
    _require_kernels(links, here if isinstance(kernel, HeatBath) else None)
    reach = 1 if action.c1 == 0 else 2
    if isinstance(kernel, HMC | HeatBath):
        return reach
    with torch.no_grad():
        if PlanarEngine.serves(kernel, links):
            return reach
        _require_networks(kernel, links)
    loops = _loops(kernel)
    if "laplacian" in loops and kernel.mixing is not None:
        reach += 1  # M F with a Laplacian of F in it: neighbours of neighbours
    return 1 + max(reach, 2 if "rectangle" in loops else 0)


def _require_networks(kernel: L2HMC, links: Tensor) -> None:
    """Raise ConfigError unless kernels serve this one's networks at such links."""
    if CompiledEngine.serves(kernel.within(), links) or PlanarNetworkEngine.serves(kernel, links):
        return
    if links.device.type != "cpu":
        raise ConfigError("ranks: expected HMC, or a bundle whose networks Triton's kernels know "
                          "and that agree with torch there, on GPUs, found another one, which runs "
                          "on one rank, or shares a lattice in main memory alone (--device cpu)")
    raise ConfigError("ranks: expected a bundle whose networks the compiled kernels know, "
                      "found others, which run on one rank alone")


def _require_kernels(links: Tensor, heated: Tensor | None) -> None:
    """Raise ConfigError unless kernels serve such links, and in main memory those that are heated.

    Torch's formulas ask no neighbours, and what they find depends on the cut.
    """
    if not (fast.compiled(links) or (fast.planar(links) and gpu.shares(links))):
        raise ConfigError("ranks: expected the compiled kernels in main memory, or on a GPU "
                          "Triton's, that agree with torch there, found none of them (install "
                          "with a C++ compiler and --device cpu; pip install triton)")
    if heated is not None and not fast.compiled(heated):
        raise ConfigError("ranks: expected the compiled kernels for the heat bath, found none "
                          "(install with a C++ compiler)")


def needs_even(kernel: StreamKernel) -> bool:
    """Whether parts need even extents, for the parity masks of a drift network."""
    if isinstance(kernel, Nested):
        return needs_even(kernel.inner)
    return isinstance(kernel, L2HMC) and kernel.drift_network is not None


def require_parts(kernel: Nested) -> None:
    """Raise ConfigError, by name, for a term that does not take a part of a lattice."""
    for term in kernel.action.terms:
        term.require_parts()


def _loops(kernel: L2HMC) -> tuple[str, ...]:
    network = kernel.kick_network
    return network.loops if isinstance(network, KickNetwork) else ()
