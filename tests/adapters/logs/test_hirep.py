"""HiRep's logs: what one of its runs printed of a file of its own, and other programs' lines."""

import math

import pytest

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.logs.table import read_log
from l2hmc_bridge.analysis.validation import compare
from l2hmc_bridge.observables.plan import Plan, records
from tests.support.places import DATA

NAME = "run2_4x4x2x6nc3b6.000000an1.000000n3"
LOG = DATA / "hirep_run2.log"
HEAD = "[GEOMETRY_INIT][0]Global size is 10x4x6x8\n"
FLOW = "[WILSONFLOW][0]WF (t,E,t2*E,Esym,t2*Esym,TC) = {} {} 0.0e+00 {} 0.0e+00 {}\n"


def parsed(tmp_path, text):
    (tmp_path / "log").write_text(text)
    return read_log(tmp_path / "log")


def test_its_numbers_are_ours_to_the_last_digits():
    """Plaquette, Polyakov loop, clover energy, charge, and its own Runge-Kutta of the flow."""
    log = read_log(LOG)
    assert [one.trajectory for one in log.references] == [1, 2, 3] and not log.remarks
    one = log.references[2]
    assert one.label == NAME and one.lattice == (4, 2, 6, 4) and one.flow_step == 0.01
    configuration = files.read(DATA / NAME)
    plan = Plan(flow_time=0.4, flow_step=0.01, flow_every=0.1)
    (record,) = records(configuration.links, plan)
    record |= {"path": NAME, "lattice": [4, 2, 6, 4]}
    checks = compare([record], [one])
    assert len(checks) == 18 and all(check.passed for check in checks)
    assert max(check.tolerance for check in checks) < 2e-10
    assert abs(record["topological_charge"] - 0.0192329014681155) < 1e-12  # there with a minus
    record["plaquette"] += 1e-9
    assert sum(not check.passed for check in compare([record], [one])) == 1


def test_a_run_of_hmc(tmp_path):
    log = parsed(tmp_path, HEAD + (
        "[IO][0]Configuration [cnfg/a_n7] read [0 sec 9 usec] Plaquette=5.812345e-01\n"
        "[MAIN][0]Initial plaquette: 5.8123451234567890e-01\n"
        "[MAIN][0]Trajectory #8...\n"
        "[MAIN][0]Trajectory #8: generated in [1 sec 2 usec]\n"
        "[IO][0]Configuration [cnfg/a_n8] saved [0 sec 1 usec]\n"
        "[MAIN][0]Plaquette: 5.9e-01, Smeared: 8.0e-01\n"
        "[MAIN][0]Trajectory #9...\n"))
    start, first = log.references
    assert (start.path, start.lattice) == ("cnfg/a_n7", (4, 6, 8, 10))
    assert start.values["plaquette"].number == 0.58123451234567890
    assert (first.trajectory, first.path) == (8, "cnfg/a_n8")
    assert first.values["plaquette"].number == 0.59 and log.ignored == ["smeared plaquette"]


def test_a_program_that_measures_files(tmp_path):
    text = HEAD + "[MAIN][0]WF initial epsilon: 2.000000e-02\n" + "".join(
        f"[MAIN][0]Configuration from cnfg/{name}\n"
        f"[IO][0]Configuration [cnfg/{name}] read [0 sec 9 usec] Plaquette=5.8{name[-1]}e-01\n"
        + FLOW.format("0.00000000e+00", "14.5", "2.0", "0.25")
        + FLOW.format("1.00000000e+00", "7.2", "1.0", "-0.5") for name in ("a_n1", "a_n2"))
    log = parsed(tmp_path, text)
    assert [one.path for one in log.references] == ["cnfg/a_n1", "cnfg/a_n2"]
    one = log.references[1]
    assert one.values["plaquette"].number == 0.582
    assert one.values["topological_charge"].number == -0.25
    assert one.flow[1.0]["topological_charge"].number == 0.5 and one.flow_step == 0.02
    assert one.flow[1.0]["plaquette"].number == pytest.approx(1 - 7.2 / 36)
    assert one.flow[1.0]["plaquette"].tolerance == pytest.approx(0.1 / 36, rel=1e-6)
    diverged = parsed(tmp_path, text.replace("14.5", "nan")).references[0]
    assert math.isnan(diverged.values["energy_density_plaquette"].number)


@pytest.mark.parametrize("number, named", [(0, "flow by Euler's steps"),
                                           (2, "flow by adaptive steps")])
def test_what_is_not_ours_is_named(number, named, tmp_path):
    kind = "[INIT WF][0]WF integrator type: {} (0=Euler 1=3rd order Runge-Kutta 2=Adaptive)\n"
    log = parsed(tmp_path, HEAD + kind.format(number) + "[MAIN][0]Trajectory #1...\n"
                 + FLOW.format("0.0e+00", "14.5", "2.0", "0.1")
                 + FLOW.format("1.0e-01", "7.2", "1.0", "0.1")
                 + "[WILSONFLOW][0]WF avg (t,Etime,Espace) = 0.1 2.0 3.0\n")
    (one,) = log.references
    assert one.values and not one.flow
    assert log.ignored == [named, "flow by time slices"]
