"""Copies of the neighbours' sites in the blocked layout: where they lie, and how they are renewed.

Direction after direction, copies of earlier ones included, so that corners come along.
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


class Layers(NamedTuple):
    """Of one direction: what is sent down and up, what comes from below and from above."""

    mu: int
    down: Places
    up: Places
    below: Places
    above: Places


def layers(part: Part, sites: Tensor) -> tuple[Layers, ...]:
    """Of every cut direction; sites [blocks, lanes] in the order of the torch layout."""
    made = []
    for mu in part.cut:
        halo, extent = part.halo[mu], part.extents[mu]
        made.append(Layers(mu, _first(_places(part, sites, mu, halo, halo)),
                           _first(_places(part, sites, mu, extent, halo)),
                           _places(part, sites, mu, 0, halo),
                           _places(part, sites, mu, halo + extent, halo)))
    return tuple(made)


def renew(part: Part, known: tuple[Layers, ...], field: Tensor) -> None:
    """Replace the copies in a blocked field [Nb, blocks, 4, width, lanes] by what they copy."""
    for layer in known:
        below, above = part.network.swap(layer.mu, *(
            field[:, at.blocks, :, :, at.lanes] for at in (layer.down, layer.up)))
        for at, values in ((layer.below, below), (layer.above, above)):
            field[:, at.blocks, :, :, at.lanes] = values[at.of_layer]


def _places(part: Part, sites: Tensor, mu: int, start: int, count: int) -> Places:
    """Of the sites whose coordinate mu is start <= c < start + count."""
    coordinate, rest = sites, torch.zeros_like(sites)
    stride = 1
    for nu in range(3, -1, -1):
        here = coordinate % part.held[nu]
        coordinate = coordinate // part.held[nu]
        if nu == mu:
            inside, here, extent = (here >= start) & (here < start + count), here - start, count
        else:
            extent = part.held[nu]
        rest = rest + here * stride
        stride *= extent
    blocks, lanes = inside.nonzero(as_tuple=True)
    return Places(blocks, lanes, rest[blocks, lanes])


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
