"""Chroma's gauge actions in our normalisation, and what is refused by name."""

import math

import pytest

from l2hmc_bridge.adapters.theory import chroma
from l2hmc_bridge.fields import loops
from l2hmc_bridge.fields.layout import volume
from l2hmc_bridge.systems.actions import GaugeAction
from tests.support.fields import rough_links
from tests.support.theories import QUARKS, WILSON, gauge, hmc

TABLE = "".join(f"<elem>{' '.join('0' if mu == nu else '5.1' for nu in range(4))}</elem>"
                for mu in range(4))
# name: (XML, plaquette and rectangle coefficients by lib/actions/gauge/gaugeacts)
OURS = {
    "wilson": (gauge(WILSON), 5.7, 0.0),
    "isotropic, said so": (gauge(
        f"{WILSON}<AnisoParam><anisoP>false</anisoP><xi_0>3</xi_0></AnisoParam>"), 5.7, 0.0),
    "rbc": (gauge("<Name>RBC_GAUGEACT</Name><beta>2.13</beta><c1>-0.331</c1>"),
            2.13 * (1 + 8 * 0.331), -2.13 * 0.331),
    "rg": (gauge("<Name>RG_GAUGEACT</Name><beta>4.8</beta><c1>-0.07</c1>"), 4.8, -4.8 * 0.07),
    "tree": (gauge("<Name>LW_TREE_GAUGEACT</Name><beta>7.5</beta><u0>1</u0>"), 7.5, -7.5 / 20),
    "tadpole": (gauge("<Name>LW_TREE_GAUGEACT</Name><beta>7.5</beta><u0>0.87</u0>"), 7.5,
                -7.5 / (20 * 0.87**2)),
    "plaq table": (gauge(f"<Name>PLAQ_GAUGEACT</Name><coeffs>{TABLE}</coeffs>"), 5.1, 0.0),
    "plaq and rect": (gauge("<Name>PLAQ_GAUGEACT</Name><beta>5.1</beta>") + gauge(
        "<Name>RECT_GAUGEACT</Name><coeff>-0.3</coeff>"), 5.1, -0.3),
    "two plaquettes": (gauge(WILSON) + gauge(
        "<Name>WILSON_GAUGEACT</Name><beta>0.3</beta>"), 6.0, 0.0),
}


@pytest.mark.parametrize("name", OURS)
def test_the_action_is_the_same_function_of_the_field(name, generator):
    """S = -(p/3) sum P - (r/3) sum R, summed here from the loops themselves."""
    xml, plaquette, rectangle = OURS[name]
    found = chroma.read(hmc(xml), "record")
    links = rough_links(generator, (2, 4, 2, 6))
    squares = sum(loops.plaquette_field(links, mu, nu).diagonal(dim1=-2, dim2=-1).sum().real
                  for mu, nu in loops.PLANES)
    oblongs = sum(loops.rectangle_field(links, mu, nu).diagonal(dim1=-2, dim2=-1).sum().real
                  for mu in range(4) for nu in range(4) if mu != nu)
    theirs = float(-(plaquette * squares + rectangle * oblongs) / 3)
    ours = float(GaugeAction(found.beta, found.c1)(links))
    assert abs(ours - theirs) < 1e-10 * abs(theirs) and volume(links) == 96
    assert found.other is None and found.quarks == ()
    wrong = float(GaugeAction(plaquette, found.c1)(links))  # their beta taken for ours
    assert name in ("wilson", "isotropic, said so", "plaq table", "two plaquettes") or abs(
        wrong - theirs) > 1e-3 * abs(theirs)


def test_names():
    assert chroma.read(hmc(OURS["tree"][0]), "r").c1 == -1 / 12
    assert chroma.read(hmc(OURS["rbc"][0]), "r").action == "iwasaki"
    assert math.isclose(chroma.read(hmc(OURS["tree"][0]), "r").beta, 4.5)


OTHERS = {
    "1 loop": (gauge("<Name>LW_1LOOP_GAUGEACT</Name><beta>6</beta><u0>0.9</u0>"),
               "action LW_1LOOP_GAUGEACT"),
    "spatial": (gauge("<Name>PLAQ_PLUS_SPATIAL_TWO_PLAQ_GAUGEACT</Name>"),
                "action PLAQ_PLUS_SPATIAL_TWO_PLAQ_GAUGEACT"),
    "anisotropic": (gauge(f"{WILSON}<AnisoParam><anisoP>true</anisoP><t_dir>3</t_dir>"
                          "<xi_0>3.5</xi_0></AnisoParam>"), r"anisotropy (xi_0 = 3.5)"),
    "boundary": (gauge(WILSON).replace("PERIODIC", "SCHROEDINGER_NONPERT"),
                 "boundary SCHROEDINGER_NONPERT_GAUGEBC"),
    "twisted": (gauge(WILSON).replace("PERIODIC_GAUGEBC</Name>",
                                      "SIMPLE_GAUGEBC</Name><boundary>1 1 1 -1</boundary>"),
                "boundary SIMPLE_GAUGEBC"),
    "smeared": (gauge(f"{WILSON}<GaugeState><Name>STOUT_GAUGE_STATE</Name></GaugeState>"),
                "action of smeared links (STOUT_GAUGE_STATE)"),
    "planes": (gauge(f"<Name>PLAQ_GAUGEACT</Name><coeffs>{TABLE.replace('5.1', '5.2', 1)}"
                     "</coeffs>"), "action PLAQ_GAUGEACT with couplings that are not ours"),
    "no u0": (gauge("<Name>LW_TREE_GAUGEACT</Name><beta>7.5</beta>"),
              "action LW_TREE_GAUGEACT with couplings that are not ours"),
    "no beta": (gauge("<Name>WILSON_GAUGEACT</Name>"),
                "action WILSON_GAUGEACT with couplings that are not ours"),
    "parallelogram": (gauge(WILSON) + gauge("<Name>PG_GAUGEACT</Name><coeff>-0.1</coeff>"),
                      "action PG_GAUGEACT"),
    "temporal": (gauge("<Name>TEMPORAL_WILSON_GAUGEACT</Name><beta>6</beta>"),
                 "action TEMPORAL_WILSON_GAUGEACT"),
    "no time rectangles": (gauge(WILSON) + gauge(
        "<Name>RECT_GAUGEACT</Name><coeff>1</coeff><no_temporal_2link>true</no_temporal_2link>"),
        "action RECT_GAUGEACT with couplings that are not ours"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_we_do_not_have_is_named(name):
    xml, words = OTHERS[name]
    found = chroma.read(hmc(xml), "record")
    assert found.other == words and found.action is None


def test_quarks_are_named_and_measurements_are_not_the_theory():
    assert chroma.read(hmc(QUARKS, gauge(WILSON)), "r").quarks == (
        "TWO_FLAVOR_EOPREC_CONSTDET_FERM_MONOMIAL",)
    measured = ("<MCControl><InlineMeasurements><elem><GaugeAction><Name>RG_GAUGEACT</Name>"
                "<beta>1</beta></GaugeAction><GaugeBC><Name>SCHROEDINGER_TRIVIAL_GAUGEBC</Name>"
                "</GaugeBC></elem></InlineMeasurements></MCControl>")
    found = chroma.read(hmc(gauge(WILSON)).replace("<MCControl/>", measured), "r")
    assert (found.action, found.beta, found.quarks, found.other) == ("wilson", 5.7, (), None)


def test_only_what_the_hamiltonian_adds_up_counts():
    named = [f"<NamedObject><monomial_id>{n}</monomial_id></NamedObject>" for n in "ab"]
    xml = hmc(gauge(WILSON, named[0]), gauge("<Name>RG_GAUGEACT</Name><beta>1</beta><c1>0</c1>",
                                             named[1]),
              rest="<Hamiltonian><monomial_ids><elem>a</elem></monomial_ids></Hamiltonian>")
    assert chroma.read(xml, "r").beta == 5.7


def test_a_heat_bath_and_a_broken_record():
    bath = f"<HB/><ChromaHB><HBItr><GaugeAction>{WILSON}</GaugeAction></HBItr></ChromaHB>"
    assert chroma.read(f"<a>{bath}</a>", "r").beta == 5.7
    whole = hmc(gauge(WILSON))
    cut = whole[: whole.index("</Monomials>")]
    assert chroma.read(cut, "r").beta == 5.7
    nested = whole.replace("<MCControl/>", '<MCControl><?xml version="1.0"?><a/></MCControl>')
    assert chroma.read(nested, "r").beta == 5.7
    assert not chroma.states("<a>nothing</a>")
