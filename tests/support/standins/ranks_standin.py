"""GPT's and PyQUDA's fields on several processes: each holds its own sites, and no more.

Beside gpt_standin and pyquda_standin; `communicator` is mpi4py's, or what has its allgather and
bcast. As Grid does, GPT's processes may be numbered in another order than MPI numbers them.
"""

import sys
import types

import numpy as np
import torch
import torch.distributed as dist

from tests.support.standins import gpt_standin, pyquda_standin


class Gloo:
    """torch's default group with the calls of mpi4py's communicator that are needed here."""

    def Get_rank(self):
        return dist.get_rank()

    def Get_size(self):
        return dist.get_world_size()

    def allgather(self, value):
        found = [None] * dist.get_world_size()
        dist.all_gather_object(found, value)
        return found

    def bcast(self, value, root):
        return self.allgather(value)[root]


class Reversed:
    """A communicator whose processes are numbered from the last to the first."""

    def __init__(self, communicator):
        self.of = communicator

    def Get_rank(self):
        return self.Get_size() - 1 - self.of.Get_rank()

    def Get_size(self):
        return self.of.Get_size()

    def allgather(self, value):
        return self.of.allgather(value)[::-1]

    def bcast(self, value, root):
        return self.allgather(value)[root]


class grid(gpt_standin.grid):
    """Of several ranks; `gathers`: whether they may ask for each other's sites."""

    def __init__(self, fdimensions, precision, mpi, communicator, gathers=False):
        super().__init__(fdimensions, precision, mpi=mpi, processor=communicator.Get_rank())
        self.communicator, self.gathers = communicator, gathers
        assert communicator.Get_size() == self.Nprocessors

    def lattice(self, kind):
        return lattice(self, kind)

    def globalsum(self, x):
        return sum(self.communicator.allgather(x))

    def broadcast(self, root, array):
        array[...] = self.communicator.bcast(array, root)


class lattice(gpt_standin.lattice):
    """The sites of one rank, vectorised along their first direction."""

    def __init__(self, first, second=None):
        self.grid, self.otype = (first.grid, first.otype) if second is None else (first, second)
        lanes, *others = self.grid.ldimensions
        self.memory = np.zeros((*others[::-1], *self.otype.shape, lanes),
                               self.grid.precision.complex_dtype)
        self.data = np.moveaxis(self.memory, -1, self.grid.nd - 1)

    def new(self):
        return lattice(self)

    def _own(self, coordinates):
        """The range of each direction, t first, of the sites at these coordinates."""
        return tuple(slice(at * n, (at + 1) * n) for at, n in
                     zip(coordinates[::-1], self.grid.ldimensions[::-1], strict=True))

    @staticmethod
    def whole(U):
        on, first = U[0].grid, U[0]
        found = np.empty((len(U), *on.fdimensions[::-1], *first.otype.shape), first.data.dtype)
        for place, parts in on.communicator.allgather((on.processor_coor, [one.data for one in U])):
            for one, part in zip(found, parts, strict=True):
                one[first._own(place)] = part
        return list(found)

    def put(self, values):
        self.data[...] = values[self._own(self.grid.processor_coor)]

    def _local(self, key):
        """Own sites by their coordinates in the whole lattice; None: all of them."""
        if isinstance(key, slice):
            return None
        key = key[0] if isinstance(key, tuple) else key
        assert key.dtype == np.int32 and key.shape[1] == 4
        first = np.multiply(self.grid.processor_coor, self.grid.ldimensions)
        local = key - first
        own = (local >= 0).all() and (local < self.grid.ldimensions).all()
        return tuple(local[:, ::-1].T) if own else key

    def __getitem__(self, key):
        at = self._local(key)
        if at is None:
            return self.data.reshape(-1, *self.otype.shape)
        if isinstance(at, tuple):
            return self.data[at].reshape(-1, *self.otype.shape)
        assert self.grid.gathers, "a rank asked for sites of another"
        return self.whole([self])[0][tuple(at[:, ::-1].T)]

    def __setitem__(self, key, value):
        at = self._local(key)
        assert isinstance(at, tuple) and value.dtype == self.data.dtype
        self.data[at] = value


def gpt_field(on, links):
    """Four lattices on a grid with their own sites of these links."""
    group = gpt_standin.ot_matrix_su_n_fundamental_group(3)
    U = [lattice(on, group) for _ in range(4)]
    gpt_standin.store(links, U)
    return U


def pyquda_info(xyzt, ranks, communicator, t_boundary=1):
    """LatticeInfo of several ranks, t fastest; pyquda_comm says the same of all."""
    rank, coordinates = communicator.Get_rank(), []
    for count in ranks[::-1]:
        rank, at = divmod(rank, count)
        coordinates.append(at)
    info = pyquda_standin.LatticeInfo(xyzt, t_boundary, grid=ranks, coordinates=coordinates[::-1])
    info.mpi_rank, info.mpi_comm = communicator.Get_rank(), communicator
    numbers = list(range(communicator.Get_size()))
    sys.modules["pyquda_comm"] = types.ModuleType("pyquda_comm")
    sys.modules["pyquda_comm"].getGridRanks = lambda: numbers
    return info


def pyquda_own(info, array):
    """Of an array [4, Lt, Lz, Ly, Lx, ...] of the whole lattice the sites of this rank."""
    own = tuple(slice(at * n, (at + 1) * n) for at, n in
                zip(info.grid_coord[::-1], info.size[::-1], strict=True))
    return np.ascontiguousarray(array[(slice(None), *own)])


def pyquda_field(info, links):
    """A LatticeGauge with its own sites of these links."""
    array = links[0].numpy().transpose(0, 1, 4, 3, 2, 5, 6)[[1, 2, 3, 0]]
    gauge = pyquda_standin.LatticeGauge(info)
    gauge.data[...] = info.evenodd(pyquda_own(info, array))
    return gauge


class HMC(pyquda_standin.HMC):
    """Of several ranks, as QUDA's: its fields are those of a rank, what it computes is of all."""

    def _links(self):
        gauge = self._resident.copy()
        self.saveGauge(gauge)
        return self._whole(gauge.lexico())

    def _whole(self, array):
        info = self.latt_info
        found = np.empty((4, *info.global_size[::-1], 3, 3), complex)
        for place, part in info.mpi_comm.allgather((info.grid_coord, array)):
            own = tuple(slice(at * n, (at + 1) * n) for at, n in
                        zip(place[::-1], info.size[::-1], strict=True))
            found[(slice(None), *own)] = part
        moved = found[[3, 0, 1, 2]].transpose(0, 1, 4, 3, 2, 5, 6)
        return torch.from_numpy(np.ascontiguousarray(moved))[None]

    def loadMom(self, mom):
        self._momenta = self._whole(self.latt_info.lexico(pyquda_standin.unpacked(mom.data)))

    def saveMom(self, mom):
        array = self._momenta[0].numpy().transpose(0, 1, 4, 3, 2, 5, 6)[[1, 2, 3, 0]]
        mine = pyquda_own(self.latt_info, array)
        mom.data[...] = pyquda_standin.packed(self.latt_info.evenodd(mine))
