"""Philox of any word length in whole numbers of Python, written from the paper alone."""

# Salmon, Moraes, Dror, Shaw (SC 2011), tables 2 and 3: multipliers and Weyl constants of 4 x N.
CONSTANTS = {
    32: ((0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85)),
    64: ((0xD2E7470EE14C6C93, 0xCA5A826395121157), (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)),
}


def philox4(bits, counter, key, rounds=10):
    """The four words of `bits` bits that belong to a counter of four under a key of two."""
    mask = 2**bits - 1
    (m0, m1), (w0, w1) = CONSTANTS[bits]
    x, (k0, k1) = list(counter), key
    for _ in range(rounds):
        left, right = x[0] * m0, x[2] * m1
        x = [(right >> bits) ^ x[1] ^ k0, right & mask, (left >> bits) ^ x[3] ^ k1, left & mask]
        k0, k1 = (k0 + w0) & mask, (k1 + w1) & mask
    return x
