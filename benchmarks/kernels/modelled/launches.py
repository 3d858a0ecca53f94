"""Which kernels a trajectory on a GPU starts: counted without a GPU, nothing is computed.

Those of energies stand apart: every trajectory takes K at both ends, and S where it ends.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from l2hmc_bridge.fast.gpu import launch, planar, trajectories
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.l2hmc.planar import PlanarEngine
from l2hmc_bridge.l2hmc.planar_networks import PlanarNetworkEngine
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.systems.actions import GaugeAction

EXTENTS = (2, 2, 2, 4)
# Kernels that compute the plaquette staples of all links: a force each.
FORCES = ("push_kernel", "look_kernel", "step_kernel")


class Launch(NamedTuple):
    """A kernel that was started: its name, what it does (work.py), its part of all links."""

    kernel: str
    label: str
    share: float


def label_of(kernel: str, given: dict[str, Any]) -> str:
    """What a kernel with these arguments does."""
    moves = given.get("moved") is not None
    if kernel == "push_kernel":
        return "kick and drift" if given["DRIFT"] else "kick" if given["KEEP"] else "force"
    if kernel == "drift_kernel":
        known = "drift" if given["force"] is None else "known kick and drift"
        return known if given["out"] is not None else "known kick"
    if kernel in ("enter_kernel", "leave_kernel"):
        return (f"{'links' if given['NUMBERS'] == planar.LINKS else 'algebra'} "
                f"{'in' if kernel == 'enter_kernel' else 'out'}")
    if kernel == "step_kernel":
        kick = "kick" if given["weights"] is None else "kick network"
        drift = (" for mixing" if given["kept"] is not None else "" if not moves
                 else " and drift network" if given["turn"] is not None
                 else " and drift" if given["weights"] is not None else " and drift of the rest")
        return kick + drift
    if kernel == "known_kernel":
        drift = ", and drift" if moves else ""
        if given["LAPLACIAN"]:
            return "known kick network, Laplacian" + drift
        return "known kick network" + (" for mixing" if given["kept"] is not None
                                       else drift.replace(",", ""))
    if kernel == "mixed_kick_kernel":
        return "mixed kick" if given["kept"] is None else "mixed kick, network"
    if kernel == "subset_kernel":
        network = ", network" if given["weights"] is not None else ""
        smooth = ", Laplacian" if given["SMOOTH"] else ""
        return f"{'subset' if given['HALF'] else 'direction'}{network}{smooth}"
    return {"look_kernel": "look", "rest_kernel": "drift of the rest",
            "rectangle_kernel": "rectangles"}[kernel]


def launch_of(kernel: Any, arguments: tuple, constants: dict) -> Launch:
    """What is started by this."""
    given = dict(zip(kernel.arg_names, arguments, strict=False)) | constants
    name = kernel.fn.__name__
    share = (0.125 if given["HALF"] else 0.25) if name == "subset_kernel" else 1.0
    return Launch(name, label_of(name, given), share)


def measures(kernel: Any) -> bool:
    """Whether a kernel measures something: S, K."""
    return kernel.fn.__module__.endswith("observables.kernels")


class Found(TorchDispatchMode):
    """The kernels that were started, those of S and K apart, and the functions of torch that are no
    views of memory.
    """

    def __init__(self) -> None:
        super().__init__()
        self.launches: list[Launch] = []
        self.energies: list[str] = []
        self.torch: list[str] = []

    def __call__(self, kernel, grid, there, arguments, constants) -> None:
        if measures(kernel):
            self.energies.append(kernel.fn.__name__)
            return
        self.launches.append(launch_of(kernel, arguments, constants))

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        views = any(one.alias_info is not None and not one.alias_info.is_write
                    for one in function._schema.returns)
        if not views and "empty" not in function.name() and "new_" not in function.name():
            self.torch.append(function.name())
        return function(*arguments, **(options or {}))

    @property
    def forces(self) -> int:
        """How often the staples of all links were computed."""
        return sum(one.kernel in FORCES for one in self.launches)


@contextmanager
def found() -> Iterator[Found]:
    """Nothing is started in this block, but written down."""
    started, found = launch._start, Found()
    launch._start = found
    try:
        with found, torch.no_grad():
            yield found
    finally:
        launch._start = started


def trajectory(kernel: HMC | L2HMC, remember: bool = True,
               extents: tuple[int, ...] = EXTENTS) -> Found:
    """The second trajectory in a row, which begins with what the first one found (`remember`)."""
    field = torch.zeros(1, 4, *extents, 3, 3, dtype=torch.complex128)
    run = _run(kernel)
    with found():
        seen = run(field, None)
    with found() as second:
        run(field, seen if remember else None)
    return second


def _run(kernel: HMC | L2HMC) -> Callable:
    """A trajectory of (a field as links, momenta and force, what was seen): what it saw."""
    action = kernel.action
    if not isinstance(action, GaugeAction):
        raise TypeError(f"action: expected a GaugeAction, found {action}")
    if isinstance(kernel, HMC):
        plan = kernel.plan
        return lambda field, seen: trajectories.trajectory(
            field, field, field, action.beta, action.c1, plan.kicks, plan.drifts,
            plan.displacements) and None
    parts = (kernel.kick_network, kernel.drift_network, kernel.mixing)
    engine = PlanarEngine if all(one is None for one in parts) else PlanarNetworkEngine

    def run(field, seen):
        at = engine.enter(kernel, field, field, field, seen)
        kernel.palindrome(at)
        return at.leave().seen

    return run
