"""What kernels that measure fields with numbers apart do for a link, for gpu_model.py."""

from collections.abc import Callable, Mapping
from functools import partial

from l2hmc_bridge.fast.gpu.observables import totals
from l2hmc_bridge.fast.gpu.observables.totals import Where
from l2hmc_bridge.fast.gpu.planar import Moving
from l2hmc_bridge.fields.part import whole

STAPLE = 72 + 24 + 72 + 24 + 24  # instructions: two products, third rows of a link, product, staple
PLAQUETTE = STAPLE + 24 + 18
HALF = 2 * STAPLE + 24 + 24 + 18 + 18 + 90  # two staples, their difference, Re tr P, what is made
RECTANGLE = 4 * 72 + 5 * 24 + 18
# name: multiply-adds, numbers read, numbers that memory must move, of a quarter of a site. A plane
# reads four links for its plaquette, 14 for its clover, and twice six for its rectangles.
WORK = {
    "clover, plaquettes": (6 * (2 * HALF + 27) // 4, 6 * 14 * 12 // 4, 12),
    "plaquettes": (6 * PLAQUETTE // 4, 6 * 4 * 12 // 4, 12),
    "rectangle traces": (12 * RECTANGLE // 4, 12 * 6 * 12 // 4, 12),
    "kinetic energy": (10, 8, 8),
    "charge of 3 x 3 loops": (6 * (2 * (HALF - 18 + 9) + 27) // 4, 6 * 14 * 12 // 4, 12),
}
WORK |= {f"{name}, exact": work for name, work in WORK.items()}
WORK |= {"charge density of 3 x 3 loops": WORK["charge of 3 x 3 loops"]}
LINES = "lines of three links"
WORK |= {LINES: (72 + 24, 24, 36)}  # of links and lines of two, which memory gives
OF_LINKS = ("kinetic energy", "kinetic energy, exact", LINES)
OF_SITES = tuple(name for name in WORK if name not in OF_LINKS)  # a warp for 32 sites
LOOPS = ((3, 3, 1.0),)


def kernels(at: Moving, named: Callable[[str, Callable], object]) -> None:
    """Start each of them on a field, under its name; the exact ones count what is summed."""
    nt, nx, ny, nz = at.extents
    named(LINES, partial(totals.lines, at.links, at.where, 3))
    for part, exact in ((None, ""), (whole((nt, nx, ny, nz)), ", exact")):
        for name, function in (("clover, plaquettes", partial(totals.clover, traceless=True)),
                               ("plaquettes", totals.plaquettes),
                               ("charge of 3 x 3 loops",
                                partial(totals.charge, shapes=LOOPS, traceless=True)),
                               ("rectangle traces", totals.rectangles)):
            named(f"{name}{exact}", partial(function, at.links, Where(at.extents, part)))
        named(f"kinetic energy{exact}",
              partial(totals.kinetic, at.momenta, Where(at.extents, part)))
    named("charge density of 3 x 3 loops",
          partial(totals.density, at.links, at.where, shapes=LOOPS, traceless=True))


def five_loops(ns: Mapping[str, float]) -> float:
    """ns per site of the five-loop charge: lines of two and three links, and seven clovers, of
    which those of 1 x 2 and 1 x 3 loops have two.
    """
    return 2 * ns[LINES] + 7 * ns["charge of 3 x 3 loops"]
