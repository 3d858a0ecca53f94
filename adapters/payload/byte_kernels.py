"""Compiled loops over the bytes of large files; plain numpy twins stand in blocks, checksums.

Imported only through `dispatch.kernels`: numba takes a while to start and, once, to compile. All
functions release the GIL, so that a few Python threads can work on different blocks.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

BYTE, FULL = np.uint64(255), np.uint64(0xFFFFFFFF)
SHIFTS = tuple(np.uint64(8 * byte) for byte in range(8))
ODD8, ODD16, HALF = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF), np.uint64(32)
ORDER = np.array([3, 0, 1, 2])  # links[:, mu] is direction ORDER[mu] of the file


def crc_tables() -> NDArray[np.uint32]:
    """[8, 256]: CRC-32 of a byte followed by 0 to 7 zero bytes (slicing by eight)."""
    tables = np.zeros((8, 256), np.uint32)
    tables[0] = np.arange(256)
    for _ in range(8):
        tables[0] = (tables[0] >> 1) ^ np.uint32(0xEDB88320) * (tables[0] & 1)
    for row in range(1, 8):
        tables[row] = (tables[row - 1] >> 8) ^ tables[0][tables[row - 1] & 255]
    return tables


TABLES = crc_tables()


@njit(inline="always")
def _step(tables, word):
    """CRC-32 after eight more bytes, `word` being those bytes XOR the CRC so far."""
    return np.uint64(
        tables[7, word & BYTE]
        ^ tables[6, (word >> SHIFTS[1]) & BYTE]
        ^ tables[5, (word >> SHIFTS[2]) & BYTE]
        ^ tables[4, (word >> SHIFTS[3]) & BYTE]
        ^ tables[3, (word >> SHIFTS[4]) & BYTE]
        ^ tables[2, (word >> SHIFTS[5]) & BYTE]
        ^ tables[1, (word >> SHIFTS[6]) & BYTE]
        ^ tables[0, word >> SHIFTS[7]]
    )


@njit(inline="always")
def _rotated(number, by):
    wide = np.uint64(number) << np.uint64(by)
    return (wide | (wide >> HALF)) & FULL


@njit(inline="always")
def _swapped64(word):
    word = ((word >> np.uint64(8)) & ODD8) | ((word & ODD8) << np.uint64(8))
    word = ((word >> np.uint64(16)) & ODD16) | ((word & ODD16) << np.uint64(16))
    return (word >> HALF) | (word << HALF)


@njit(inline="always")
def _swapped32(word):
    word = ((word >> np.uint32(8)) & np.uint32(0xFF00FF)) | (
        (word & np.uint32(0xFF00FF)) << np.uint32(8)
    )
    return (word >> np.uint32(16)) | (word << np.uint32(16))


@njit(nogil=True, cache=True)
def scidac(words, site_words, first_site, tables):
    """(suma, sumb) of sites given as 64-bit little-endian words; four CRCs run side by side."""
    sites = words.size // site_words
    suma = sumb = np.uint64(0)
    whole = sites - sites % 4
    for site in range(0, whole, 4):
        one = two = three = four = FULL
        start = site * site_words
        for at in range(start, start + site_words):
            one = _step(tables, words[at] ^ one)
            two = _step(tables, words[at + site_words] ^ two)
            three = _step(tables, words[at + 2 * site_words] ^ three)
            four = _step(tables, words[at + 3 * site_words] ^ four)
        rank = first_site + site
        for extra, crc in enumerate((one ^ FULL, two ^ FULL, three ^ FULL, four ^ FULL)):
            suma ^= _rotated(crc, (rank + extra) % 29)
            sumb ^= _rotated(crc, (rank + extra) % 31)
    for site in range(whole, sites):
        crc = FULL
        for at in range(site * site_words, (site + 1) * site_words):
            crc = _step(tables, words[at] ^ crc)
        suma ^= _rotated(crc ^ FULL, (first_site + site) % 29)
        sumb ^= _rotated(crc ^ FULL, (first_site + site) % 31)
    return suma, sumb


@njit(nogil=True, cache=True)
def nersc(words, swap):
    """Sum of 32-bit words as numbers, not yet reduced mod 2^32."""
    total = np.uint64(0)
    if swap:
        for word in words:
            total += np.uint64(_swapped32(word))
    else:
        for word in words:
            total += np.uint64(word)
    return total


@njit(nogil=True, cache=True)
def milc(words, first_word, swap):
    """(sum29, sum31) of 32-bit words as numbers."""
    sum29 = sum31 = np.uint64(0)
    for at in range(words.size):
        word = _swapped32(words[at]) if swap else words[at]
        sum29 ^= _rotated(word, (first_word + at) % 29)
        sum31 ^= _rotated(word, (first_word + at) % 31)
    return sum29, sum31


@njit(inline="always")
def _third_row(out, at):
    """Row 2 of the link at out[at:] is conj(row 0 x row 1)."""
    for column in range(3):
        one, two = at + 2 * ((column + 1) % 3), at + 2 * ((column + 2) % 3)
        out[at + 12 + 2 * column] = (
            out[one] * out[two + 6] - out[one + 1] * out[two + 7]
            - out[two] * out[one + 6] + out[two + 1] * out[one + 7]
        )
        out[at + 13 + 2 * column] = -(
            out[one] * out[two + 7] + out[one + 1] * out[two + 6]
            - out[two] * out[one + 7] - out[two + 1] * out[one + 6]
        )


@njit(inline="always")
def _place(mu, t, x, y, z, shape):
    """Where the link U_mu(t,x,y,z) begins, in doubles; shape (nt,nx,ny,nz)."""
    return ((((mu * shape[0] + t) * shape[1] + x) * shape[2] + y) * shape[3] + z) * 18


@njit(nogil=True, cache=True)
def decode64(words, out, shape, t, z, planes, rows, swap, order):
    """64-bit words of `planes` z-planes of slice t -> out, links as flat doubles."""
    bits = out.view(np.uint64)
    numbers = 6 * rows
    for x in range(shape[1]):
        for y in range(shape[2]):
            for plane in range(planes):
                site = ((plane * shape[2] + y) * shape[1] + x) * 4
                for mu in range(4):
                    source = (site + order[mu]) * numbers
                    target = _place(mu, t, x, y, z + plane, shape)
                    if swap:
                        for k in range(numbers):
                            bits[target + k] = _swapped64(words[source + k])
                    else:
                        for k in range(numbers):
                            bits[target + k] = words[source + k]
                    if rows == 2:
                        _third_row(out, target)


@njit(nogil=True, cache=True)
def decode32(words, out, shape, t, z, planes, rows, swap, order):
    """Like decode64, from 32-bit words; `words` is overwritten in native byte order."""
    if swap:
        for at in range(words.size):
            words[at] = _swapped32(words[at])
    floats = words.view(np.float32)
    numbers = 6 * rows
    for x in range(shape[1]):
        for y in range(shape[2]):
            for plane in range(planes):
                site = ((plane * shape[2] + y) * shape[1] + x) * 4
                for mu in range(4):
                    source = (site + order[mu]) * numbers
                    target = _place(mu, t, x, y, z + plane, shape)
                    for k in range(numbers):
                        out[target + k] = floats[source + k]
                    if rows == 2:
                        _third_row(out, target)


@njit(nogil=True, cache=True)
def encode64(links, words, shape, t, z, planes, rows, swap, order):
    """Inverse of decode64: links as flat doubles -> 64-bit words of a block."""
    bits = links.view(np.uint64)
    numbers = 6 * rows
    for x in range(shape[1]):
        for y in range(shape[2]):
            for plane in range(planes):
                site = ((plane * shape[2] + y) * shape[1] + x) * 4
                for mu in range(4):
                    target = (site + order[mu]) * numbers
                    source = _place(mu, t, x, y, z + plane, shape)
                    if swap:
                        for k in range(numbers):
                            words[target + k] = _swapped64(bits[source + k])
                    else:
                        for k in range(numbers):
                            words[target + k] = bits[source + k]


@njit(nogil=True, cache=True)
def encode32(links, words, shape, t, z, planes, rows, swap, order):
    """Inverse of decode32."""
    floats = words.view(np.float32)
    numbers = 6 * rows
    for x in range(shape[1]):
        for y in range(shape[2]):
            for plane in range(planes):
                site = ((plane * shape[2] + y) * shape[1] + x) * 4
                for mu in range(4):
                    target = (site + order[mu]) * numbers
                    source = _place(mu, t, x, y, z + plane, shape)
                    for k in range(numbers):
                        floats[target + k] = links[source + k]
    if swap:
        for at in range(words.size):
            words[at] = _swapped32(words[at])
