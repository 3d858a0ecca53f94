"""Logs and tables of other codes, in the layout these codes print."""

import json
import struct

import numpy as np
import pytest

from l2hmc_bridge.adapters.logs.table import read_log
from l2hmc_bridge.analysis.validation import compare
from l2hmc_bridge.errors import FormatError
from l2hmc_bridge.fields import loops, su3
from l2hmc_bridge.observables.plan import Plan, records
from tests.support.fields import rough_links

MILC = """SU3 with flow
MIMD version 7
nx 4
ny 4
nz 4
nt 8
set staple to wilson
stepsize 0.1
Restored binary gauge configuration serially from file ../samples/{name}
CHECK PLAQ: 1.723748e+00 1.690586e+00
CHECK NERSC LINKTR: 6.921659e-02 CKSUM: b3be9b3b
#LABEL time Et Es charge
WFLOW 0 1.05787 1.03094 0.0955429
WFLOW 0.1 0.790042 0.76505 0.0389772
RUNNING COMPLETED
"""
MILC_RUN = """MIMD version 7
traj_between_meas 5
CHECK PLAQ: 3.0000000000000000e+00 3.0000000000000000e+00
GMES 4.158008e-01 2.999524e-02 9.990000e+01 1.847285e+00 1.843035e+00
GMES 9.264033e-02 6.448531e-02 9.990000e+01 1.801442e+00 1.790932e+00
Saved gauge configuration serially to binary file out.5
CHECK PLAQ: 1.8014420000000000e+00 1.7909320000000000e+00
"""
GPT = """GPT :       0.511024 s : Reading ckpoint_lat.120
GPT :       0.600000 s : Plaquette = 0.5962355196784478
GPT :       0.700000 s : Q = -0.0023707157922517505
GPT :       1.000000 s : t = 0.2, E = 0.9021758005914532, Q = 0.021600227315703022
                       : a second line of a message, t = 9
GPT :       2.000000 s : Trajectory 121, P=0.59 (integration 0.61), dH=0.1
GPT :       3.000000 s : Trajectory 122, P=0.6
other output, plaquette = 7
"""
CHROMA = """<?xml version="1.0"?>
<purgaug><ProgramInfo><Setgeom><latt_size>4 6 8 10</latt_size></Setgeom></ProgramInfo>
<doHB>{updates}</doHB></purgaug>
"""
UPDATE = """<elem><Plaquette><update_no>{n}</update_no><w_plaq>{p}</w_plaq><s_plaq>0.6</s_plaq>
<plane_03_plaq>0.61</plane_03_plaq><link>0.01</link></Plaquette>
<QTop><update_no>{n}</update_no><k5>{k5}</k5><qtop>0.25</qtop></QTop></elem>"""


def parsed(tmp_path, name, text, **options):
    path = tmp_path / name
    path.write_text(text)
    return read_log(path, **options).references


def test_milc_flow_log(tmp_path):
    (one,) = parsed(tmp_path, "log", MILC.format(name="lat.sample.l4448"))
    assert one.label == "lat.sample.l4448" and one.lattice == (4, 4, 4, 8)
    assert one.flow_step == 0.1 and one.flow_kernel == "wilson" and one.traceless
    # MILC's plaquettes are 3 on the unit field.
    assert one.values["plaquette_spatial"].number == pytest.approx(1.723748 / 3)
    assert one.values["plaquette"].number == pytest.approx((1.723748 + 1.690586) / 6)
    assert 1e-7 < one.values["plaquette"].tolerance < 1e-6
    assert one.flow[0.1]["energy_density"].number == pytest.approx(0.790042 + 0.76505)
    assert one.flow[0.1]["topological_charge"].number == 0.0389772


def test_milc_digits_that_g_drops_are_known(tmp_path):
    """%g prints 0.790040 as 0.79004 and 1.00000 as 1: six digits all the same."""
    text = MILC.format(name="a").replace("0.790042 0.76505 0.0389772", "0.79004 1 0.5")
    (one,) = parsed(tmp_path, "log", text)
    assert one.flow[0.1]["energy_density"].tolerance < 1.2e-5
    assert one.flow[0.1]["topological_charge"].tolerance < 1.1e-6


def test_milc_log_of_a_diverged_run_agrees_with_nothing(tmp_path):
    (one,) = parsed(tmp_path, "log", MILC.format(name="a").replace("1.723748e+00", "nan"))
    assert np.isnan(one.values["plaquette_spatial"].number)


def test_nan_in_logs_of_gpt_and_chroma_is_kept(tmp_path):
    first, *_ = parsed(tmp_path, "log", GPT.replace("0.5962355196784478", "nan"))
    assert np.isnan(first.values["plaquette"].number)
    text = CHROMA.format(updates=UPDATE.format(n=1, p="-nan", k5=0))
    (one,) = parsed(tmp_path, "a.xml", text)
    assert np.isnan(one.values["plaquette"].number)


def test_milc_run(tmp_path):
    start, first, second, saved = parsed(tmp_path, "log", MILC_RUN)
    assert start.path is None and start.values["plaquette"].number == 1.0
    assert (first.trajectory, second.trajectory) == (5, 10)
    assert first.values["polyakov_loop_t_real"].number == pytest.approx(0.4158008 / 3)
    assert saved.path == "out.5" and saved.values["plaquette"].tolerance < 1e-11


def test_gpt_log(tmp_path):
    read, first, second = parsed(tmp_path, "log", GPT)
    assert read.path == "ckpoint_lat.120" and read.traceless is False
    assert read.values["plaquette"].number == 0.5962355196784478
    assert read.values["topological_charge"].number == -0.0023707157922517505
    assert read.flow[0.2]["energy_density"].number == 0.9021758005914532
    assert list(read.flow) == [0.2]
    assert (first.trajectory, first.values["plaquette"].number) == (121, 0.59)
    assert (second.trajectory, second.values["plaquette"].number) == (122, 0.6)


def test_chroma_xml(tmp_path):
    updates = UPDATE.format(n=1, p=0.59, k5=0) + UPDATE.format(n=2, p=0.58, k5=0.1)
    first, second = parsed(tmp_path, "out.xml", CHROMA.format(updates=updates))
    assert (first.trajectory, second.trajectory) == (1, 2)
    assert first.lattice == (4, 6, 8, 10)
    assert first.values["plaquette_tx"].number == 0.61  # mu nu = 0 3 are x, t
    assert second.values["plaquette"].number == 0.58
    assert first.values["topological_charge"].number == 0.25 and first.traceless
    assert "topological_charge" not in second.values  # k5 != 0: another definition


def test_xml_entities_are_refused(tmp_path):
    text = "<!DOCTYPE a [<!ENTITY b 'c'>]><a><w_plaq>0.5</w_plaq></a>"
    with pytest.raises(FormatError, match="DOCTYPE"):
        parsed(tmp_path, "out.xml", text)


def openqcd_file(path, rng, records=6, times=4, slices=8):
    data = rng.normal(size=(records, 3, times, slices))
    with open(path, "wb") as file:
        file.write(struct.pack("<iiid", 5, times - 1, slices, 0.02))
        for number, record in enumerate(data, 1):
            file.write(struct.pack("<i", 4 * number) + record.astype("<f8").tobytes())
    return data


def test_openqcd_flow_file_as_pyerrors_reads_it(tmp_path, capsys):
    from pyerrors.input import openQCD

    data = openqcd_file(tmp_path / "runr1.ms.dat", np.random.default_rng(5))
    found = read_log(tmp_path / "runr1.ms.dat", lattice=(4, 4, 4, 8)).references
    assert [one.trajectory for one in found] == [4, 8, 12, 16, 20, 24]
    assert sorted(found[0].flow) == [0.1, 0.2, 0.3]
    charges = openQCD.read_qtop(str(tmp_path), "run", c=np.sqrt(8 * 0.2) / 4, L=4,
                                files=["runr1.ms.dat"], names=["run|r1"])
    ours = [one.flow[0.2]["topological_charge"].number for one in found]
    theirs = charges.deltas["run|r1"] + charges.r_values["run|r1"]
    assert ours == pytest.approx(-theirs, abs=1e-12)  # openQCD: eps_txyz = +1, ours eps_xyzt
    energies = openQCD._extract_flowed_energy_density(
        str(tmp_path), "run", 1, 0, 4, "ms", files=["runr1.ms.dat"], names=["run|r1"]
    )
    ours = [one.flow[0.1]["energy_density"].number for one in found]
    assert np.mean(ours) == pytest.approx(energies[0.1].value, abs=1e-12)
    assert data[0, 2, 0].sum() == pytest.approx(-found[0].values["topological_charge"].number)
    capsys.readouterr()  # pyerrors prints


def test_openqcd_densities_of_a_field_agree_with_ours(tmp_path, generator):
    """W, Y and Q by the formulas in openQCD's plaq_sum.c, ym_action.c and tcharge.c."""
    links = rough_links(generator)
    field = {pair: loops.field_strength(links, *pair) for pair in loops.PLANES}
    field[3, 1] = -field[1, 3]

    def product(one, other):  # F^a F'^a with F^a = -2 tr(F T^a), tr(T^a T^b) = -1/2 delta
        return -2 * su3.trace(field[one] @ field[other]).real[0].sum((1, 2, 3))

    plaquettes = sum((3 - su3.trace(loops.plaquette_field(links, *pair)).real[0]).sum((1, 2, 3))
                     for pair in loops.PLANES)
    charge = product((0, 1), (2, 3)) + product((0, 2), (3, 1)) + product((0, 3), (1, 2))
    action = sum(product(pair, pair) for pair in loops.PLANES) / 2
    table = np.stack([2 * plaquettes, action, charge / (8 * np.pi**2)])
    nt, *space = links.shape[2:6]
    with open(tmp_path / "a.ms.dat", "wb") as file:
        file.write(struct.pack("<iiid", 1, 0, nt, 0.02) + struct.pack("<i", 7) + table.tobytes())
    found = read_log(tmp_path / "a.ms.dat", lattice=(*space, nt)).references
    (ours,) = records(links, Plan())
    checks = compare([{**ours, "path": "a", "trajectory": 7, "lattice": [*space, nt]}], found)
    assert len(checks) == 3 and abs(ours["topological_charge"]) > 1e-3
    assert all(check.passed for check in checks), checks


def test_openqcd_without_extents_gives_the_charge_alone(tmp_path):
    openqcd_file(tmp_path / "a.ms.dat", np.random.default_rng(5))
    found = read_log(tmp_path / "a.ms.dat").references
    assert set(found[0].flow[0.1]) == {"topological_charge"}
    with pytest.raises(FormatError, match="T = 6"):
        read_log(tmp_path / "a.ms.dat", lattice=(4, 4, 4, 6))


def test_tables(tmp_path):
    row = {"path": "a/cfg_3.ildg", "lattice": [4, 4, 4, 8], "plaquette": 0.123456789012345678,
           "topological_charge_5LI": 0.25, "polyakov_loop": [0.1, 0.2],
           "flow": [{"t": 0.1, "energy_density": 1.5}]}
    (one,) = parsed(tmp_path, "a.json", json.dumps([row]))
    assert one.label == "cfg_3.ildg" and one.values["plaquette"].tolerance < 2e-12
    assert one.values["topological_charge_5li"].number == 0.25
    assert one.values["polyakov_loop_t_imag"].number == 0.2
    assert one.flow[0.1]["energy_density"].number == 1.5
    del row["path"]
    (named,) = parsed(tmp_path, "b.json", json.dumps({"cfg_3.ildg": row}))
    assert named.label == "cfg_3.ildg"
    (row,) = parsed(tmp_path, "c.csv", "trajectory,plaquette,lattice\n7,0.5962,4x4x4x8\n")
    assert row.trajectory == 7 and row.values["plaquette"].tolerance == pytest.approx(1e-4)
    assert row.lattice == (4, 4, 4, 8)


@pytest.mark.parametrize(
    "name, content, word",
    [
        ("a.json", b"{broken", "JSON"),
        ("a.json", b"[1, 2]", "records"),
        ("a.json", b"[{}]", "found none"),
        ("a.txt", b"nothing in here", "no mark"),
        ("a.csv", b"a,b\n1,2,3\n", "fields"),
        ("a.bin", b"\xff\xfe\x00", "other bytes"),
        ("a.log", b"CHECK PLAQ: 1.7 1.7\nWFLOW 0.1 2.3 1.5 0.01 0.2 0.01 0.3\n", "time Et Es"),
        ("a.ms.dat", b"\x00" * 10, "20 bytes"),
        ("a.ms.dat", b"\xff" * 40, "openQCD"),
        ("a.ms.dat", struct.pack("<iiid", 1, 1, 4, 0.1) + b"\x00" * 7, "records of"),
    ],
)
def test_bad_tables_and_logs(tmp_path, name, content, word):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=word) as caught:
        read_log(tmp_path / name)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(FormatError, match="found none"):
        read_log(tmp_path / "absent.json")


def test_a_table_may_be_called_dat(tmp_path):
    (tmp_path / "values.dat").write_text("path,plaquette\ncfg_1.ildg,0.5962355196\n")
    (one,) = read_log(tmp_path / "values.dat").references
    assert one.label == "cfg_1.ildg" and one.values["plaquette"].number == 0.5962355196
