"""The part of GPT that a stream with two flavours touches, beside gpt_standin, on torch.

Mirrors `wilson_twisted_mass` of qcd/fermion (mass = 1 / 2 kappa - 4, mu), the actions
`two_flavor_evenodd_schur` and `two_flavor_ratio_evenodd_schur` of
qcd/pseudofermion/action/two_flavor.py (fields U + [phi]; draw, call, gradient over U) and
`inverter.cg({"eps", "maxiter", "fail_if_not_converged"})` of algorithms/inverter, which goes on
with what it has at its limit unless told to fail. Mhat of GPT is ours over 2 kappa: S is the same,
phi is as much larger.
"""

import types

import torch
from two_flavour import dirac, quarks, solver

from tests.support.standins import gpt_standin as g


class wilson_twisted_mass:
    def __init__(self, U, mass, mu, boundary_phases):
        assert boundary_phases[:3] == [1, 1, 1] and boundary_phases[3] == -1
        kappa = 0.5 / (mass + 4)
        self.quark, self.F_grid_eo = dirac.Quark(kappa, 2 * kappa * mu), U[0].grid


class vspincolor:
    def __init__(self, grid):
        self.grid, self.data = grid, None


class cg:
    count = 0  # iterations of all

    def __init__(self, params):
        self.eps, self.limit = params["eps"], params["maxiter"]
        self.fails = params.get("fail_if_not_converged", False)

    def solve(self, operator, source):
        found = solver.solve(operator, source, self.eps, self.limit)
        cg.count += int(found.iterations.max())
        if self.fails and not found.converged.all():
            raise ValueError("FATAL error: CG not converged")
        return found.field


class two_flavor_evenodd_schur:
    def __init__(self, M, inverter):
        self.quark, self.over, self.inverter = M.quark, None, inverter

    def _parts(self, fields):
        links = dirac.Links(g.tensor(fields[:4]))
        heavy = None if self.over is None else dirac.Dirac(links, self.over)
        phi = fields[4].data
        return dirac.Dirac(links, self.quark), heavy, phi

    def _solved(self, fields):
        light, heavy, phi = self._parts(fields)
        left = self.inverter.solve(light.normal, phi if heavy is None else heavy.apply(phi))
        return light, heavy, phi, left

    def __call__(self, fields):
        light, _, _, left = self._solved(fields)
        return float(solver.product(light.adjoint(left), light.adjoint(left)))

    def draw(self, fields, rng):
        light, heavy, _ = self._parts(fields)
        seed = int(rng.generator.integers(2**31))
        shape = (4, 3, len(light.links.sites[dirac.ODD].own))
        eta = quarks.gaussian(shape, 1, torch.Generator().manual_seed(seed))
        fields[4].data = light.apply(eta)
        if heavy is not None:
            solved = self.inverter.solve(heavy.normal, fields[4].data)
            fields[4].data = heavy.adjoint(solved)
        return float(solver.product(eta, eta))

    def gradient(self, fields, dfields):
        assert all(one is other for one, other in zip(fields[:4], dfields, strict=True))
        light, heavy, phi, left = self._solved(fields)
        force = -quarks.derivative(light, left, light.adjoint(left))
        if heavy is not None:
            force = force + quarks.derivative(heavy, left, phi)
        out = g.group.cartesian(dfields)
        g.store(-1j * force, out)
        return out


class two_flavor_ratio_evenodd_schur(two_flavor_evenodd_schur):
    def __init__(self, M, inverter):
        super().__init__(M[0], inverter)
        self.over = M[1].quark


def library():
    """gpt_standin with quarks in it, as a module would look."""
    names = {name: value for name, value in vars(g).items() if not name.startswith("_")}
    names["vspincolor"] = vspincolor
    names["qcd"] = types.SimpleNamespace(
        **vars(g.qcd), fermion=types.SimpleNamespace(wilson_twisted_mass=wilson_twisted_mass),
        pseudofermion=types.SimpleNamespace(action=types.SimpleNamespace(
            two_flavor_evenodd_schur=two_flavor_evenodd_schur,
            two_flavor_ratio_evenodd_schur=two_flavor_ratio_evenodd_schur)))
    names["algorithms"] = types.SimpleNamespace(
        **vars(g.algorithms), inverter=types.SimpleNamespace(cg=cg))
    return types.SimpleNamespace(**names)
