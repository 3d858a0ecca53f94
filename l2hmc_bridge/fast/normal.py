"""Normal numbers by number: what a site draws has the same bits on every device and on any cut.

Box and Muller on 128 bits of `philox` for a pair: R^2 = -2 ln u and an angle, a quarter turn out of
four and a place in it. Logarithm, root, sine and cosine are sums, products and quotients in one
order, each rounded by itself as IEEE 754 says: no library and no processor has a say. In C++:
cpu/kernels/numbers.hpp.
"""

import math

import torch
from torch import Tensor

from l2hmc_bridge import fast
from l2hmc_bridge.fast.cpu import library
from l2hmc_bridge.fast.philox import WORD, fine_uniform, philox

TOP, REST = float.fromhex("0x1.62e42fee00000p-1"), float.fromhex("0x1.a39ef35793c76p-33")  # ln 2
ROOT_HALF = torch.tensor(0.70710678118654752, dtype=torch.float64).view(torch.int64).item()
HALF_ROOT_THIRD = 0.28867513459481287  # 1 / (2 sqrt 3)
PAIRS = 4  # of normal numbers in the momentum of a link
DRAWS = 4 * PAIRS  # of a site, in its four momenta


def momenta(numbers: Tensor, words: Tensor, calls: Tensor) -> Tensor:
    """P = sum_a p_a T_a, p_a ~ N(0, 1), of the four links of each site, complex128 [Nb,4,n,3,3].

    numbers: of the sites, int64 [n]; words int64 [Nb, 4] as in sampling/counter.py; calls int64
    [Nb]: how often each chain drew momenta under these words before.
    """
    if numbers.device.type == "cpu" and fast.choice() == "auto" and library.library() is not None:
        numbers, head = numbers.contiguous(), torch.cat((words, DRAWS * calls[:, None]), 1)
        out = torch.empty(len(words), 4, len(numbers), 3, 3, 2, dtype=torch.float64)
        library.call("normal_momenta", library.long(len(words)), library.long(len(numbers)),
                     library.threads(), numbers, head.cpu().contiguous(), out)
        return torch.view_as_complex(out)
    drawn = normals(numbers, words, DRAWS * calls, DRAWS)
    return algebra_element(drawn.unflatten(-1, (4, 2 * PAIRS)).movedim(-2, 1))


def haar(numbers: Tensor, words: Tensor) -> Tensor:
    """Haar-random SU(3) matrices for the four links of each site, complex128 [Nb,4,n,3,3].

    Two rows of normal numbers, made orthonormal one after the other; det = 1 gives the third.
    """
    drawn = normals(numbers, words, torch.zeros(len(words), dtype=torch.int64), 24)
    rows = drawn.unflatten(-1, (4, 2, 3, 2)).movedim(2, 1).unbind(-1)
    given, other = ((rows[0][..., k, :], rows[1][..., k, :]) for k in range(2))
    first = _normalised(given)
    along = _times(_dot(first, other), first)
    second = _normalised((other[0] - along[0], other[1] - along[1]))
    third = _crossed(first, second)
    return torch.stack([torch.complex(*row) for row in (first, second, third)], -2)


def normals(numbers: Tensor, words: Tensor, first: Tensor, pairs: int) -> Tensor:
    """Numbers ~ N(0, 1) of the draws `first` to `first` + pairs, float64 [Nb, n, 2 pairs]."""
    chains, device = len(words), numbers.device
    words, first = words.to(device), first.to(device)
    shape = (chains, len(numbers), pairs)
    draw = first[:, None, None] + torch.arange(pairs, device=device)
    counter = torch.stack([one.expand(shape) for one in (
        numbers[None, :, None], draw, words[:, 2, None, None], words[:, 3, None, None])], -1)
    return _pair(philox(counter, words[:, None, None, :2])).flatten(-2)


def algebra_element(components: Tensor) -> Tensor:
    """X = sum_a x_a T_a with each product rounded by itself, float64 [..., 8] -> [..., 3, 3]."""
    p = components.unbind(-1)
    eighth, third = HALF_ROOT_THIRD * p[7], 0.5 * p[2]
    half = [0.5 * one for one in p]
    zero = torch.zeros_like(eighth)
    real = [[zero, half[1], half[4]], [-half[1], zero, half[6]], [-half[4], -half[6], zero]]
    imaginary = [[eighth + third, half[0], half[3]], [half[0], eighth - third, half[5]],
                 [half[3], half[5], -2.0 * eighth]]
    return torch.complex(_matrix(real), _matrix(imaginary))


def _matrix(entries: list[list[Tensor]]) -> Tensor:
    return torch.stack([torch.stack(row, -1) for row in entries], -2)


Row = tuple[Tensor, Tensor]  # real and imaginary parts, [..., 3] each


def _normalised(row: Row) -> Row:
    """A complex row of length 1."""
    squares = [(row[0][..., k] * row[0][..., k] + row[1][..., k] * row[1][..., k])[..., None]
               for k in range(3)]
    length = _square_root(squares[0] + squares[1] + squares[2])
    return row[0] / length, row[1] / length


def _dot(left: Row, right: Row) -> Row:
    """<l, r> = sum_k conj(l_k) r_k, [..., 1]."""
    real, imaginary = _times((left[0], -left[1]), right)
    return _total(real), _total(imaginary)


def _total(row: Tensor) -> Tensor:
    return row[..., :1] + row[..., 1:2] + row[..., 2:]


def _times(left: Row, right: Row) -> Row:
    return (left[0] * right[0] - left[1] * right[1], left[0] * right[1] + left[1] * right[0])


def _crossed(left: Row, right: Row) -> Row:
    """conj(l x r), which makes a matrix of determinant 1 of three rows."""
    up, down = [1, 2, 0], [2, 0, 1]
    one = _times((left[0][..., up], left[1][..., up]), (right[0][..., down], right[1][..., down]))
    other = _times((left[0][..., down], left[1][..., down]), (right[0][..., up], right[1][..., up]))
    return one[0] - other[0], other[1] - one[1]


def _pair(words: Tensor) -> Tensor:
    """Two normal numbers of four words, [..., 4] -> [..., 2]."""
    w0, w1, w2, w3 = words.unbind(-1)
    size = _square_root(_minus_log(fine_uniform(w0, w1)))
    turn = w2 >> 30
    sine, cosine = _eighth_turns(fine_uniform(w2 << 2 & WORD | w3 >> 30, w3 << 2 & WORD) - 0.5)
    less, more = size * (cosine - sine), size * (cosine + sine)
    swap, back = (turn & 1) == 1, turn > 1
    one, other = torch.where(swap, more, less), torch.where(swap, less, more)
    return torch.stack((torch.where(swap ^ back, -one, one), torch.where(back, -other, other)), -1)


def _square_root(x: Tensor) -> Tensor:
    """sqrt x of a positive number by Newton's rule: libraries round theirs as they please."""
    y = ((x.view(torch.int64) >> 1) + 0x1FF7A3BEA91D9B1B).view(torch.float64)
    for _ in range(4):
        y = 0.5 * (y + x / y)
    return y


def _minus_log(u: Tensor) -> Tensor:
    """-ln u: u = 2^k m, m in [1/sqrt 2, sqrt 2), s = (m - 1)/(m + 1), ln m = 2 (s + s^3/3 + ...).
    """
    bits = u.view(torch.int64)
    k = bits - ROOT_HALF >> 52
    power, f = k.double(), (bits - (k << 52)).view(torch.float64) - 1.0
    s = f / (2.0 + f)
    z = s * s
    total = torch.full_like(z, 2.0 / 23)
    for n in range(21, 2, -2):
        total = total * z + 2.0 / n
    half = 0.5 * f * f
    low = s * (half + z * total) + REST * power
    return ((half - low) - f) - TOP * power


def _eighth_turns(f: Tensor) -> tuple[Tensor, Tensor]:
    """sin and cos of f pi / 2, f in [-1/2, 1/2)."""
    x = 1.5707963267948966 * f
    z = x * x
    sine, cosine = (torch.full_like(z, 1 / math.factorial(n)) for n in (15, 16))
    sine = -sine
    for n in range(13, 0, -2):
        sine = sine * z + (-1) ** (n // 2) / math.factorial(n)
    for n in range(14, -1, -2):
        cosine = cosine * z + (-1) ** (n // 2) / math.factorial(n)
    return x * sine, cosine
