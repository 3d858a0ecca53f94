"""The part of GPT that a pure-gauge stream touches, on numpy.

Mirrors github.com/lehner/gpt at f3ef3267 (2024-10-31): `grid` of lib/gpt/core/grid.py, `lattice`
and its indexing of core/lattice.py and core/peekpoke.py (map_pos: `[:]` is the rank's own sites,
explicit slices are global; sites x fastest) and `mview`, `ot_matrix_su_n_fundamental_group` and its
algebra of core/object_type/su_n.py, `metropolis` of algorithms/markov/metropolis.py, update_p,
update_q and leap_frog of algorithms/integrator/symplectic.py, `mass_term` of
qcd/scalar/action/mass_term.py, `wilson` of qcd/gauge/action/wilson.py with the gradient of
action/base.py, `plaquette` and `topological_charge` of qcd/gauge/stencil. Fields of all ranks lie
in one array; ranks run one after the other, and what rank 0 says is kept for the others.
"""

import types
from pathlib import Path

import numpy as np
import torch

from l2hmc_bridge.fields import su3
from l2hmc_bridge.observables import topology as our_topology
from l2hmc_bridge.observables.standard import plaquette as our_plaquette
from l2hmc_bridge.systems.actions import GaugeAction


class Precision:
    def __init__(self, name, dtype):
        self.__name__, self.complex_dtype = name, dtype


double, single = Precision("double", np.complex128), Precision("single", np.complex64)
half = Precision("half", np.complex64)
full = types.SimpleNamespace(n=1, simd_mask=[1] * 4, __name__="full")
redblack = types.SimpleNamespace(n=2, simd_mask=[1] * 4, __name__="redblack")


class grid:
    def __init__(self, fdimensions, precision, cb=full, mpi=None, processor=0, said=None,
                 parent=None):
        self.fdimensions, self.precision, self.nd = list(fdimensions), precision, len(fdimensions)
        self.cb, self.parent, self.mpi = cb, parent, mpi or [1] * self.nd
        self.Nprocessors, self.processor = int(np.prod(self.mpi)), processor
        self.ldimensions = [n // m for n, m in zip(self.fdimensions, self.mpi, strict=True)]
        self.gdimensions, self.gsites = self.fdimensions, int(np.prod(self.fdimensions))
        self.processor_coor, rest = [0] * self.nd, processor
        for at in reversed(range(self.nd)):  # as GPT asserts: the last direction is the fastest
            rest, self.processor_coor[at] = divmod(rest, self.mpi[at])
        self.said = [] if said is None else said  # by rank 0, in order
        self.heard = 0

    def lattice(self, kind):
        return lattice(self, kind)

    def __str__(self):
        return (f"fdimensions = {self.fdimensions}; mpi = {self.mpi}; precision = "
                f"{self.precision.__name__}; checkerboard = {self.cb.__name__}")

    def _from_rank_zero(self, value):
        if self.processor == 0:
            self.said.append(value)
            return value
        self.heard += 1
        return self.said[self.heard - 1]

    def globalsum(self, x):
        return self._from_rank_zero(x) + (x if self.processor else 0)

    def broadcast(self, root, array):
        assert root == 0 and array.flags.c_contiguous and array.nbytes < 2**31
        array[...] = self._from_rank_zero(array.copy())


class otype:
    def __init__(self, name, colours=3, algebra=None):
        self.__name__, self.shape, self.algebra = name, (colours, colours), algebra

    def cartesian(self):
        return self.algebra or self


def ot_matrix_su_n_fundamental_group(colours):
    algebra = otype(f"ot_matrix_su_n_fundamental_algebra({colours})", colours)
    return otype(f"ot_matrix_su_n_fundamental_group({colours})", colours, algebra)


def ot_matrix_su_n_adjoint_group(colours):
    return otype(f"ot_matrix_su_n_adjoint_group({colours})", colours**2 - 1)


class lattice:
    def __init__(self, first, second=None, data=None):
        if isinstance(first, lattice):
            first, second = first.grid, first.otype
        self.grid, self.otype = first, second
        # As Grid keeps it: numbers of several sites next to each other, here of all along the
        # first direction that may be vectorised.
        others, at = list(first.fdimensions), first.cb.simd_mask.index(1)
        lanes = others.pop(at)
        self.memory = np.zeros((*others[::-1], *second.shape, lanes), first.precision.complex_dtype)
        self.data = np.moveaxis(self.memory, -1, first.nd - 1 - at)  # T, Z, Y, X, row, column
        if data is not None:  # of all ranks, for one of them
            self.memory, self.data = None, data

    def new(self):
        return lattice(self)

    @staticmethod
    def whole(U):
        """The numbers of all sites of several lattices, each T, Z, Y, X, row, column."""
        return [one.data for one in U]

    def put(self, values):
        """Inverse of `whole`."""
        self.data[...] = values

    def mview(self):
        return [memoryview(self.memory).cast("B")]

    def _sites(self, key):
        if isinstance(key, tuple) and isinstance(key[-1], dict):
            key[-1].setdefault("plan", 0)
            key = key[:-1]
        own = [slice(at * n, (at + 1) * n)
               for at, n in zip(self.grid.processor_coor, self.grid.ldimensions, strict=True)]
        if isinstance(key, tuple) and len(key) == 1:
            key = key[0]
        if isinstance(key, np.ndarray):
            assert key.dtype == np.int32 and key.shape[1] == self.grid.nd
            return tuple(key[:, ::-1].T)
        if key == slice(None):
            return tuple(own[::-1])
        assert len(key) == self.grid.nd
        return tuple(mine if one == slice(None) else one
                     for mine, one in zip(own[::-1], key[::-1], strict=True))

    def __getitem__(self, key):
        return self.data[self._sites(key)].reshape(-1, *self.otype.shape)

    def __setitem__(self, key, value):
        sites = self._sites(key)
        assert value.dtype == self.data.dtype and value.flags.c_contiguous  # GPT copies bytes
        self.data[sites] = value.reshape(self.data[sites].shape)


class WithoutMemory:
    """A lattice, GPT's or of this module, that gives its numbers through `[:]` alone."""

    def __init__(self, one):
        self.lattice, self.grid, self.otype = one, one.grid, one.otype

    def __getitem__(self, key):
        return self.lattice[key]

    def __setitem__(self, key, value):
        self.lattice[key] = value


def copy(first, second=None):
    """g.copy(x), or g.copy(destination, source)."""
    if second is None:
        if isinstance(first, list):
            return [copy(one) for one in first]
        made = first.grid.lattice(first.otype)
        made.data[...] = first.data
        return made
    for one, other in zip(first, second, strict=True):
        one.data[...] = other.data
    return first


def tensor(U):
    """Links of four lattices, by index arithmetic of its own."""
    array = np.stack(U[0].whole(U))[[3, 0, 1, 2]]  # t, x, y, z; T, Z, Y, X
    moved = array.transpose(0, 1, 4, 3, 2, 5, 6)
    return torch.from_numpy(np.ascontiguousarray(moved, np.complex128))[None]


def store(links, U):
    array = links[0].numpy().transpose(0, 1, 4, 3, 2, 5, 6)[[1, 2, 3, 0]]
    for one, values in zip(U, array, strict=True):
        one.put(values)


class random:
    def __init__(self, seed):
        self.generator = np.random.default_rng(list(str(seed).encode()))

    def uniform_real(self, t=None, min=0.0, max=1.0):
        return self.generator.uniform(min, max)

    def uniform_int(self, t=None, min=0, max=1):
        if max >= 2**31:  # a C int there: it wraps, and the answer is always 0
            return 0
        return int(self.generator.integers(min, max, endpoint=True))

    def normal_element(self, fields):
        """Momenta ~ N(0,1) per generator; on group fields exp(i pi) of such, as GPT."""
        seed = int(self.generator.integers(2**31))
        shape = tensor(fields).shape[:-2]
        algebra = su3.random_algebra(shape, torch.Generator().manual_seed(seed))
        store(su3.exp(algebra) if fields[0].otype.algebra else -1j * algebra, fields)


class wilson:
    def __init__(self, beta):
        self.beta, self.__name__ = beta, f"wilson({beta})"

    def __call__(self, U):
        return self.beta * (1 - plaquette(U)) * 6 * U[0].grid.gsites

    def gradient(self, U, dU):
        assert dU == U
        out = group.cartesian(U)
        store(-1j * GaugeAction(self.beta).force(tensor(U)), out)
        return out


class mass_term:
    def __call__(self, pi):
        return float(-su3.trace((1j * tensor(pi)) @ (1j * tensor(pi))).real.sum())

    def gradient(self, pi, dpi):
        return copy(pi)


def plaquette(U):
    return float(our_plaquette(tensor(U)))


def topological_charge(U):
    return float(our_topology.topological_charge(tensor(U), traceless=False))


def unit(on):
    out = [on.lattice(ot_matrix_su_n_fundamental_group(3)) for _ in range(4)]
    for one in out:
        one.data[...] = np.eye(3)
    return out


def update_p(pi, gradient):
    def step(eps):
        for one, change in zip(pi, gradient(), strict=True):
            one.data[...] -= eps * change.data
    return step


def update_q(U, gradient):
    def step(eps):
        store(su3.exp(eps * 1j * tensor(gradient())) @ tensor(U), U)
    return step


class leap_frog:
    def __init__(self, N, kick, drift):
        self.N, self.kick, self.drift = N, kick, drift

    def __call__(self, tau):
        for _ in range(self.N):
            self.kick(0.5 * tau / self.N)
            self.drift(tau / self.N)
            self.kick(0.5 * tau / self.N)


def metropolis(rng):
    def trial(fields):
        previous = copy(fields)

        def accept_reject(h1, h0):
            on = fields[0].grid
            drawn = rng.uniform_real(min=0, max=1)
            drawn = on.globalsum(drawn if on.processor == 0 else 0.0)
            if np.exp(-h1 + h0) >= drawn:
                return True
            copy(fields, previous)
            return False

        return accept_reject

    return trial


def save(name, U, _format):
    Path(name).write_bytes(tensor(U).numpy().tobytes())


def message(*_):
    pass


group = types.SimpleNamespace(
    cartesian=lambda U: [one.grid.lattice(one.otype.cartesian()) for one in U])
format = types.SimpleNamespace(nersc=lambda: "nersc")
symplectic = types.SimpleNamespace(update_p=update_p, update_q=update_q, leap_frog=leap_frog,
                                   OMF2=leap_frog, OMF4=leap_frog)
algorithms = types.SimpleNamespace(
    markov=types.SimpleNamespace(metropolis=metropolis),
    integrator=types.SimpleNamespace(symplectic=symplectic))
qcd = types.SimpleNamespace(
    gauge=types.SimpleNamespace(action=types.SimpleNamespace(wilson=wilson), plaquette=plaquette,
                                topological_charge=topological_charge, unit=unit),
    scalar=types.SimpleNamespace(action=types.SimpleNamespace(mass_term=mass_term)))
