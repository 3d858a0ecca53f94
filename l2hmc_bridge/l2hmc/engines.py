"""The engines there are, best first; the first that serves computes a trajectory."""

from torch import Tensor

from l2hmc_bridge.l2hmc.compiled import CompiledEngine
from l2hmc_bridge.l2hmc.engine import Engine, Map
from l2hmc_bridge.l2hmc.planar import PlanarEngine
from l2hmc_bridge.l2hmc.planar_networks import PlanarNetworkEngine
from l2hmc_bridge.l2hmc.reference import TorchEngine
from l2hmc_bridge.l2hmc.transformed import TransformedEngine

ENGINES: tuple[type[Engine], ...] = (TransformedEngine, CompiledEngine, PlanarEngine,
                                     PlanarNetworkEngine, TorchEngine)


def engine_for(kernel: Map, links: Tensor) -> type[Engine]:
    """The engine that serves this kernel at these links, as it is used now."""
    return next(engine for engine in ENGINES if engine.serves(kernel, links))
