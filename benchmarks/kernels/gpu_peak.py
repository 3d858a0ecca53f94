"""A loop of multiply-adds in Triton, in the precision of what it writes to."""

import triton
import triton.language as tl


@triton.jit
def multiply_add(out, loops, BLOCK: tl.constexpr):
    """Eight independent chains of `loops` multiply-adds per number of the block."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    start = tl.load(out + at)
    factor = 0.5 + 0.001 * start
    a, b, c, d = start, start + 1, start + 2, start + 3
    e, f, g, h = start + 4, start + 5, start + 6, start + 7
    for _ in range(loops):
        a, b, c, d = a * factor + 1, b * factor + 1, c * factor + 1, d * factor + 1
        e, f, g, h = e * factor + 1, f * factor + 1, g * factor + 1, h * factor + 1
    tl.store(out + at, a + b + c + d + e + f + g + h)
