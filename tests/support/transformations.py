"""Field transformations and rules with random weights."""

import math

import torch

from l2hmc_bridge.fast.smearing import Rules
from l2hmc_bridge.networks.transformation import FieldTransformation


def random_rules(generator, hidden=4, sweeps=1, activation="isru", rho=0.08, bound=0.12) -> Rules:
    """Rules whose rho varies from link to link where there are hidden units."""
    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    bias = torch.full((sweeps,), math.atanh(rho / bound), dtype=torch.float64)
    return Rules(bound, activation, normal(hidden), normal(hidden), normal(sweeps, hidden),
                 bias + 0.3 * normal(sweeps) * (hidden > 0))


def random_transformation(generator, hidden=4, sweeps=1, rho=0.06, **others
                          ) -> FieldTransformation:
    """One whose weights are far from zero."""
    made = FieldTransformation(sweeps, hidden, **others)
    made.start_at(rho)
    with torch.no_grad():
        for parameter in (*made.first.parameters(), made.weight):
            parameter.normal_(0, 0.7, generator=generator)
    return made
