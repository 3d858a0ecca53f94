"""Heat bath and overrelaxation: what a user of pure gauge theory would pick instead of any HMC.

No momenta, no step size, no accept/reject: every link is drawn anew from its own distribution given
all others (on SU(2) subgroups), or reflected in it at constant action. Each of these moves leaves
e^{-S} invariant, and so does their product in a fixed order, which is not reversible itself.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.errors import ActionError, ConfigError
from l2hmc_bridge.fast import heatbath
from l2hmc_bridge.sampling import counter, markov
from l2hmc_bridge.sampling.draws import Generators, draws_of
from l2hmc_bridge.sampling.markov import Info, State
from l2hmc_bridge.systems.actions import Action, GaugeAction
from l2hmc_bridge.systems.checks import check_field

MOST_SWEEPS = 1000  # in one update; the counters have room for 2^17


@dataclass(frozen=True)
class HeatBath:
    """`sweeps` Kennedy-Pendleton sweeps over all links, then `overrelax` sweeps of reflections.

    For the Wilson action alone, on extents of at least 2. Links leave a sweep of the heat bath in
    SU(3) to rounding, however long a chain. An update has no proposal, and so no `propose`: there
    is nothing that a host with another action could accept. Raises ActionError, ConfigError.
    """

    action: GaugeAction
    sweeps: int = 1
    overrelax: int = 4

    def __post_init__(self) -> None:
        require_wilson(self.action)
        for name, count, least in (("sweeps", self.sweeps, 1), ("overrelax", self.overrelax, 0)):
            if not least <= count <= MOST_SWEEPS:
                raise ConfigError(f"heat bath: expected {name} from {least} to {MOST_SWEEPS}, "
                                  f"found {count}")

    @property
    def guide(self) -> None:
        """It needs no force: State carries none."""
        return None

    @property
    def name(self) -> str:
        """What its updates are called."""
        return "heatbath"

    @property
    def length(self) -> float:
        """No MD time passes."""
        return 0.0

    def scaled(self, factor: float) -> "HeatBath":
        """Itself: there are no steps to scale."""
        return self

    def check(self, links: Tensor) -> None:
        """Raise LayoutError if an extent is below 2 or sites are too many to be counted."""
        heatbath.check(links)

    def init(self, links: Tensor) -> State:
        """State at `links`: the action, no force; BridgeError for no field."""
        check_field(links, self.action)
        return markov.state_at(self, links)

    def step(self, state: State, generator: Generators) -> tuple[State, Info]:
        """One update; BridgeError if `state` holds no field."""
        check_field(state.links, self.action)
        return self.update(state, generator)

    @torch.no_grad()
    def update(self, state: State, generator: Generators) -> tuple[State, Info]:
        """One update of a field: always taken, so dH = 0; what S gains, the bath has given.

        A sweep counts as one force: both need the six staples of every link once.
        """
        words = draws_of(generator).words(len(state.links), counter.HEAT_BATH)
        links = fast.heat_bath(state.links, self.action.beta, words, self.sweeps, self.overrelax)
        action = self.action(links)
        change = action - state.action
        zero = torch.zeros_like(change)
        info = Info(accepted=torch.ones_like(change, dtype=torch.bool), log_ratio=zero,
                    log_det=zero, delta_kinetic=-change, delta_action=change,
                    force_evaluations=self.sweeps + self.overrelax)
        return State(links, action, None), info


def require_wilson(action: Action) -> None:
    """Raise ActionError, naming it, for any action but Wilson's on SU(3)."""
    if not isinstance(action, GaugeAction):
        raise ActionError("heat bath: expected the Wilson action of SU(3), found "
                          f"{type(action).__name__} ({action.group})")
    if action.c1 != 0:
        raise ActionError(f"heat bath: expected the Wilson action, found {action.name}, which is "
                          "not drawn link by link here (--kernel hmc and l2hmc take it)")


def serves(action: Action, links: Tensor) -> bool:
    """Whether the heat bath samples this action on the lattice of `links`."""
    return isinstance(action, GaugeAction) and action.c1 == 0 and heatbath.fits(links)
