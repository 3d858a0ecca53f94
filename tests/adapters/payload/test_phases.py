"""Links that are no periodic SU(3) are named; fields that are none of these are not."""

import cmath
import math

import pytest
import torch

from l2hmc_bridge.adapters.payload.phases import centre_phases, oddity
from l2hmc_bridge.fields import su3
from tests.support import samples
from tests.support.fields import gauge_transform, rough_links

EXTENTS = (4, 6, 2, 8)  # t, x, y, z
LARGE = (6, 8, 4, 10)
THIRD = cmath.exp(2j * math.pi / 3)


def named(links) -> str | None:
    defects = float(su3.unitarity_defect(links).max()), float(su3.determinant_defect(links).max())
    found = oddity(links, *defects)
    return None if found is None else found.sentence


def parity(extents, *exponents) -> torch.Tensor:
    """(-1)^(a.x) on sites t, x, y, z."""
    grids = torch.meshgrid(*(torch.arange(n) for n in extents), indexing="ij")
    return 1.0 - 2.0 * (sum(a * x for a, x in zip(exponents, grids, strict=True)) % 2)


def last(mu, place=-1):
    def spoil(links):
        links[:, mu].select(1 + mu, place).mul_(-1)
    return spoil


def opened(mu, place=-1):
    def spoil(links):
        links[:, mu].select(1 + mu, place).zero_()
    return spoil


def staggered(*directions, boundary=False):
    """Signs (-1)^(a.x) with exponents a (t,x,y,z) for each direction."""
    def spoil(links):
        for mu, exponents in enumerate(directions):
            links[:, mu] *= parity(links.shape[2:6], *exponents)[..., None, None]
        if boundary:
            last(0)(links)
    return spoil


STANDARD = ((0, 1, 1, 1), (0, 0, 0, 0), (0, 1, 0, 0), (0, 1, 1, 0))  # eta_t, eta_x, eta_y, eta_z
MILC = ((0, 0, 0, 0), (1, 0, 0, 0), (1, 1, 0, 0), (1, 1, 1, 0))


def times(factor):
    def spoil(links):
        links *= factor
    return spoil


def fixed(links):
    links[:, 1:, 0] = torch.diag(torch.exp(1j * torch.tensor([0.1, 0.2, -0.3]).double()))


def fixed_and_blurred(links):
    fixed(links)
    links[:, 1:, 0] *= 0.9  # MILC's boundary links are no SU(3)


def single(links):
    links[:, 2, 1, 1, 0, 3] *= -1


def twisted_boundary(links):
    links[:, 0, -1] *= cmath.exp(0.3j)


def abelian(links):
    angles = torch.rand(links.shape[:6], generator=torch.Generator().manual_seed(3))
    links *= torch.exp(0.2j * angles)[..., None, None]


def zeros(links):
    links[:, 1, 0, 0, 0, 0] = 0


def swapped(links):
    links.copy_(torch.complex(links.imag, links.real))


CASES = {
    "open": (opened(0), "open boundaries (time links 0 on the last slice)"),
    "open, first slice": (opened(0, 0), "open boundaries (time links 0 on the first slice)"),
    "open in x": (opened(1), "open boundaries (x links 0 on the last slice)"),
    "antiperiodic": (last(0), "all time links of the last slice"),
    "antiperiodic, first slice": (last(0, 0), "anti-periodic boundaries in t (first slice)"),
    "antiperiodic in x": (last(1), "anti-periodic boundaries in x"),
    "staggered": (staggered(*STANDARD), "): staggered phases multiplied into"),
    "staggered of MILC": (staggered(*MILC), "): staggered phases multiplied into"),
    "staggered, antiperiodic": (staggered(*STANDARD, boundary=True),
                                "staggered phases and anti-periodic boundaries in t"),
    "single link": (single, "det U = -1 on 1 of 1536 links"),
    "sign": (times(-1), "a common sign"),
    "fixed": (fixed, "Schroedinger-functional boundaries"),
    "fixed, blurred": (fixed_and_blurred, "Schroedinger-functional boundaries"),
    "phase": (times(1j), "det U = exp(-0.5 i pi) on 1536 of 1536 links"),
    "Re and Im swapped": (swapped, "Re and Im in each other's place (as GPT reads single-precision"
                                   " ILDG), or phases of U(1)"),
    "twisted boundary": (twisted_boundary, "phases of U(1)"),
    "abelian": (abelian, "many values of det U"),
    "tadpole": (times(1 / 0.87), "SU(3) times 1.14943"),
    "zeros": (zeros, "zero for 1 of 1536 links"),
    "nan": (times(float("nan")), "NaN or infinity"),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_named_in_any_gauge_that_it_survives(case):
    spoil, words = CASES[case]
    links = samples.smooth_links(extents=EXTENTS)
    spoil(links)
    assert words in named(links)
    if case not in ("fixed", "fixed, blurred", "nan"):
        turned, _ = gauge_transform(links, torch.Generator().manual_seed(1))
        assert words.split(" (")[0] in named(turned)


def slab(links):
    links[:, 1, 0, 0] *= THIRD


def flux(links):
    links[:, 1, -1, :, -1] *= THIRD


def everywhere(links):
    powers = torch.randint(0, 3, links.shape[:6], generator=torch.Generator().manual_seed(4))
    links *= torch.exp(2j * math.pi / 3 * powers)[..., None, None]


@pytest.mark.parametrize("spoil", [slab, flux, everywhere])
@pytest.mark.parametrize("extents", [(4, 4, 4, 8), LARGE])
def test_centre_phases_are_named_although_all_is_su3(spoil, extents):
    links = samples.smooth_links(extents=extents)
    spoil(links)
    assert named(links).startswith("centre phases (Z3)")


@pytest.mark.parametrize("extents", [EXTENTS, LARGE, (2, 2, 2, 2), (1, 2, 3, 5), (3, 5, 4, 6)])
def test_ordinary_fields_have_no_name(extents, generator):
    for links in (samples.smooth_links(extents=extents), samples.random_links(extents=extents),
                  rough_links(generator, extents, width=0.9)):
        assert named(links) is None
    links = samples.smooth_links(extents=extents)
    links[:, 0, -1] *= THIRD  # a symmetry of the action: nothing is wrong
    assert centre_phases(links) is None
    assert named(torch.eye(3, dtype=torch.complex128).expand(1, 4, *extents, 3, 3)) is None
    drifted = links * (1 + 1e-3)
    assert named(drifted) is None


def test_momenta_are_no_links(generator):
    assert "momenta" in named(su3.random_algebra((1, 4, *EXTENTS), generator))
