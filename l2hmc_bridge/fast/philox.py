"""Random numbers that are numbered: Philox-4x32-10, a function of (key, counter) without a state.

Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). Every 128-bit
counter under a 64-bit key has 128 random bits of its own, so what a site draws depends on who it is
and not on who computes it: threads, lanes, chains side by side, the device. Words are 32 bits each,
held in int64. The same in C++: cpu/kernels/philox.hpp. Who counts what: sampling/counter.py.
"""

import torch
from torch import Tensor

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)  # the golden ratio and sqrt(3) - 1
WORD = 0xFFFFFFFF


def philox(counter: Tensor, key: Tensor) -> Tensor:
    """Four random words for each counter, int64 [..., 4]; counter [..., 4], key [..., 2]."""
    c0, c1, c2, c3 = counter.unbind(-1)
    k0, k1 = key.unbind(-1)
    for _ in range(ROUNDS):
        p0, p1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]  # 64 bits, whatever the sign
        c0, c1, c2, c3 = (_high(p1) ^ c1 ^ k0, p1 & WORD, _high(p0) ^ c3 ^ k1, p0 & WORD)
        k0, k1 = (k0 + WEYL[0]) & WORD, (k1 + WEYL[1]) & WORD
    return torch.stack(torch.broadcast_tensors(c0, c1, c2, c3), dim=-1)


def uniform(word: Tensor) -> Tensor:
    """(w + 1/2) / 2^32 in (0, 1), float64 like `word`."""
    return (word.double() + 0.5) * 2.0**-32


def fine_uniform(high: Tensor, low: Tensor) -> Tensor:
    """(m + 1/2) / 2^52 in (0, 1) with m the upper 52 of 64 bits, float64: for logarithms."""
    return ((high << 20 | low >> 12).double() + 0.5) * 2.0**-52


def _high(product: Tensor) -> Tensor:
    return product >> 32 & WORD
