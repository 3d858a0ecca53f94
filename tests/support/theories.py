"""Configurations that say what they belong to, as tmLQCD and Chroma write them."""

from pathlib import Path

from tests.support import dialects, samples

EXTENTS = (4, 2, 6, 2)  # t, x, y, z
XLF = """plaquette = {plaquette:14.12f}
 trajectory nr = 100
 beta = {beta:.12f}, kappa = {kappa:.12f}, mu = {mu:.12f}, c2_rec = {c1:f}
 time = 1239041914
 hmcversion = 5.2.0
 mubar = {mubar:.12f}
 epsilonbar = 0.000000000000
 date = Mon Apr  6 20:18:34 2009
"""


def tm(path: Path, c1=0.0, beta=6.0, kappa=0.0, mu=0.0, mubar=0.0, text=None,
       extents=EXTENTS) -> Path:
    """A configuration as tmLQCD writes it."""
    links = samples.smooth_links(extents=extents)
    data = samples.payload(links)
    plaquette = dialects.independent.plaquette(links[0].numpy())
    xlf = text or XLF.format(plaquette=plaquette, beta=beta, kappa=kappa, mu=mu, c1=c1, mubar=mubar)
    return dialects.lime(
        path, dialects.record("xlf-info", xlf, dialects.MB | dialects.ME),
        dialects.record("ildg-format", dialects.ildg_format(links), dialects.MB),
        dialects.record("ildg-binary-data", data),
        dialects.record("scidac-checksum", dialects.checksum(data, 576), dialects.ME))


def chroma(path: Path, record: str, extents=EXTENTS) -> Path:
    """A configuration as Chroma writes it, with this record XML."""
    links = samples.smooth_links(extents=extents)
    data = samples.payload(links)
    nx, ny, nz, nt = dialects.xyzt(links)
    return dialects.lime(
        path, dialects.record("scidac-private-file-xml", dialects.FILE.format(nx, ny, nz, nt),
                              dialects.MB),
        dialects.record("scidac-file-xml", "<HMC/>", dialects.ME),
        dialects.record("scidac-private-record-xml", dialects.private(), dialects.MB),
        dialects.record("scidac-record-xml", record),
        dialects.record("ildg-format", dialects.ildg_format(links)),
        dialects.record("ildg-binary-data", data),
        dialects.record("scidac-checksum", dialects.checksum(data, 576), dialects.ME))


def gauge(inner: str, extra: str = "") -> str:
    return (f"<elem><Name>GAUGE_MONOMIAL</Name><GaugeAction>{inner}<GaugeBC><Name>PERIODIC_GAUGEBC"
            f"</Name></GaugeBC></GaugeAction>{extra}</elem>")


def hmc(*monomials: str, rest: str = "") -> str:
    return (f"<Params><MCControl/><HMCTrj><nrow>4 4 4 8</nrow><Monomials>{''.join(monomials)}"
            f"</Monomials>{rest}</HMCTrj></Params>")


WILSON = "<Name>WILSON_GAUGEACT</Name><beta>5.7</beta>"
QUARKS = ("<elem><Name>TWO_FLAVOR_EOPREC_CONSTDET_FERM_MONOMIAL</Name><FermionAction><FermAct>"
          "CLOVER</FermAct></FermionAction></elem>")
