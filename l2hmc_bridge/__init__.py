"""Exact, trained L2HMC updates for production lattice QCD streams.

    import l2hmc_bridge as lb

    configuration = lb.read("cfg.ildg")
    kernel = lb.load_bundle(beta=6.0).kernel
    state = kernel.init(configuration.links)
    state, info = kernel.step(state, lb.trajectory_generator(seed=1, chain=0, trajectory=1))

Names in `__all__` are what the package offers; each is imported, with torch, when it is first
asked for.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# An install lays adapters/ and cli/ inside this folder; a checkout keeps them beside it.
if not (Path(__file__).parent / "adapters").is_dir():
    __path__.append(str(Path(__file__).parent.parent))

if TYPE_CHECKING:
    from l2hmc_bridge.adapters.files.ensemble import open_ensemble
    from l2hmc_bridge.adapters.files.table import detect, read, write
    from l2hmc_bridge.adapters.public.analyse import analyse
    from l2hmc_bridge.adapters.public.measure import measure
    from l2hmc_bridge.adapters.public.streams import begin_stream, resume_stream
    from l2hmc_bridge.bundle.file import load as load_bundle
    from l2hmc_bridge.errors import BridgeError
    from l2hmc_bridge.fields.configuration import Configuration
    from l2hmc_bridge.gate.report import check_bundle
    from l2hmc_bridge.l2hmc.kernel import L2HMC
    from l2hmc_bridge.sampling.hmc import HMC
    from l2hmc_bridge.sampling.host_action import HostAction, Hosted
    from l2hmc_bridge.sampling.markov import trajectory_generator
    from l2hmc_bridge.sampling.mixture import Mixture
    from l2hmc_bridge.stream.options import SampleOptions
    from l2hmc_bridge.systems.actions import GaugeAction

__all__ = [
    "BridgeError", "Configuration", "GaugeAction", "HMC", "HostAction", "Hosted", "L2HMC",
    "Mixture", "SampleOptions", "__version__", "analyse", "begin_stream", "check_bundle", "detect",
    "load_bundle", "measure", "open_ensemble", "read", "resume_stream", "trajectory_generator",
    "write",
]

# Where each name stands: module, and its name there.
_PLACES = {
    "BridgeError": ("errors", "BridgeError"),
    "Configuration": ("fields.configuration", "Configuration"),
    "GaugeAction": ("systems.actions", "GaugeAction"),
    "HMC": ("sampling.hmc", "HMC"),
    "HostAction": ("sampling.host_action", "HostAction"),
    "Hosted": ("sampling.host_action", "Hosted"),
    "L2HMC": ("l2hmc.kernel", "L2HMC"),
    "Mixture": ("sampling.mixture", "Mixture"),
    "SampleOptions": ("stream.options", "SampleOptions"),
    "analyse": ("adapters.public.analyse", "analyse"),
    "begin_stream": ("adapters.public.streams", "begin_stream"),
    "check_bundle": ("gate.report", "check_bundle"),
    "detect": ("adapters.files.table", "detect"),
    "load_bundle": ("bundle.file", "load"),
    "measure": ("adapters.public.measure", "measure"),
    "open_ensemble": ("adapters.files.ensemble", "open_ensemble"),
    "read": ("adapters.files.table", "read"),
    "resume_stream": ("adapters.public.streams", "resume_stream"),
    "trajectory_generator": ("sampling.markov", "trajectory_generator"),
    "write": ("adapters.files.table", "write"),
}


def __getattr__(name: str) -> object:
    """A public name, imported now (PEP 562)."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, own = _PLACES[name]
    value = getattr(importlib.import_module(f"{__name__}.{module}"), own)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """What is offered, before any of it is imported."""
    return sorted({*globals(), *__all__})
