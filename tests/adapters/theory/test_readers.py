"""What tmLQCD, MILC, nissa, openQCD and HiRep, labels and names tell of a theory, file by file."""

import math

import pytest

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.formats.lime.markup import tree
from l2hmc_bridge.adapters.theory import hirep, labels, milc, nissa, openqcd, table, tmlqcd
from l2hmc_bridge.errors import FormatError
from l2hmc_bridge.fields.configuration import Configuration
from tests.support import dialects, samples
from tests.support.theories import EXTENTS, tm


@pytest.mark.parametrize("c1, name", [(0.0, "wilson"), (-1 / 12, "symanzik"), (-0.331, "iwasaki"),
                                      (-1.4088, "dbw2"), (-0.2, "c1=-0.2")])
def test_tmlqcd_says_c2_rec(tmp_path, c1, name):
    found = files.read(tm(tmp_path / "conf.0100", c1, 4.05)).meta["theory"]
    assert (found.action, found.beta, found.quarks) == (name, 4.05, ())


@pytest.mark.parametrize("given, told", [
    ({"kappa": 0.1373, "mu": 0.006}, ("kappa = 0.1373", "mu = 0.006")),
    ({"kappa": 0.16}, ("kappa = 0.16",)), ({"mu": 0.1}, ("mu = 0.1",)),
    ({"mubar": 0.12}, ("mubar = 0.12",)),
])
def test_tmlqcd_says_quarks(tmp_path, given, told):
    assert files.header(tm(tmp_path / "conf.0100", -0.331, 2.1, **given))["theory"].quarks == told


def test_tmlqcd_in_xml_and_one_entry_a_line(tmp_path):
    xml = ("<xlf-info><trajectory>100</trajectory><beta>2.1</beta><kappa>0.137</kappa>"
           "<mu>0.006</mu><c2_rec>-0.331000</c2_rec></xlf-info>")
    found = files.header(tm(tmp_path / "a", text=xml))
    assert (found["theory"].action, found["trajectory"]) == ("iwasaki", 100)
    assert found["theory"].quarks == ("kappa = 0.137", "mu = 0.006")
    lines = ("plaquette = 5.0e-01\n trajectory nr = 7\n beta = 5.3\n kappa = 0.000000000000\n"
             " 2*kappa*mu = nan\n c2_rec = -0.083333\n")
    found = files.header(tm(tmp_path / "b", text=lines))["theory"]
    assert (found.action, found.beta, found.quarks) == ("symanzik", 5.3, ())
    assert not tmlqcd.read({"beta": "6"}, "r")


MILC = {"action.description": "Pure gauge", "gauge.description": "One plaquette gauge action.",
        "gauge.beta11": "6.000000"}


@pytest.mark.parametrize("changes, action, beta, other, quarks", [
    ({}, "wilson", 6.0, None, ()),
    ({"gauge.description": "Single plaquette action"}, "wilson", 6.0, None, ()),
    ({"gauge.description": "Symanzik 1x1 + 1x2 action", "gauge.tadpole.u0": "1.0"}, "symanzik",
     3.6, None, ()),
    ({"gauge.description": "Symanzik 1x1 + 1x2 + 1x1x1 action"}, None, None,
     "the action 'Symanzik 1x1 + 1x2 + 1x1x1 action'", ()),
    ({"action.description": "Pure gauge Schroedinger functional",
      "gauge.description": "One plaqette action with bc_flag 2"}, None, None,
     "Schroedinger functional (Pure gauge Schroedinger functional)", ()),
    ({"action.description": "Gauge plus fermion", "quark.flavors1": "2", "quark.mass1": "0.01"},
     "wilson", 6.0, None, ("quark.flavors1 = 2", "quark.mass1 = 0.01")),
    ({"action.description": "Gauge plus fermion"}, "wilson", 6.0, None, ("Gauge plus fermion",)),
    ({"quark.dyn_mass[2]": "0.01 0.05"}, "wilson", 6.0, None, ("quark.dyn_mass[2] = 0.01 0.05",)),
    ({"quark.flavors": "0", "quark.mass": "0.1"}, "wilson", 6.0, None, ()),
])
def test_milc(changes, action, beta, other, quarks):
    found = milc.read({**MILC, **changes}, "r")
    assert (found.action, found.other, found.quarks) == (action, other, quarks)
    assert found.beta is beta or math.isclose(found.beta, beta)


def test_milc_tadpole_is_that_of_chroma():
    found = milc.read({**MILC, "gauge.description": "Symanzik 1x1 + 1x2 action",
                       "gauge.tadpole.u0": "0.87"}, "r")
    assert math.isclose(found.c1, -1 / (20 * 0.87**2 - 8))
    assert math.isclose(found.beta, 6 * (1 - 0.4 / 0.87**2))


def test_milc_beside_the_file(tmp_path):
    path = tmp_path / "l2464f211b600.100"
    files.write(path, samples.configuration(), "milc")
    info = path.with_name(path.name + ".info")
    info.write_text('gauge.description = "Symanzik 1x1 + 1x2 + 1x1x1 action"\n'
                    'action.description = "Gauge plus fermion (improved)"\nquark.mass1 = 0.01\n')
    assert files.header(path)["theory"].other.endswith("1x1x1 action'")
    info.write_text('action.description "Pure gauge Schroedinger functional"\n'
                    'gauge.description "One plaqette action with bc_flag 2"\n')  # as in 1999
    assert "Schroedinger functional" in files.header(path)["theory"].other
    info.unlink()
    assert files.header(path)["theory"].quarks == ("name 'l2464f211b600.100'",)


NISSA = 'Geometry\n T\t\t=\t8\n\nTheory\n GaugeAction\t=\ttlSym\n Beta\t\t=\t3.85\n'


def test_nissa(tmp_path):
    found = nissa.read(NISSA, "r")
    assert (found.action, found.beta, found.quarks) == ("symanzik", 3.85, ())
    found = nissa.read(NISSA + 'Quark\t\t=\t"up"\n Mass\t\t=\t0.05\n', "r")
    assert found.quarks == ("Quark up",)
    assert (nissa.read("Geometry\n", "r").action, nissa.read("", "r").beta) == ("wilson", 6.0)
    assert nissa.read(" GaugeAction = Unknown\n", "r").other == "action Unknown"
    assert "topological" in nissa.read(NISSA + "TopoPotential 2\n", "r").other
    links = samples.smooth_links(extents=EXTENTS)
    path = dialects.lime(
        tmp_path / "conf", dialects.record("MD_traj", "120\0"),
        dialects.record("InputPars", "\n" + NISSA),
        dialects.record("ildg-format", dialects.ildg_format(links)),
        dialects.record("ildg-binary-data", samples.payload(links)))
    meta = files.header(path)
    assert (meta["theory"].action, meta["trajectory"], meta["dialect"]) == (
        "symanzik", 120, "nissa")


OPENQCD = ["Simulation of the SU(3) gauge theory\n", "Lattice parameters:\n", "beta = 3.8\n",
           "c0 = 3.648, c1 = -0.331\n", "Periodic boundary conditions\n"]


@pytest.mark.parametrize("stem, action, beta, other, quarks", [
    ("run1_4x8x4x6nc3b6.000000an1.000000", "wilson", 6.0, None, ()),
    ("run1_4x8x4x6nc3b6.100000", "wilson", 6.1, None, ()),
    ("run1_4x8x4x6nc3b6.100000an2.464000", None, 6.1, "anisotropy 2.464", ()),
    ("a_8x8x8x8nc3rFUNnf2b5.600000m-0.100000", None, 5.6, None, ("nf = 2 (FUN), m = -0.1",)),
    ("a_8x8x8x8nc3rFUNnf0b5.600000m0.100000", None, 5.6, None, ()),
    ("a_8x8x8x8nc2b2.200000an1.000000", None, None, None, None), ("run", None, None, None, None),
])
def test_hirep_by_the_names_of_its_files(stem, action, beta, other, quarks):
    found = hirep.read(stem, "r")
    assert (found.action, found.beta, found.other, found.quarks) == (action, beta, other, quarks)


def test_openqcd():
    found = openqcd.read(OPENQCD, "log")
    assert (found.action, found.beta, found.quarks, found.other) == ("iwasaki", 3.8, (), None)
    found = openqcd.read(["Simulation of QCD with Wilson quarks\n", "kappa[0] = 0.1365\n",
                          "Open-SF boundary conditions\n"], "log")
    assert found.other == "Open-SF boundary conditions"
    assert found.quarks == ("Simulation of QCD with Wilson quarks", "kappa[0] = 0.1365")
    assert not openqcd.read(["Trajectory no 4\n"], "log")
    with pytest.raises(FormatError, match="log: expected a number for beta"):
        openqcd.read(["beta = x\n"], "log")


@pytest.mark.parametrize("text, quarks, c1", [
    ("24^3x64 2+1f DWF Iwasaki", True, -0.331), ("Nf=2 clover", True, None),
    ("mc://ldg/etmc/tmqcd_nf2/b3.9", True, None), ("l328f21b6285m0009875m0790a.13", True, None),
    ("lat.sample.hisq.f211b670.l6666", True, None), ("quenched DBW2", False, -1.4088),
    ("l26f0b570.400", False, None), ("cfg_120", None, None), ("my ensemble", None, None),
    ("beta 6.0 Wilson", None, None), ("stream_1+", None, None), ("run2+1", None, None),
])
def test_labels(text, quarks, c1):
    found = labels.read([("label", text)])
    assert (found.quarks and bool(found.quarks), found.c1) == (quarks or found.quarks, c1)
    assert (found.quarks is None) == (quarks is None)
    assert found.hinted


def test_a_label_counts_only_where_no_parameters_do(tmp_path):
    path = tm(tmp_path / "iwasaki_nf2.lime")
    found = files.header(path)["theory"]
    assert (found.action, found.quarks, found.hinted) == ("wilson", (), False)
    meta = {"ensemble_label": "DBW2", "info": {}, "header": {"BOUNDARY_4": "OPEN"}}
    assert table.stated(meta, "x").other == "boundary OPEN (BOUNDARY_4)"
    meta["header"] = {"BOUNDARY_4": "ANTIPERIODIC"}
    assert table.stated(meta, "x").quarks == ("BOUNDARY_4 = ANTIPERIODIC",)
    assert table.stated({"ensemble_label": "DWF", "ensemble_id": "UKQCD"}, "x").quarks is None


@pytest.mark.parametrize("case", ["ildg", "scidac", "nersc", "hdf5"])
def test_every_conversion_keeps_the_theory(case, tmp_path):
    read = files.read(tm(tmp_path / "conf.0100", -0.2, 2.5, kappa=0.15))
    written = samples.written(samples.CASES[case], tmp_path, read)
    meta = files.header(written)
    assert (meta["theory"].action, meta["theory"].beta) == ("c1=-0.2", 2.5)
    assert meta["theory"].quarks[0].replace(":", "=") in ("kappa = 0.15", "kappa  0.15")
    again = files.read(written)
    files.write(tmp_path / "again.ildg", Configuration(again.links, again.meta))
    assert files.header(tmp_path / "again.ildg")["theory"].action == "c1=-0.2"


def test_a_record_that_breaks_says_where():
    root, broken = tree(b"<a><b>1</b><c>")
    assert root.word("a", "b") == "1" and "line 1" in broken and "inside <c>" in broken
    root, broken = tree(b'<a><?xml version="1.0"?><b>1</b></a>')
    assert root.word("a", "b") == "1" and broken is None
    with pytest.raises(FormatError, match="at most 64 levels"):
        tree(b"<a>" * 70)
