"""What kernels on a GPU do for each link, counted: instructions, numbers read and moved."""

from typing import NamedTuple

PAIR = 2 * 72 + 3 * 24 + 18  # instructions of a staple: two products, three third rows, a sum
EXPONENTIAL = 18 * 14 + 108 + 2 * 108  # series, square, and what is made of them
MATRIX, ALGEBRA = 12, 8  # numbers of a link, of a momentum


class Work(NamedTuple):
    """Of one link: multiply-add instructions, numbers read, numbers that memory must move."""

    instructions: int
    read: int
    moved: int

    def __add__(self, other: tuple) -> "Work":
        return Work(*(one + two for one, two in zip(self, other, strict=True)))


# A force reads 18 matrices for its staples and its own; memory gives each link once.
FORCE = Work(6 * PAIR + 24 + 108, 19 * MATRIX, MATRIX + ALGEBRA)
KICK = Work(ALGEBRA, ALGEBRA, ALGEBRA)  # momenta are read
DRIFT = Work(EXPONENTIAL + 72, 0, MATRIX)  # links are written, after they were read
# A network of eight hidden units: three instructions for its inputs, fourteen for x / sqrt(1 + x^2)
# and five for its outputs each, and e^x.
UNITS, EXP = 8 * (3 + 14 + 5), 24
NETWORK = Work(UNITS + EXP + 20, 0, 0)
LEARNED = KICK + (UNITS + 2 * EXP + 20, 1, 2)  # with h s, which is summed up at each link
SQUARE = 108 + 28  # instructions of TA((U A)^2)
# The covariant Laplacian over three directions: four products and two third rows, two matrices and
# two momenta for each; memory gives the momenta once, and links that nothing else reads.
SMOOTH = Work(3 * (4 * 72 + 2 * 24 + 16), 3 * 2 * (MATRIX + ALGEBRA) + ALGEBRA, ALGEBRA)
STAPLES = Work(6 * PAIR, 18 * MATRIX, 0)

NETWORKS = {
    "look": FORCE + (SQUARE, 0, 1 + ALGEBRA),
    "kick network": FORCE + LEARNED + (SQUARE, 0, 0),
    "kick network and drift": FORCE + LEARNED + DRIFT + (SQUARE, 0, 0),
    "kick network and drift network": FORCE + LEARNED + DRIFT + NETWORK + (SQUARE, 0, 0),
    "kick network for mixing": FORCE + NETWORK + (SQUARE + EXP, 0, 1),
    "kick and drift of the rest": FORCE + KICK + DRIFT,
    "kick and drift network": FORCE + KICK + DRIFT + NETWORK,
    "known kick network and drift": LEARNED + DRIFT + (24, 17 + 12, 17 + 12 + 8),
    "known kick network": LEARNED + (0, 17, 17 + 8),
    "known kick network for mixing": NETWORK + (EXP, 17, 17 + 8 + 1),
    "known kick network, Laplacian, and drift": LEARNED + SMOOTH + DRIFT + (24, 53, 1 + 12 + 8),
    "known kick network, Laplacian": LEARNED + SMOOTH + (24, 41, 1 + 12 + 8),
    "mixed kick": SMOOTH + KICK + (0, 0, 12 + 8),
    "mixed kick, network": SMOOTH + LEARNED + (0, 1, 12 + 8 + 1),
    # Of a subset of one parity memory gives the links of three directions at all sites.
    "subset, network": STAPLES + DRIFT + NETWORK + (24, 20, 6 * 12 + 12 + 12 + 8),
    "subset, network, Laplacian": STAPLES + SMOOTH + DRIFT + NETWORK + (24, 12, 8 * 12 + 8),
    "subset, Laplacian": SMOOTH + DRIFT + (24, 12, 7 * 12 + 8),
    "direction, Laplacian": SMOOTH + DRIFT + (24, 12, 4 * 12),
    "drift of the rest": DRIFT + (24, 20, 20),
}
