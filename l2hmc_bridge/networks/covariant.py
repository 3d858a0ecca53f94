"""The trainable parts of an L2HMC step: step sizes, kick network, drift network, mixing.

The covariant networks see gauge-invariant numbers of each link (loop traces, tr F^2, tr P^2) and
return scalars per link that multiply algebra elements which transform like the force: gauge
covariant, equivariant under the translations and rotations of the masks, for any volume. All
last layers start at zero: the untrained step is HMC.
"""


import torch
from torch import Tensor, nn

from l2hmc_bridge import fast
from l2hmc_bridge.errors import ConfigError, LayoutError
from l2hmc_bridge.fast.smearing import ACTIVATIONS
from l2hmc_bridge.fields import su3
from l2hmc_bridge.networks.parts import Mixing
from l2hmc_bridge.networks.subset_moves import Subset, move_subsets
from l2hmc_bridge.sampling.integrators import Schedule

KICK_LOOPS = {
    # name: (links, force) -> algebra field like links, covariant like the force
    "laplacian": fast.laplacian,
    "square": lambda links, _: fast.loop_square(links),
    # TA(U A^rect): the force at beta = 6 is TA(U [(1 - 8 c1) A + c1 A^rect]).
    "rectangle": lambda links, _: fast.force(links, 6.0, 1.0) + 7 * fast.force(links, 6.0),
}


class Steps(nn.Module):
    """Signed step sizes of every kick and drift, and the displacement of every kick's force.

    Effective kicks h_0..h_n and drifts e_1..e_n are the parameters scaled to sum to `length` each;
    displacements g_k are parameters as they stand, and only those that start non-zero exist
    (each costs a force): the kick then uses F(exp(-g_k F) U).
    """

    def __init__(self, plan: Schedule):
        super().__init__()
        double = torch.float64
        self.kicks = nn.Parameter(torch.tensor(plan.kicks, dtype=double))
        self.drifts = nn.Parameter(torch.tensor(plan.drifts, dtype=double))
        self.displacements = nn.Parameter(torch.tensor(plan.displacements, dtype=double))
        self.length = nn.Parameter(self.drifts.detach().sum())
        self.displaced = tuple(g != 0.0 for g in plan.displacements)

    def effective(self) -> tuple[Tensor, Tensor, Tensor]:
        """(kicks [n+1], drifts [n], displacements [n+1]) in MD time, differentiable."""
        kicks = self.length * self.kicks / self.kicks.sum()
        drifts = self.length * self.drifts / self.drifts.sum()
        return kicks, drifts, self.displacements

    @property
    def force_evaluations(self) -> int:
        """Distinct fields in one pass whose force is needed, the starting field left out."""
        return len(self.drifts) + sum(self.displaced)


class KickNetwork(nn.Module):
    """PNet: (s, q, t) of each link from (U, F), for the kick P' = P e^{h s} - h [F e^{2 h q} + t].

    Inputs per link: Re tr(U A)/18, <F,F>/(8 beta), beta - 6. Outputs scale with the step size h
    so that the order of the integrator is kept: s = h s^, q = h q^, t = h^2 sum_l c_l V_l, with
    V_l from KICK_LOOPS; s^, q^ and c_l are scalars per link. The hidden units are `activation` of a
    linear map: "isru", x / sqrt(1 + x^2) (arXiv:1710.09967, eq. 1), or "tanh".
    """

    kind, by_inputs, fits, inputs = "covariant", False, None, 3

    def __init__(self, kicks: int, hidden: int = 8, loops: tuple[str, ...] = ("square",),
                 activation: str = "isru"):
        super().__init__()
        self.activation = known_activation(activation)
        unknown = sorted(set(loops) - set(KICK_LOOPS))
        if unknown:
            raise ConfigError(f"loops: expected some of {sorted(KICK_LOOPS)}, found {unknown}")
        self.loops = tuple(loops)
        self.hidden = int(hidden)
        self.first = nn.Linear(self.inputs, hidden, dtype=torch.float64)
        self.weight = nn.Parameter(torch.zeros(kicks, 2 + len(loops), hidden, dtype=torch.float64))
        self.bias = nn.Parameter(torch.zeros(kicks, 2 + len(loops), dtype=torch.float64))

    def check(self, links: Tensor) -> None:
        """Any lattice will do."""

    def description(self) -> dict:
        """What `architecture.build` needs to make the same network again."""
        return {"hidden": self.hidden, "loops": list(self.loops), "activation": self.activation}

    def features(self, links: Tensor, force: Tensor, beta: float) -> tuple[Tensor, ...]:
        """(hidden activations [Nb,4,Nt,Nx,Ny,Nz,H], V_1, ...) of one field, shared by its kicks."""
        trace = fast.staple_trace(links) / 18
        square = su3.inner(force, force) / (8 * max(beta, 1e-3))
        inputs = torch.stack([trace, square, torch.full_like(trace, beta - 6)], dim=-1)
        loops = (KICK_LOOPS[name](links, force) for name in self.loops)
        return ACTIVATIONS[self.activation](self.first(inputs)), *loops

    def forward(self, kick: int, step: Tensor, features: tuple[Tensor, ...]
                ) -> tuple[Tensor, Tensor, Tensor]:
        """(s, q [Nb,4,Nt,Nx,Ny,Nz], t like links) of kick number `kick` with step size h."""
        hidden, *directions = features
        out = hidden @ self.weight[kick].T + self.bias[kick]
        t = sum(out[..., 2 + n, None, None] * v for n, v in enumerate(directions))
        return step * out[..., 0], step * out[..., 1], step**2 * t


class DriftNetwork(nn.Module):
    """UNet: (q, t) of the active links from frozen ones and P; U' = exp(e [P e^{e q} + t]) U.

    The active links are one of the eight subsets direction x parity. Inputs per link, from frozen
    links only: tr(A A^dagger)/36, <P,P>/8, beta - 6; q = e q^ and t = e^2 c Lap_mu P, the
    covariant Laplacian along frozen links; q^ and c are scalars per link.

    subsets "turn": each drift moves one subset so, another one the next time, and the other links
    by exp(e P) U: after eight drifts every link had its turn, at an eighth of the cost. "all": one
    subset after the other, every time. outputs ("q",): t = 0, which spares the Laplacian; else
    ("q", "t"). `activation` as in KickNetwork. Raises ConfigError for anything else.
    """

    kind, by_inputs, fits, inputs = "covariant", False, None, 3

    def __init__(self, drifts: int, hidden: int = 8, subsets: str = "turn",
                 outputs: tuple[str, ...] = ("q",), activation: str = "isru"):
        super().__init__()
        self.activation = known_activation(activation)
        if subsets not in ("turn", "all"):
            raise ConfigError(f"subsets: expected 'turn' or 'all', found {subsets!r}")
        if tuple(outputs) not in (("q",), ("q", "t")):
            raise ConfigError(f"outputs: expected ['q'] or ['q', 't'], found {list(outputs)}")
        self.hidden, self.subsets, self.outputs = int(hidden), subsets, tuple(outputs)
        self.first = nn.Linear(self.inputs, hidden, dtype=torch.float64)
        count = len(self.outputs)
        self.weight = nn.Parameter(torch.zeros(drifts, count, hidden, dtype=torch.float64))
        self.bias = nn.Parameter(torch.zeros(drifts, count, dtype=torch.float64))

    def description(self) -> dict:
        """What `architecture.build` needs to make the same network again."""
        return {"hidden": self.hidden, "subsets": self.subsets, "outputs": list(self.outputs),
                "activation": self.activation}

    def order(self, drift: int) -> tuple[Subset, ...]:
        """(direction, parity or None for both, with the network) in the order they move."""
        if self.subsets == "all":
            return tuple((mu, odd, True) for mu in range(4) for odd in (False, True))
        chosen, odd = drift % 4, (drift + drift // 4) % 2 == 1
        others = tuple((mu, None, False) for mu in range(4) if mu != chosen)
        return ((chosen, odd, True), (chosen, not odd, False), *others)

    def check(self, links: Tensor) -> None:
        """LayoutError if the parity masks do not fit an odd extent."""
        nt, nx, ny, nz = links.shape[2:6]
        if any(n % 2 for n in (nt, nx, ny, nz)):
            raise LayoutError(
                f"lattice {nx},{ny},{nz},{nt}: expected even extents for the parity masks of the "
                "drift network, found an odd one (another bundle, or --kernel hmc)"
            )

    def move(self, drift: int, step: Tensor, links: Tensor, momenta: Tensor, sign: int,
             mixing: Mixing | None, beta: float) -> tuple[Tensor, Tensor]:
        """U_A' = exp(e [P_A e^{e q} + t]) U_A or its inverse, subset after subset; log|J| = 0."""

        def velocity(links: Tensor, mu: int, alive: bool) -> Tensor:
            plain = momenta[:, mu]
            mixed = plain if mixing is None else mixing.direction(links, plain, mu)
            if not alive:
                return mixed
            return mixed + self(drift, step, links, momenta, mu, beta) - plain

        links = move_subsets(links, subsets(self, drift, sign), sign * step, velocity,
                             momenta if mixing is None else None)
        return links, momenta.new_zeros(len(momenta)).real

    def forward(self, drift: int, step: Tensor, links: Tensor, momenta: Tensor, mu: int,
                beta: float) -> Tensor:
        """P e^{e q} + t for direction mu, [Nb,Nt,Nx,Ny,Nz,3,3]; valid on one parity at a time."""
        momentum = momenta[:, mu]
        trace, transported = fast.frozen_features(links, momentum, mu)
        trace = trace / 36
        square = su3.inner(momentum, momentum) / 8
        inputs = torch.stack([trace, square, torch.full_like(trace, beta - 6)], dim=-1)
        hidden = ACTIVATIONS[self.activation](self.first(inputs))
        out = hidden @ self.weight[drift].T + self.bias[drift]
        scale = torch.exp(step**2 * out[..., 0])[..., None, None]
        if "t" not in self.outputs:
            return momentum * scale
        return momentum * scale + step**2 * out[..., 1, None, None] * transported


class MomentumMixing(nn.Module):
    """M_mu = 1 + c Lap_mu(U): self-adjoint, free of U_mu; kicks use M F, drifts M P.

    Lap_mu is the covariant Laplacian over the three directions transverse to mu; its spectrum
    lies in [-12, 0], so c < 0 makes short waves move faster and c > 0 long ones.
    """

    def __init__(self):
        super().__init__()
        self.coefficient = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def move(self, drift: int, step: Tensor, links: Tensor, momenta: Tensor, sign: int) -> Tensor:
        """U_mu' = exp(e M_mu P_mu) U_mu or its inverse, one direction after the other."""
        return move_subsets(links, subsets(None, drift, sign), sign * step,
                            lambda links, mu, _: self.direction(links, momenta[:, mu], mu))

    def direction(self, links: Tensor, field: Tensor, mu: int) -> Tensor:
        """M_mu X for an algebra field X of direction mu, [Nb,Nt,Nx,Ny,Nz,3,3]."""
        return field + self.coefficient * fast.transport_laplacian(links, field, mu)

    def forward(self, links: Tensor, field: Tensor) -> Tensor:
        """M X for all four directions, like links."""
        return field + self.coefficient * fast.laplacian(links, field, transverse=True)


def subsets(network: DriftNetwork | None, drift: int, sign: int) -> tuple[Subset, ...]:
    """(direction, parity or None for both, with the network) in the order they move.

    Even drifts and odd ones go through the same order from opposite ends, as do inverses.
    """
    every: tuple[Subset, ...] = tuple((mu, None, False) for mu in range(4))
    order = every if network is None else network.order(drift)
    return order[::-1] if (drift % 2 == 0) != (sign > 0) else order


def known_activation(name: str) -> str:
    """The name of one of ACTIVATIONS; ConfigError for another."""
    if name not in ACTIVATIONS:
        raise ConfigError(f"activation: expected one of {sorted(ACTIVATIONS)}, found {name!r}")
    return name
