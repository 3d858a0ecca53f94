"""Kernels on fields in the torch layout, made of matrix.py.

A program works on BLOCK sites of one chain in the torch layout [Nb,4,site][row][column][re, im], in
the precision of the field; sums over sites are float64, one per program, added up by the caller.
Grid: ROWS directions of a block of sites side by side, then the other blocks; chains.
"""

import triton
import triton.language as tl

from l2hmc_bridge.fast.gpu.matrix import (
    combine,
    exponential,
    load,
    product,
    square_norm,
    store,
)

# Exact sums: numbers whose last digits are 2^-30 and 2^-62, the multiples of them in 1, the largest
# term (fields/sums.py).
COARSE, FINE = tl.constexpr(1.5 * 2.0**22), tl.constexpr(1.5 * 2.0**-10)
IN_COARSE, IN_FINE = tl.constexpr(2.0**30), tl.constexpr(2.0**62)
LARGEST = tl.constexpr(2.0**16)
# Numbers that differ from call to call, for which the same machine code serves.
VARIES = ["nt", "nx", "ny", "nz", "count"]


@triton.jit
def here(shape, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """(row, sites of this program, which of them exist)."""
    row = tl.program_id(0) % ROWS
    site = (tl.program_id(0) // ROWS) * BLOCK + tl.arange(0, BLOCK)
    return row, site, site < shape[0] * shape[1] * shape[2] * shape[3]


@triton.jit
def chain_of(field, matrices):
    """The matrices of this program's chain, `matrices` of them."""
    return field + tl.program_id(1).to(tl.int64) * matrices * 18


@triton.jit
def store_sum(sums, row, value, mask, ROWS: tl.constexpr):
    """The sum of `value` over this program's sites, into [rows, block]."""
    total = tl.sum(tl.where(mask, value, 0.0).to(tl.float64), 0)
    tl.store(sums + row * (tl.num_programs(0) // ROWS) + tl.program_id(0) // ROWS, total)


@triton.jit
def store_each(terms, row, value, site, mask, sites):
    """`value` of each of this program's sites, into [rows, sites]."""
    tl.store(terms + row.to(tl.int64) * sites + site, value.to(tl.float64), mask)


@triton.jit(do_not_specialize=VARIES)
def exp_multiply_kernel(momenta, links, out, step, count, BLOCK: tl.constexpr):
    """exp(step P) U of `count` matrices, blocks of them in a row; `step` in memory."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = at < count
    x = load(momenta, at, mask)
    e = exponential(combine(tl.load(step), x, 0.0, x))
    store(out, at, product(e, load(links, at, mask)), mask)


@triton.jit(do_not_specialize=VARIES)
def square_kernel(numbers, sums, count, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """Sums of squares of `count` numbers per chain; one row."""
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = place < count
    value = tl.load(numbers + tl.program_id(1).to(tl.int64) * count + place, mask, 0.0)
    value = value.to(tl.float64)
    store_sum(sums, tl.program_id(1), value * value, mask, ROWS)


@triton.jit(do_not_specialize=VARIES)
def norm_kernel(field, norms, nt, nx, ny, nz, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """sum |M_ij|^2 of each matrix of the field, [chain, direction, site]; four rows."""
    shape = (nt, nx, ny, nz)
    volume = nt * nx * ny * nz
    mu, site, mask = here(shape, ROWS, BLOCK)
    m = load(chain_of(field, 4 * volume), mu * volume + site, mask)
    store_each(norms, tl.program_id(1) * ROWS + mu, square_norm(m), site, mask, volume)


@triton.jit
def multiples(term):
    """(multiples of 2^-30 in numbers, then of 2^-62; whether they are none, or too large), int64.
    """
    good = tl.abs(term) < LARGEST
    term = tl.where(good, term, 0.0)
    high = (term + COARSE) - COARSE
    low = ((term - high) + FINE) - FINE
    return ((high * IN_COARSE).to(tl.int64), (low * IN_FINE).to(tl.int64),
            (good == 0).to(tl.int64))


@triton.jit(do_not_specialize=VARIES)
def count_kernel(terms, counts, count, BLOCK: tl.constexpr):
    """The sums of `multiples` over `count` terms of a row, [row, 3, block]."""
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = place < count
    term = tl.load(terms + tl.program_id(1).to(tl.int64) * count + place, mask, 0.0)
    high, low, none = multiples(term)
    out = counts + tl.program_id(1) * 3 * tl.num_programs(0) + tl.program_id(0)
    tl.store(out, tl.sum(high, 0))
    tl.store(out + tl.num_programs(0), tl.sum(low, 0))
    tl.store(out + 2 * tl.num_programs(0), tl.sum(none, 0))
