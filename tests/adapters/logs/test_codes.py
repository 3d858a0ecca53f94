"""Logs of tmLQCD, QEX, nissa and Grid, written here of a field in the layout of these codes."""

import pytest

from l2hmc_bridge.adapters.logs.table import read_log
from l2hmc_bridge.analysis.validation import compare
from l2hmc_bridge.observables.plan import Plan, records
from tests.support import samples

EXTENTS = (4, 2, 6, 2)  # t, x, y, z


@pytest.fixture(scope="module")
def measured() -> list[dict]:
    """Two configurations, numbers 7 and 8."""
    found = []
    for number in (7, 8):
        links = samples.smooth_links(number, EXTENTS)
        (record,) = records(links, Plan(traceless=False))
        found.append({**record, "path": f"cfg_{number}", "trajectory": number,
                      "lattice": [2, 6, 2, 4]})
    return found


def tmlqcd(rows, scale=1.0) -> str:
    return "".join(
        f"{row['trajectory']:08d} {scale * row['plaquette']:14.12f} {-0.381435457540:14.12f} "
        f"1.464385e+00 109 2059 239 1432 1 4.764781e+00 {row['rectangle']:e}\n" for row in rows)


def qex(rows, scale=1.0) -> str:
    text = ("gaugefile: \nlat: 2 6 2 4\nbeta: 6.0\n"
            "[0.1 s] loaded gauge from file: start.lime secs: 1\n"
            "MEASplaq ss: 1.0  st: 1.0  tot: 1.0\n")
    for row in rows:
        loop = row["polyakov_loops"]["t"]
        text += (f"[0.150 s] Begin H: 18451.47947589929  Sg: 0.0  T: -103.1218458498552\n"
                 f"[3.337 s] End H: 18452.64279359589  Sg: 18431.57360855611  T: -1.2\n"
                 "ACCEPT:  dH: 1.163317696602462  exp(-dH): 0.3124478522275143  r: 0.06\n"
                 "unitary deviation avg: 4.496055501880564e-16 max: 1.365960688947334e-15\n"
                 "MEASpbp mass 0.1 : 0.2117714665683549\n"
                 f"MEASplaq ss: {row['plaquette_spatial']!r}  st: {row['plaquette_temporal']!r}  "
                 f"tot: {scale * row['plaquette']!r}\n"
                 f"MEASploop spatial: 0.1593 0.0041 temporal: {loop[0]!r} {loop[1]!r}\n"
                 f"[3.461 s] traj {row['trajectory']} secs: 3.402171562\n")
    return text


def nissa(rows, scale=1.0) -> str:
    return "".join(f"{row['trajectory']}\t1\t{scale * row['plaquette_temporal']:16.16g}\t"
                   f"{row['plaquette_spatial']:16.16g}\n" for row in rows)


def nissa_improved(rows, scale=1.0) -> str:
    return "".join(f"{row['trajectory']}\t1\t0\t{scale * row['plaquette']:16.16g}\t"
                   f"{row['rectangle']:16.16g}\t {1.25:16.16g}\n"
                   f"{row['trajectory']}\t1\t10\t{0.98:16.16g}\t{0.96:16.16g}\t{0.01:16.16g}\n"
                   for row in rows)


def grid(rows, scale=1.0) -> str:
    head = "Grid : Message : 0.1 s : "
    text = (f"{head}\tFull Dimensions    : [2 6 2 4]\n")
    for row in rows:
        loop, n = row["polyakov_loops"]["t"], row["trajectory"]
        text += (f"Grid : HMC : 1.2 s : -- # Trajectory = {n - 1}\n"
                 "Grid : HMC : 1.5 s : Total H after trajectory  = 31.1  dH = -0.0123\n"
                 "Grid : HMC : 1.6 s : Metropolis_test -- ACCEPTED\n"
                 f"{head}Unsmeared plaquette\n"
                 f"\x1b[0;39m{head}Plaquette: [ {n} ] {scale * row['plaquette']:.16g}\n"
                 f"{head}Smeared plaquette\n{head}Plaquette: [ {n} ] 0.93\n"
                 f"{head}Polyakov Loop: [ {n} ] ({loop[0]:.16g},{loop[1]:.16g})\n"
                 f"{head}Topological Charge: [ {n} ] {row['topological_charge']:.16g}\n")
    return text


CODES = {"tmlqcd": (tmlqcd, 2, "solver iterations"), "qex": (qex, 5, "MEASpbp"),
         "nissa": (nissa, 3, "accepted"), "nissa improved": (nissa_improved, 2, "smoothed"),
         "grid": (grid, 4, "plaquette of the smeared field")}


@pytest.mark.parametrize("code", CODES)
def test_what_a_code_prints_is_compared(code, measured, tmp_path):
    write, count, ignored = CODES[code]
    path = tmp_path / "some.log"
    path.write_text(write(measured))
    log = read_log(path)
    checks = compare(measured, log.references, extra_allowed=True)
    assert len(checks) == 2 * count, [check.name for check in checks]
    assert all(check.passed for check in checks), checks
    assert any(name.startswith(ignored) for name in log.ignored)
    path.write_text(write(measured, 1 + 1e-8))
    assert not all(one.passed for one in compare(measured, read_log(path).references, True))


def test_tmlqcd_output_that_is_appended_to(measured, tmp_path):
    """A trajectory that was repeated after a crash counts once; a cut line is said."""
    path = tmp_path / "output.data"
    path.write_text(tmlqcd(measured, 0.5) + tmlqcd(measured) + "00000009 0.587")
    log = read_log(path)
    assert [one.trajectory for one in log.references] == [7, 8]
    assert all(check.passed for check in compare(measured, log.references))
    assert log.remarks == ["1 lines are none of a trajectory"]
    pure = "00000000 0.587003384418 0.150813205437 8.600083e-01 1 1.796150e+01\n"
    path.write_text(pure)  # no monomial with a solver, no rectangle
    (one,) = read_log(path).references
    assert (one.trajectory, set(one.values)) == (0, {"plaquette"})


def test_qex_start_and_a_log_that_ends_within_a_trajectory(measured, tmp_path):
    path = tmp_path / "qex.log"
    text = qex(measured)
    path.write_text(text + "MEASplaq ss: 0.5  st: 0.5  tot: 0.5\n")
    log = read_log(path)
    assert [(one.path, one.trajectory) for one in log.references] == [
        ("start.lime", None), (None, 7), (None, 8)]
    assert log.references[0].values["plaquette"].number == 1.0
    assert log.references[1].lattice == (2, 6, 2, 4)
    assert log.remarks == ["the log ends within a trajectory, which is left out"]


def test_nissa_reads_and_prints(measured, tmp_path):
    path = tmp_path / "out"
    path.write_text("Reading conf from file: run/conf.0007\n"
                    f"Plaquette of read conf: {measured[0]['plaquette']:16.16g}\n"
                    "Deviation from unitarity: 1e-16 average, 1e-15 max\n"
                    f"plaq: {measured[0]['plaquette']:+16.16g}\n")
    (one,) = read_log(path).references
    assert one.label == "conf.0007"
    assert abs(one.values["plaquette"].number - measured[0]["plaquette"]) < 1e-15


def test_grid_charge_of_the_flowed_field_is_not_ours(measured, tmp_path):
    path = tmp_path / "grid.log"
    path.write_text(grid(measured[:1]).replace(
        "Grid : Message : 0.1 s : Topological", "Grid : Message : 0.1 s : T0                : [ 7 ]"
        " 1.25\nGrid : Message : 0.1 s : Topological"))
    log = read_log(path)
    assert "topological_charge" not in log.references[0].values
    assert {"T0", "Topological Charge of the flowed field"} <= set(log.ignored)
    assert log.references[0].lattice == (2, 6, 2, 4) and log.references[0].traceless is False
