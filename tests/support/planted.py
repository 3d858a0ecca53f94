"""Kernels that run on an engine with a defect planted in it."""

from l2hmc_bridge.l2hmc.kernel import L2HMC


def planted(kernel: L2HMC, engine: type) -> L2HMC:
    """The kernel on `engine`, wherever that serves."""

    class Planted(type(kernel)):
        def enter(self, links, momenta, force, seen=None):
            if not engine.serves(self, links):
                return super().enter(links, momenta, force, seen)
            return engine.enter(self, links, momenta, force, seen)

    return Planted(*(getattr(kernel, name) for name in kernel.__dataclass_fields__))


def run(kernel: L2HMC, map_of, links, momenta, force=None):
    """Where `map_of(engine)` takes (links, momenta), as a Trajectory."""
    at = kernel.enter(links, momenta, kernel.guide.force(links) if force is None else force)
    map_of(at)
    return at.leave()
