"""What is known of Bridge++'s text configurations: numbers, and the lattice that the caller names.

The first link tells them from other columns of numbers.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from l2hmc_bridge.adapters.format import metadata
from l2hmc_bridge.adapters.format.checks import check
from l2hmc_bridge.adapters.format.record import Format, later
from l2hmc_bridge.adapters.payload.layout import check_lattice, meaning
from l2hmc_bridge.errors import FormatError

NUMBER_SIGNS = frozenset(b"+-.0123456789eE \t\r\n")
UNITARY = 1e-4  # of two rows, which may be printed with six digits
PIECE = 1 << 24
ROWS = 12  # numbers in two rows


def sniff(head: bytes, _size: int) -> bool:
    """Numbers, each on its line, of which the first are two orthonormal rows of a link."""
    if not NUMBER_SIGNS.issuperset(head):
        return False
    lines = head.split(b"\n")[:ROWS]
    try:
        numbers = [float(line) for line in lines]
    except ValueError:
        return False
    if len(numbers) < ROWS:
        return False
    pairs = [complex(*numbers[at:at + 2]) for at in range(0, ROWS, 2)]
    one, other = pairs[:3], pairs[3:]
    products = (_product(one, one) - 1, _product(other, other) - 1, _product(one, other))
    return max(map(abs, products)) < UNITARY


def header(path: Path, lattice: Sequence[int] | None = None) -> dict[str, Any]:
    """Metadata without the links."""
    if lattice is None:
        raise FormatError(f"{path}: expected the lattice of a Bridge++ text, which does not state "
                          "it, found none (give lattice X,Y,Z,T: --lattice)")
    extents = check_lattice(path, lattice)
    lines, expected = _lines(path), numbers_in(extents)
    if lines != expected:
        raise FormatError(f"{path}: expected {expected} numbers, a line each, on lattice "
                          f"{'x'.join(map(str, extents))}, found {lines} lines"
                          f"{meaning(extents, 8 * lines)}")
    return metadata.basic(path, format="bridge", dialect="text", precision=64, lattice=extents,
                          checks=[check("lines", lines, expected)])


def numbers_in(lattice: Sequence[int]) -> int:
    """How many numbers a configuration has."""
    return 72 * math.prod(lattice)


def _lines(path: Path) -> int:
    """Line ends in the file; a last line without one is cut and raises FormatError."""
    count, piece = 0, b""
    with open(path, "rb") as file:
        while more := file.read(PIECE):
            piece = more
            count += piece.count(b"\n")
    if not piece.endswith(b"\n"):
        raise FormatError(f"{path}: expected the end of a line at the end, found none: the file "
                          "may be truncated")
    return count


def _product(one: Sequence[complex], other: Sequence[complex]) -> complex:
    return sum(a.conjugate() * b for a, b in zip(one, other, strict=True))


FORMAT = Format(
    name="bridge",
    title="Bridge++ text",
    suffixes=("bridge", "txt"),
    sniff=sniff,
    read=later(f"{__package__}.bridge", "read"),
    write=later(f"{__package__}.bridge", "write"),
    header=header,
    read_options=("slices", "lattice"),
)
