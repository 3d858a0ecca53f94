"""What the kernels of gradients do for a link, for gpu_model.py."""

from collections.abc import Callable
from functools import partial

import torch

from benchmarks.kernels.modelled.work import EXPONENTIAL, FORCE, SMOOTH, SQUARE, STAPLES, Work
from l2hmc_bridge.fast.gpu.gradients.differentiated import PlanarLinks, TritonKernels
from l2hmc_bridge.fast.gpu.staple_fields import algebra, laplacian, per_link
from l2hmc_bridge.fields import su3

WHOLE, ROWS, THIRD, SUM = 108, 72, 24, 18  # instructions: products, of two rows, a row, a sum
LINK, NUMBERS, CHANGE, TORCH = 12, 8, 18, 18  # numbers of what is read
# Of a staple and its change: four products and a third row beside it; three links, three changes.
CHANGED = Work(2 * (ROWS + THIRD) + 6 * WHOLE + 2 * SUM, 3 * (LINK + CHANGE), 0)
# A way round a rectangle: four steps of two products and a half, five links and five changes.
WALKED = Work(4 * (2 * WHOLE + ROWS + THIRD + SUM) + 2 * SUM, 5 * (LINK + CHANGE), 0)
ALONG = Work(WHOLE + 28, LINK, LINK + CHANGE + NUMBERS)  # TA(U M), with what memory gives for it
EXPONENTIALS = Work(EXPONENTIAL + 20 * (WHOLE + 54) + 5 * WHOLE, 3 * TORCH, 5 * TORCH)
PLANE = 9  # numbers of a plane's B
# Corners of a plaquette: seven products, three links, four planes.
CORNERS = Work(7 * WHOLE + 4 * SUM, 3 * LINK + 4 * PLANE, 0)


def times(count: int, work: Work) -> Work:
    """So many of it, what memory moves once."""
    return Work(count * work.instructions, count * work.read, work.moved)


WORK = {
    "staples": STAPLES + (0, 0, LINK + TORCH),
    "staples of rectangles": times(18, Work(4 * (ROWS + THIRD) + SUM, 5 * LINK, 0))
    + (0, 0, LINK + TORCH),
    "staple traces": FORCE + (0, 0, 1 - NUMBERS),
    "squared loops": FORCE + (SQUARE, 0, TORCH - NUMBERS),
    "staple norms": STAPLES + (18, 0, 4 * LINK + 1),
    "Laplacian": SMOOTH + (0, 0, LINK + TORCH),
    "Laplacian of a direction": SMOOTH + (0, 0, 4 * LINK + TORCH),
    "algebra in, projected": Work(12, TORCH, TORCH + NUMBERS),
    "changes for forces": Work(WHOLE + THIRD, LINK + NUMBERS, LINK + NUMBERS + CHANGE),
    "changes for traces": Work(THIRD + 18, LINK + 1, LINK + 1 + CHANGE),
    "changes for squares": FORCE + (4 * WHOLE, NUMBERS, CHANGE),
    "changes for norms": STAPLES + (18, 1, 4 * LINK + CHANGE),
    "gradient of forces": times(6, CHANGED) + ALONG + (WHOLE, NUMBERS, NUMBERS),
    "gradient of traces": times(6, CHANGED) + ALONG + (18, 1, 1),
    "gradient of squares": times(6, CHANGED) + ALONG + (0, NUMBERS, NUMBERS),
    "gradient of rectangles": times(18, WALKED) + ALONG + (WHOLE, 2 * NUMBERS, 2 * NUMBERS),
    "gradient of the Laplacian": Work(4 * 2 * (ROWS + ROWS + WHOLE), LINK + 16 * NUMBERS,
                                      LINK + 3 * NUMBERS),
    "gradient of the Laplacian of a direction": Work(2 * (ROWS + ROWS + WHOLE),
                                                     LINK + 4 * NUMBERS, LINK + 2 * NUMBERS),
    "changes for clovers": Work(6 * 2 * 420 // 4, 6 * 14 * LINK // 4, LINK + 6 * PLANE // 4),
    "gradient of clovers": times(6, CORNERS) + (WHOLE, LINK, LINK + NUMBERS + 6 * PLANE // 4),
    "gradient out": Work(WHOLE + THIRD, LINK + NUMBERS, LINK + NUMBERS + TORCH),
    "gradient of exp(P) U": EXPONENTIALS,
}
OF_SITES = ("changes for clovers", "changes for norms")  # a warp for 32 sites


def kernels(links: torch.Tensor, named: Callable[[str, Callable], object]) -> None:
    """Start each of them on a field, under its name."""
    at, (nt, nx, ny, nz) = PlanarLinks(links), links.shape[2:6]
    field = su3.random_algebra(tuple(links.shape[:6]), torch.Generator().manual_seed(2)).to(
        links.dtype)
    extents, planar = (nt, nx, ny, nz), at.links
    scalars = torch.ones(links.shape[:6], dtype=planar.dtype)
    for name, form, mu in (("staples", "staples", -1), ("staples of rectangles", "rectangles", -1),
                           ("staple traces", "trace", -1), ("squared loops", "square", -1),
                           ("staple norms", "norm", 1)):
        named(name, partial(per_link, planar, extents, form, mu))
    moving = named("algebra in, projected", partial(algebra, planar, field, extents))
    one = algebra(planar, field[:, 1], extents, 1)
    named("Laplacian", partial(laplacian, planar, moving, extents, False))
    named("Laplacian of a direction", partial(laplacian, planar, one, extents, True, 1))
    changes, along = at._room(18), at._room(8)
    start = at._start
    named("changes for forces", partial(start, "weights.force_changes_kernel", moving, changes))
    named("changes for traces", partial(start, "weights.trace_changes_kernel", scalars, changes))
    named("changes for squares", partial(start, "weights.square_changes_kernel", moving, changes,
                                         along))
    named("changes for norms", partial(start, "weights.norm_changes_kernel", scalars[:, 0].clone(),
                                       changes, 1, num_warps=1))
    named("gradient of forces", partial(at._pull, changes, moving, 0.5, 1))
    named("gradient of traces", partial(at._pull, changes, scalars, 0.5, 2))
    named("gradient of squares", partial(at._pull, changes, None, 0.5, 0, along=along))
    named("gradient of rectangles", partial(start, "paths.rectangle_pullback_kernel", changes,
                                            moving, along, 0.5))
    for name, given, mu in (("gradient of the Laplacian", moving, -1),
                            ("gradient of the Laplacian of a direction", one, 1)):
        named(name, partial(at._along_transport, given, given, mu >= 0, mu))
    weights = torch.ones(len(links), 3, dtype=torch.float64)
    planes = named("changes for clovers", partial(at._planes, weights, True))
    named("gradient of clovers", partial(start, "clovers.clover_pullback_kernel", planes, along))
    named("gradient out", partial(at._leave, along, 2.0))
    named("gradient of exp(P) U", partial(TritonKernels().expm_multiply_pullback, field, links,
                                          links))
