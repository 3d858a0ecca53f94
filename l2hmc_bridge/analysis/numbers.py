"""Trajectory numbers as part of the data: gaps, mixed spacings, and the grid they lie on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_FILLED = 0.25  # of a grid: with fewer samples its short lags are noise
MOST_STEPS = 8  # spacings that are tried
MOST_NAMED = 3  # gaps in a sentence
LARGEST = 2.0**53  # up to which floating point counts


@dataclass(frozen=True)
class Grid:
    """A common step of all chains; the place of each kept sample, from 1 on; which are kept."""

    step: int
    positions: list[NDArray]
    kept: list[NDArray]

    @property
    def length(self) -> int:
        """Places of the longest chain."""
        return max((int(position[-1]) for position in self.positions if position.size), default=0)

    @property
    def regular(self) -> bool:
        """Whether no chain has a gap."""
        return all(places.size == 0 or places[-1] == places.size for places in self.positions)


def dense(sizes: Sequence[int]) -> Grid:
    """The grid of chains with these sizes whose samples follow each other."""
    return Grid(1, regular(sizes), [np.ones(size, bool) for size in sizes])


def regular(sizes: Sequence[int], spacing: int = 1) -> list[NDArray]:
    """The numbers spacing, 2 spacing, ... of chains with these sizes."""
    return [spacing * np.arange(1, size + 1) for size in sizes]


def whole(numbers: NDArray) -> NDArray | None:
    """The numbers as integers if they are finite, whole and rising, else None."""
    array = np.asarray(numbers, float)
    if not (np.abs(array) < LARGEST).all() or (array != np.rint(array)).any():
        return None
    rising = np.rint(array).astype(np.int64)
    return rising if (np.diff(rising) > 0).all() else None


def spacing_of(numbers: Sequence[NDArray]) -> int:
    """The most frequent distance of two numbers, the smallest of several; 1 if there is none."""
    steps = Counter(np.concatenate(list(map(np.diff, numbers))).tolist() if numbers else ())
    return min((-count, int(step)) for step, count in steps.items())[1] if steps else 1


def grid(numbers: Sequence[NDArray]) -> Grid:
    """The grid that holds most samples, among the distances that occur in the chains.

    A grid is no candidate if less than a quarter of its places is filled: one stray number would
    else make every step 1.
    """
    steps = np.concatenate([np.diff(number) for number in numbers])
    usual = [int(step) for step, _ in Counter(steps.tolist()).most_common(MOST_STEPS)]
    best = None
    for step in sorted(set(usual)):
        found = _on(numbers, step)
        count = sum(int(one.sum()) for one in found.kept)
        places = sum(int(position[-1]) for position in found.positions if position.size)
        filled = count / places if places else 0.0
        rank = (filled >= LEAST_FILLED, count, filled)
        if best is None or rank > best[0]:
            best = (rank, found)
    return _on(numbers, 1) if best is None else best[1]


def _on(numbers: Sequence[NDArray], step: int) -> Grid:
    """Of each chain the samples of the residue modulo `step` that most of them have."""
    positions, kept = [], []
    for number in numbers:
        residues = number % step
        common = Counter(residues.tolist()).most_common(1)[0][0] if number.size else 0
        mask = residues == common
        kept.append(mask)
        chosen = number[mask]
        positions.append((chosen - chosen[0]) // step + 1 if chosen.size else chosen)
    return Grid(step, positions, kept)


def gaps(numbers: Sequence[NDArray]) -> str | None:
    """A sentence about missing numbers and mixed spacings of a stream's chains; None if none."""
    told = [sentence for chain, one in enumerate(numbers)
            if (sentence := _gaps(one, f"chain {chain}: " if len(numbers) > 1 else ""))]
    return "; ".join(told) or None


def _gaps(numbers: NDArray, name: str) -> str | None:
    steps = np.diff(numbers)
    if steps.size == 0 or (steps == steps[0]).all():
        return None
    usual = Counter(steps.tolist()).most_common()
    step = usual[0][0]
    odd = [(int(steps[at]), int(numbers[at]), int(numbers[at + 1]))
           for at in np.flatnonzero(steps != step)]
    if all(size % step == 0 for size, _, _ in odd):
        places = int(numbers[-1] - numbers[0]) // step + 1
        where = ", ".join(_range(before + step, after - step, step)
                          for _, before, after in odd[:MOST_NAMED])
        more = ", ..." if len(odd) > MOST_NAMED else ""
        every = "" if step == 1 else f" (every {step}th)"
        return (f"{name}{places - numbers.size} of {places} trajectory numbers from {numbers[0]} "
                f"to {numbers[-1]}{every} are missing: {where}{more}")
    spacings = ", ".join(f"{size} ({count} times)" for size, count in usual[:MOST_NAMED])
    return f"{name}trajectory numbers are spaced by {spacings}" + (
        ", ..." if len(usual) > MOST_NAMED else "")


def _range(first: int, last: int, step: int) -> str:
    if first == last:
        return str(first)
    return f"{first} and {last}" if last == first + step else f"{first} to {last}"
