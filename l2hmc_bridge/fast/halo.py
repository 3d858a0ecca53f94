"""Copies of the neighbours' sites in fields of blocks: where they lie, and how they are renewed.

A field is [Nb, blocks, 4, width, lanes] in main memory or on a GPU; numbers of places are where it
is.

Direction after direction, copies of earlier ones included, so that corners come along. Where a
layer has blocks of its own, whole blocks are sent, in place where one follows the other.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from l2hmc_bridge.fields.part import Part


class Places(NamedTuple):
    """Numbers of a layer of sites in [blocks, lanes], and which site of the layer each has."""

    blocks: Tensor
    lanes: Tensor
    of_layer: Tensor

    def of(self, field: Tensor) -> Tensor:
        """What is there, one site of the layer after the other."""
        return field[:, self.blocks, :, :, self.lanes]

    def put(self, field: Tensor, values: Tensor) -> None:
        """Replace it, from the order of the layer."""
        field[:, self.blocks, :, :, self.lanes] = values[self.of_layer]


class Blocks(NamedTuple):
    """Numbers of the blocks that a layer of sites fills, in the order of their sites in it."""

    numbers: Tensor
    row: slice | None  # where they are one after the other

    def of(self, field: Tensor) -> Tensor:
        """What is there, one block of the layer after the other."""
        return field.index_select(1, self.numbers) if self.row is None else field[:, self.row]

    def put(self, field: Tensor, values: Tensor) -> None:
        """Replace it."""
        if self.row is None:
            field.index_copy_(1, self.numbers, values)
        else:
            field[:, self.row] = values


class Layers(NamedTuple):
    """Of one direction: what is sent down and up, what comes from below and from above."""

    mu: int
    down: Places | Blocks
    up: Places | Blocks
    below: Places | Blocks
    above: Places | Blocks


def layers(part: Part, sites: Tensor) -> tuple[Layers, ...]:
    """Of every cut direction; sites [blocks, lanes] in the order of the torch layout."""
    made = []
    for mu in part.cut:
        halo, extent = part.halo[mu], part.extents[mu]
        places = [_places(part, sites, mu, start)
                  for start in (halo, extent, 0, halo + extent)]  # down, up, below, above
        blocks = _blocks(places, sites)
        if blocks is not None:
            made.append(Layers(mu, *blocks))
            continue
        down, up, below, above = places
        made.append(Layers(mu, _first(down), _first(up), below, above))
    return tuple(made)


def renew(part: Part, known: tuple[Layers, ...], field: Tensor) -> None:
    """Replace the copies in a blocked field [Nb, blocks, 4, width, lanes] by what they copy."""
    for layer in known:
        below, above = part.network.swap(layer.mu, layer.down.of(field), layer.up.of(field))
        layer.below.put(field, below)
        layer.above.put(field, above)


def _coordinate(part: Part, sites: Tensor, mu: int) -> Tensor:
    return sites // torch.Size(part.held[mu + 1:]).numel() % part.held[mu]


def _places(part: Part, sites: Tensor, mu: int, start: int) -> Places:
    """Of the sites in the layer that begins at c_mu = start and is as deep as the copies."""
    along = _coordinate(part, sites, mu)
    inside = (along >= start) & (along < start + part.halo[mu])
    of_layer = torch.zeros_like(sites)
    for nu in range(4):
        extent, first = (part.halo[mu], start) if nu == mu else (part.held[nu], 0)
        of_layer = of_layer * extent + _coordinate(part, sites, nu) - first
    blocks, lanes = inside.nonzero(as_tuple=True)
    return Places(blocks, lanes, of_layer[blocks, lanes])


def _blocks(layers: list[Places], sites: Tensor) -> list[Blocks] | None:
    """These layers as whole blocks, or None: if they fill none, or with other sites side by side.

    Which sites of a layer lie in one block, and in which lanes, must be the same for all of them.
    """
    found: list[Blocks] = []
    seen: list[Tensor] = []
    for places in layers:
        numbers, counts = places.blocks.unique(return_counts=True)
        if (counts != sites.shape[1]).any():
            return None
        lanes = places.of_layer.view(-1, sites.shape[1])  # nonzero() goes block by block
        order = lanes[:, 0].argsort()
        numbers = numbers[order]
        seen.append(lanes[order])
        row = bool((numbers.diff() == 1).all())
        found.append(Blocks(numbers, slice(int(numbers[0]), int(numbers[-1]) + 1) if row
                            else None))
    return found if all(torch.equal(one, seen[0]) for one in seen) else None


def _first(places: Places) -> Places:
    """One place of each site, in the order of the layer: lanes may hold copies of others."""
    order = torch.argsort(places.of_layer, stable=True)
    number = places.of_layer[order]
    new = torch.ones_like(number, dtype=torch.bool)
    new[1:] = number[1:] != number[:-1]
    order = order[new]
    return Places(places.blocks[order], places.lanes[order], places.of_layer[order])


def odd_here(part: Part | None, odd: bool) -> bool:
    """A parity of the whole lattice, as the sites of a part of it are counted."""
    return bool(odd) if part is None else bool(odd) != bool(part.parity)
