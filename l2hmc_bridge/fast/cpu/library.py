"""The compiled kernels: found, loaded and described; nothing here knows physics."""

import ctypes
import functools
import logging
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from l2hmc_bridge.errors import ActionError, LayoutError
from l2hmc_bridge.fast import halo
from l2hmc_bridge.fast.cpu import openmp
from l2hmc_bridge.fast.cpu.shapes import REAL, check_field
from l2hmc_bridge.fields import part as parts, sums
from l2hmc_bridge.fields.part import Part

LEVELS = {  # what torch says of the processor -> builds to try, best first
    "AVX512": ("avx512", "avx2", "default"),
    "AVX2": ("avx2", "default"),
    "DEFAULT": ("default",),
}
FOLDER = Path(__file__).parent
INTERFACE = 19  # of kernels/exports.cpp
LINK, ALGEBRA = 18, 8  # numbers per matrix, components per algebra element
SUFFIX = {torch.float64: "", torch.float32: "_single"}  # of a build's name

_INT, _LONG, _DOUBLE, _POINTER = ctypes.c_int, ctypes.c_long, ctypes.c_double, ctypes.c_void_p


class Kernels(ctypes.CDLL):
    """A build of the kernels."""

    level = ""  # the instruction set it was built for


@functools.cache
def library() -> Kernels | None:
    """The kernels built for this processor, or None (said once) where none could be loaded."""
    return _load(torch.float64)


@functools.cache
def single_library() -> Kernels | None:
    """The same for fields in complex64."""
    return _load(torch.float32)


def library_of(dtype: torch.dtype) -> Kernels | None:
    """The kernels for fields of this dtype, or None: other dtypes have none."""
    real = REAL.get(dtype)
    if real is None:
        return None
    return library() if real == torch.float64 else library() and single_library()


def required(dtype: torch.dtype) -> Kernels:
    """The kernels for fields of this dtype; ActionError if there are none."""
    found = library_of(dtype)
    if found is None:
        raise ActionError(f"compiled kernels: expected some for {dtype}, found none")
    return found


def _load(real: torch.dtype) -> Kernels | None:
    files = built(real)
    for level in LEVELS.get(torch.backends.cpu.get_cpu_capability(), ("default",)):
        if level in files:
            try:
                return _declare(Kernels(str(files[level])), level)
            except (OSError, AttributeError) as error:
                logging.getLogger(__name__).warning("%s: not used: %s", files[level], error)
    logging.getLogger(__name__).warning(
        "compiled kernels%s not found: SU(3) fields are computed with torch alone, about ten "
        "times slower; install with a C++ compiler at hand (pip install --no-cache-dir .)",
        " in single precision" if SUFFIX[real] else "",
    )
    return None


def built(real: torch.dtype = torch.float64) -> dict[str, Path]:
    """The builds that are there, by level."""
    candidates = ((level, FOLDER / f"_kernels_{level}{SUFFIX[real]}{suffix}")
                  for level in LEVELS["AVX512"] for suffix in EXTENSION_SUFFIXES)
    return {level: path for level, path in candidates if path.exists()}  # the last of a level


def _declare(handle: Kernels, level: str) -> Kernels:
    if handle.interface_version() != INTERFACE:
        raise OSError(f"built from other sources (expected interface {INTERFACE}); build it again")
    handle.lattice_create.restype = handle.lattice_create_part.restype = _POINTER
    handle.lattice_create.argtypes = [_POINTER]
    handle.lattice_create_part.argtypes = [_POINTER, _POINTER, _POINTER]
    handle.lattice_blocks.restype = _LONG
    handle.lattice_blocks.argtypes = handle.lattice_lanes.argtypes = [_POINTER]
    handle.level = level
    openmp.use_threads_of_torch(handle)
    return handle


def call(name: str, *arguments, dtype: torch.dtype = torch.float64) -> None:
    """Call kernel `name`; tensors go as pointers, int as int, float as double, None as null.

    Fields have `dtype`, or are made of it.
    """
    converted: list[Any] = []
    for argument in arguments:
        if isinstance(argument, Tensor):
            converted.append(_POINTER(argument.data_ptr()))
        elif argument is None:
            converted.append(_POINTER())
        elif isinstance(argument, int):
            converted.append(_INT(argument))
        elif isinstance(argument, float):
            converted.append(_DOUBLE(argument))
        else:
            converted.append(argument)
    getattr(required(dtype), name)(*converted)


def long(number: int) -> ctypes.c_long:
    """A C long, for counts that may pass 2^31."""
    return _LONG(number)


def threads() -> int:
    """How many threads the kernels use: as many as torch."""
    return torch.get_num_threads()


def plain(tensor: Tensor) -> Tensor:
    """Contiguous, with pending conjugation and negation carried out, detached."""
    return tensor.detach().resolve_conj().resolve_neg().contiguous()


class _Call(ctypes.Structure):
    _fields_ = [("lattice", _POINTER), ("chains", _LONG), ("threads", _INT)]


class Lattice:
    """The blocked layout of one lattice: sub-lattices in the lanes of every number.

    A field is [Nb, blocks, 4, width, lanes] in float64 or float32 with as many lanes as the build's
    registers hold (AVX-512: 8 or 16); width is 18 (links: row, column, re/im) or 8 (algebra
    elements: components of T_a). Up to three (four) even directions are halved; sub-lattices beyond
    the lanes follow as blocks of their own, lanes beyond the sub-lattices are copies that count in
    no sum. With a `part` sums are exact, no site's result depends on the sites beside it in a
    register, and the copies of other processes' sites count in no sum.
    """

    def __init__(self, extents: tuple[int, ...], dtype: torch.dtype = torch.float64,
                 part: Part | None = None):
        self.extents, self.dtype, self.part = tuple(extents), dtype, part
        kernels = required(dtype)
        if part is None:
            self.handle = kernels.lattice_create((_INT * 4)(*extents))
        else:
            ends = [(own.start, own.stop) for own in part.own]
            self.handle = kernels.lattice_create_part(
                (_INT * 4)(*extents), *((_INT * 4)(*one) for one in zip(*ends, strict=True)))
        self.blocks = kernels.lattice_blocks(self.handle)
        self.lanes = kernels.lattice_lanes(self.handle)

    def field(self, chains: int, width: int) -> tuple[int, ...]:
        """Shape of a blocked field."""
        return (chains, self.blocks, 4, width, self.lanes)

    def empty(self, chains: int, width: int) -> Tensor:
        """An uninitialised field."""
        return torch.empty(self.field(chains, width), dtype=self.dtype)

    def plain(self, field: Tensor, shape: tuple[int, ...], complex_numbers: bool = True) -> Tensor:
        """`plain` of a field in the torch layout; LayoutError for another shape or precision."""
        check_field(field, self.dtype, shape, complex_numbers)
        return plain(field)

    def call(self, name: str, field: Tensor, *arguments) -> None:
        """Call kernel `name` for as many chains as `field` has."""
        head = _Call(self.handle, field.shape[0], threads())
        call(name, ctypes.byref(head), *arguments, dtype=self.dtype)

    @functools.cached_property
    def sites(self) -> Tensor:
        """Index in the torch layout of the site in each lane, int64 [blocks, lanes]."""
        sites = torch.empty(self.blocks, self.lanes, dtype=torch.int64)
        self.call("lattice_sites", sites, sites)
        return sites

    @functools.cached_property
    def _layers(self) -> tuple[halo.Layers, ...]:
        return () if self.part is None else halo.layers(self.part, self.sites)

    @property
    def shared(self) -> bool:
        """Whether a field holds copies of other processes' sites."""
        return self.part is not None and bool(self.part.cut)

    def renew(self, field: Tensor) -> None:
        """Replace the copies of other processes' sites in a blocked field, if there are any."""
        part = self.part and parts.current()
        if part and self._layers:
            halo.renew(part, self._layers, field)

    def counts(self, chains: int, width: int) -> Tensor:
        """Room for the exact sums of a part, int64 [Nb, width, 3]."""
        return torch.empty(chains, width, 3, dtype=torch.int64)

    def total(self, counts: Tensor) -> Tensor:
        """The sums over all processes of `counts`, float64 [...]."""
        part = parts.current()
        return sums.exact(counts, None if part is None else part.network)

    def sums(self, name: str, field: Tensor, width: int, *arguments) -> Tensor:
        """Call a kernel that ends in sums per chain, float64 [Nb, width]."""
        if self.part is not None:
            counts = self.counts(field.shape[0], width)
            self.call(name, field, *arguments, counts)
            return self.total(counts)
        out = torch.empty(field.shape[0], width, dtype=torch.float64)
        self.call(name, field, *arguments, out)
        return out

    def shape(self, chains: int, only: int = -1) -> tuple[int, ...]:
        """Shape of torch fields with one matrix per link, or per link of one direction."""
        return (chains, *([4] if only < 0 else []), *self.extents, 3, 3)


@functools.lru_cache(maxsize=32)
def lattice(extents: tuple[int, ...], dtype: torch.dtype = torch.float64,
            part: Part | None = None) -> Lattice:
    """The blocked layout of (Nt, Nx, Ny, Nz) in float64 or float32, built once.

    Raises LayoutError for extents that are none.
    """
    if len(extents) != 4 or min(extents) < 1:
        raise LayoutError(f"lattice: expected four extents of at least 1, found {list(extents)}")
    return Lattice(extents, dtype, part)


def lattice_of(links: Tensor) -> Lattice:
    """The blocked layout of these links, in double precision of the part that they belong to."""
    dtype, part = REAL[links.dtype], parts.of(links)
    if dtype != torch.float64 and part is not None and part.cut:
        raise LayoutError("field in single precision: expected a whole lattice, found a part")
    return lattice(tuple(links.shape[2:6]), dtype, part if dtype == torch.float64 else None)
