"""Threads of this process that share a lattice as ranks do: a test without processes to start."""

import threading
from concurrent.futures import ThreadPoolExecutor

from l2hmc_bridge.fields.part import holding
from l2hmc_bridge.ranks.grid import chosen


class Board:
    """Where every thread lays down what it says, and reads what the others said."""

    def __init__(self, grid):
        self.grid, self.laid = grid, [None] * grid.size
        self.over = False
        self.barrier = threading.Barrier(grid.size, timeout=120)


class Beside:
    """The network of one thread."""

    def __init__(self, board, rank):
        self.board, self.rank, self.first = board, rank, rank == 0

    def told(self, mine):
        """What all say, in the order of the ranks."""
        self.board.laid[self.rank] = mine
        self.board.barrier.wait()
        found = list(self.board.laid)
        self.board.barrier.wait()
        return found

    def total(self, numbers):
        return sum(self.told(numbers.clone()))

    def largest(self, numbers):
        found, *others = self.told(numbers.clone())
        for one in others:
            found = found.maximum(one)  # NaN if either is
        return found

    def swap(self, mu, down, up):
        sent = self.told((down.clone(), up.clone()))
        beside = [self.board.grid.beside(self.rank, mu, step) for step in (-1, 1)]
        return sent[beside[0]][1], sent[beside[1]][0]

    def made(self, make):
        return self.told(make() if self.first else None)[0]

    def agreed(self, error):
        for one in self.told(error):
            if one is not None:
                self.board.over = True  # for all: nobody waits
                raise one


def on_threads(asked, lattice, halo, work):
    """[work(part)] of each rank of a grid "X,Y,Z,T", every one holding its part (t, x, y, z)."""
    size = 1
    for count in asked.split(","):
        size *= int(count)
    board = Board(chosen(asked, lattice, size, halo, False))

    def one(rank):
        part = board.grid.part(lattice, rank, halo, Beside(board, rank))
        try:
            with holding(part):
                return work(part)
        except BaseException:
            if not board.over:
                board.barrier.abort()  # nobody waits for this one
            raise

    with ThreadPoolExecutor(size) as pool:
        ends = [pool.submit(one, rank) for rank in range(size)]
    errors = [end.exception() for end in ends if end.exception() is not None]
    for error in errors:  # of those that waited for another: last
        if not isinstance(error, threading.BrokenBarrierError):
            raise error
    return [end.result() for end in ends]
