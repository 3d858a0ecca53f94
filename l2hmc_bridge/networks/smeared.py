"""s_U inside a drift: all links by exp(e P), then once through the eight link subsets.

    Lambda+  U' = F_k(exp(e P) U),        log|J| = log|J_F| at exp(e P) U
    Lambda-  U = exp(-e P) F_k^-1(U'),    log|J| = -log|J_F|

F_k is one sweep of the field transformation (transformation.py) with a rho of its own for each
drift, rho = bound tanh(e^2 (w . h(frozen invariants) + b)): the order of the integrator is kept.
"""

from typing import Any

from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fast import transformation
from l2hmc_bridge.fast.smearing import Rules
from l2hmc_bridge.networks.parts import Mixing
from l2hmc_bridge.networks.transformation import FieldTransformation

KIND = "smeared"


class SmearedDrift(FieldTransformation):
    """A drift network of SU(3) links whose only output is s_U; see above. Raises ConfigError."""

    kind = KIND

    def __init__(self, drifts: int, hidden: int = 0, bound: float = 0.12,
                 activation: str = "isru", kind: str = KIND):
        if kind != KIND:
            raise ConfigError(f"kind: expected {KIND!r}, found {kind!r}")
        super().__init__(drifts, hidden, bound, activation)

    def description(self) -> dict[str, Any]:
        """What `architecture.build` needs to make the same network again."""
        return {"kind": self.kind, "hidden": self.hidden, "bound": self.bound,
                "activation": self.activation}

    def move(self, drift: int, step: Tensor, links: Tensor, momenta: Tensor, sign: int,
             mixing: Mixing | None, beta: float) -> tuple[Tensor, Tensor]:
        """(links', log|J| [Nb]) of Lambda+ (sign 1) or its exact inverse (sign -1)."""
        rules = self.of_drift(drift, step, beta)
        if sign > 0:
            links = _drifted(drift, step, links, momenta, 1, mixing)
            return transformation.transform(links, rules)
        links, change = transformation.inverse(links, rules)
        return _drifted(drift, step, links, momenta, -1, mixing), -change

    def of_drift(self, drift: int, step: Tensor | float, beta: float) -> Rules:
        """The rules of one drift alone."""
        rules, one = self.rules(beta), slice(drift, drift + 1)
        return rules._replace(weights=step**2 * rules.weights[one],
                              biases=step**2 * rules.biases[one])


def _drifted(drift: int, step: Tensor, links: Tensor, momenta: Tensor, sign: int,
             mixing: Mixing | None) -> Tensor:
    if mixing is None:
        return fast.expm_multiply(momenta, links, sign * step)
    return mixing.move(drift, step, links, momenta, sign)
