"""The part of PyQUDA that a quenched stream touches, on numpy.

Mirrors github.com/CLQCD/PyQUDA at 0ac50a0 (2026-04-11): `LatticeInfo` with `lexico` and `evenodd`
and `LatticeGauge` with `setAntiPeriodicT` of pyquda_core/pyquda_comm/field.py, `HMC` with
`loadGauge`, `saveGauge`, `accept` and the energies, and `O2Nf1Ng0V`, of pyquda_core/pyquda/hmc.py.
QUDA's momenta are sqrt(2) of ours, its kinetic energy -tr P^2 / 2; its actions are ours.
`LatticeMom`, `loadMom` and `saveMom` have momenta as QUDA packs them, ten numbers a link.
"""

from math import exp, prod, sqrt
from random import Random

import numpy as np
import torch

from l2hmc_bridge.fields import su3
from l2hmc_bridge.observables.standard import plaquette
from l2hmc_bridge.systems.actions import GaugeAction


class LatticeInfo:
    mpi_comm, mpi_rank = None, 0

    def __init__(self, latt_size, t_boundary=1, anisotropy=1.0, Nc=3, grid=(1, 1, 1, 1),
                 coordinates=(0, 0, 0, 0)):
        self.grid_size, self.grid_coord = list(grid), list(coordinates)
        self.Nd, self.Nc = len(latt_size), Nc
        self.t_boundary, self.anisotropy = t_boundary, anisotropy
        self.global_size = list(latt_size)
        self.size = [n // m for n, m in zip(latt_size, grid, strict=True)]
        self.volume = prod(self.size)
        eo = np.sum(np.indices(self.size[::-1], "<i4"), axis=0).reshape(-1) % 2
        self._even, self._odd = np.where(eo == 0)[0], np.where(eo == 1)[0]

    def evenodd(self, data):
        """[L5, Lt, Lz, Ly, Lx, ...] -> [L5, 2, Lt, Lz, Ly, Lx/2, ...]."""
        count, field = data.shape[0], data.shape[5:]
        flat = data.reshape(count, self.volume, prod(field))
        out = np.empty((count, 2, self.volume // 2, prod(field)), data.dtype)
        out[:, 0], out[:, 1] = flat[:, self._even], flat[:, self._odd]
        lx, ly, lz, lt = self.size
        return out.reshape(count, 2, lt, lz, ly, lx // 2, *field)

    def lexico(self, data):
        """Inverse of `evenodd`."""
        count, field = data.shape[0], data.shape[6:]
        flat = data.reshape(count, 2, self.volume // 2, prod(field))
        out = np.empty((count, self.volume, prod(field)), data.dtype)
        out[:, self._even], out[:, self._odd] = flat[:, 0], flat[:, 1]
        return out.reshape(count, *self.size[::-1], *field)


class LatticeGauge:
    def __init__(self, latt_info, value=None):
        self.latt_info = latt_info
        if value is None:
            lx, ly, lz, lt = latt_info.size
            value = np.zeros((4, 2, lt, lz, ly, lx // 2, 3, 3), "<c16")
            value[:] = np.eye(3)
        self.data = value

    def copy(self):
        again = self.data.clone() if isinstance(self.data, torch.Tensor) else self.data.copy()
        return LatticeGauge(self.latt_info, again)

    def lexico(self):
        return self.latt_info.lexico(np.asarray(self.data))

    def setAntiPeriodicT(self):
        info = self.latt_info
        if info.grid_coord[3] == info.grid_size[3] - 1:
            self.data[-1, :, -1] *= -1


class LatticeMom:
    def __init__(self, latt_info):
        self.latt_info = latt_info
        lx, ly, lz, lt = latt_info.size
        self.data = np.zeros((4, 2, lt, lz, ly, lx // 2, 10))


def packed(momenta):
    """Anti-Hermitian matrices [..., 3, 3] as ten numbers."""
    rows = [momenta[..., 0, 1], momenta[..., 0, 2], momenta[..., 1, 2]]
    numbers = [part for entry in rows for part in (entry.real, entry.imag)]
    return np.stack([*numbers, *(momenta[..., i, i].imag for i in range(3)),
                     np.zeros(momenta.shape[:-2])], -1)


def unpacked(numbers):
    """Inverse of `packed`."""
    out = np.zeros((*numbers.shape[:-1], 3, 3), complex)
    for n, (i, j) in enumerate(((0, 1), (0, 2), (1, 2))):
        out[..., i, j] = numbers[..., 2 * n] + 1j * numbers[..., 2 * n + 1]
        out[..., j, i] = -out[..., i, j].conj()
    for i in range(3):
        out[..., i, i] = 1j * numbers[..., 6 + i]
    return out


def tensor(gauge):
    """Links, by way of lexico()."""
    array = gauge.lexico()[[3, 0, 1, 2]].transpose(0, 1, 4, 3, 2, 5, 6)
    return torch.from_numpy(np.ascontiguousarray(array))[None]


def store(links, gauge):
    array = links[0].numpy().transpose(0, 1, 4, 3, 2, 5, 6)[[1, 2, 3, 0]]
    gauge.data[...] = gauge.latt_info.evenodd(np.ascontiguousarray(array))


class O2Nf1Ng0V:
    def __init__(self, n_steps):
        self.n_steps = n_steps

    def integrate(self, update_gauge, update_mom, t):
        dt = t / self.n_steps
        update_mom(dt / 2)
        for _ in range(self.n_steps - 1):
            update_gauge(dt)
            update_mom(dt)
        update_gauge(dt)
        update_mom(dt / 2)


class WilsonGauge:
    """A monomial: Wilson's action at beta."""

    def __init__(self, beta):
        self.ours = GaugeAction(beta)


class HMC:
    def __init__(self, latt_info, monomials, integrator, hmc_inner=None):
        self.latt_info, self.integrator, self.hmc_inner = latt_info, integrator, hmc_inner
        self.gauge_monomials = [one for one in monomials if isinstance(one, WilsonGauge)]
        self.fermion_monomials = [one for one in monomials if not isinstance(one, WilsonGauge)]

    def initialize(self, seed, gauge):
        self.random = Random(seed)
        self.loadGauge(gauge)

    def loadGauge(self, gauge):
        resident = gauge.copy()
        if self.latt_info.t_boundary == -1:
            resident.setAntiPeriodicT()
        self._resident = resident

    def saveGauge(self, gauge):
        gauge.data[...] = self._resident.data
        if self.latt_info.t_boundary == -1:
            gauge.setAntiPeriodicT()

    def _links(self):
        gauge = self._resident.copy()
        self.saveGauge(gauge)
        return tensor(gauge)

    def samplePhi(self):
        for monomial in self.fermion_monomials:
            monomial.sample(self._links(), self.random)

    def gaugeAction(self):
        return sum(float(one.ours(self._links())) for one in self.gauge_monomials)

    def fermionAction(self):
        return sum(one.action(self._links()) for one in self.fermion_monomials)

    def gaussMom(self):
        generator = torch.Generator().manual_seed(self.random.randrange(2**32))
        self._momenta = sqrt(2) * su3.random_algebra(self._links().shape[:-2], generator)

    def momAction(self):
        return 0.5 * float(su3.kinetic(self._momenta)[0])

    def loadMom(self, mom):
        array = self.latt_info.lexico(unpacked(mom.data))[[3, 0, 1, 2]]
        self._momenta = torch.from_numpy(
            np.ascontiguousarray(array.transpose(0, 1, 4, 3, 2, 5, 6)))[None]

    def saveMom(self, mom):
        array = self._momenta[0].numpy().transpose(0, 1, 4, 3, 2, 5, 6)[[1, 2, 3, 0]]
        mom.data[...] = packed(self.latt_info.evenodd(np.ascontiguousarray(array)))

    def updateMom(self, dt):
        for one in self.fermion_monomials:
            self._momenta = self._momenta - 2 * dt * one.force(self._links())
        for one in self.gauge_monomials:  # dH = 0: dP/dt = -2 F where K = <P,P>/4, dU/dt = P U
            self._momenta = self._momenta - 2 * dt * one.ours.force(self._links())

    def updateGauge(self, dt):
        store_into = self._resident.copy()
        store(su3.exp(dt * self._momenta) @ self._links(), store_into)
        self.loadGauge(store_into)

    def integrate(self, t, project_tol=0.0):
        self.integrator.integrate(self.updateGauge, self.updateMom, t)

    def accept(self, delta_s):
        return self.random.random() < exp(min(-delta_s, 0))

    def plaquette(self):
        total = float(plaquette(self._links()))
        return [total, total, total]
