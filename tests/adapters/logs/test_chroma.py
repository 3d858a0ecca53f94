"""Chroma's logs: one configuration a measurement job, one an update; what broke off; other fields.
"""

import pytest

from l2hmc_bridge.adapters.logs.table import read_log
from l2hmc_bridge.analysis.validation import compare
from l2hmc_bridge.errors import FormatError
from l2hmc_bridge.observables.plan import Plan, records
from tests.support import samples
from tests.support.verbs import ildg, run

EXTENTS = (4, 2, 6, 2)  # t, x, y, z
TOP = "<?xml version='1.0'?>\n"


@pytest.fixture(scope="module")
def links():
    return samples.smooth_links(3, EXTENTS)


@pytest.fixture(scope="module")
def measured(links) -> dict:
    (record,) = records(links, Plan())
    return {**record, "path": "cfg_7", "trajectory": 7, "lattice": [2, 6, 2, 4]}


def observables(row, scale=1.0) -> str:
    """What Chroma writes of a field wherever it looks at one (mesplq.cc, polylp.cc)."""
    loops = "".join(f"<elem><re>{row['polyakov_loops'][one][0]!r}</re>"
                    f"<im>{row['polyakov_loops'][one][1]!r}</im></elem>" for one in "xyzt")
    return (f"<Observables><w_plaq>{scale * row['plaquette']!r}</w_plaq>"
            f"<s_plaq>{row['plaquette_spatial']!r}</s_plaq>"
            f"<t_plaq>{row['plaquette_temporal']!r}</t_plaq>"
            f"<link>{row['link_trace']!r}</link></Observables>"
            f"<Polyakov><poly_loop>{loops}</poly_loop></Polyakov>")


def job(row, updates=(0, 0, 4), measurements="", gauge=(), scale=1.0) -> str:
    """A job `chroma`: as many records as `updates`, which mean nothing there."""
    asked = "".join(f"<elem><Name>X</Name><Frequency>1</Frequency><NamedObject><gauge_id>{one}"
                    "</gauge_id></NamedObject></elem>" for one in gauge)
    elements = "".join(f"<elem><MAKE_SOURCE><update_no>{n}</update_no>{observables(row, scale)}"
                       "</MAKE_SOURCE></elem>" for n in updates)
    return (f"{TOP}<chroma><Input><chroma><Param><InlineMeasurements>{asked}</InlineMeasurements>"
            "<nrow>2 6 2 4</nrow></Param><Cfg><cfg_file>run/cfg_7</cfg_file></Cfg></chroma></Input>"
            f"{observables(row)}<InlineObservables>{elements}{measurements}</InlineObservables>"
            "</chroma>")


def test_a_measurement_job_is_one_configuration(measured, tmp_path):
    path = tmp_path / "out.xml"
    path.write_text(job(measured))
    log = read_log(path)
    (one,) = log.references
    assert (one.trajectory, one.label, one.lattice) == (None, "cfg_7", (2, 6, 2, 4))
    checks = compare([measured], log.references)
    assert len(checks) == 12 and all(check.passed for check in checks)
    assert {"polyakov_loop_t_real", "polyakov_loop_x_imag"} <= set(one.values)


def test_a_wrong_polyakov_loop_is_found(measured, tmp_path):
    wrong = {**measured, "polyakov_loops": {**measured["polyakov_loops"], "z": [0.5, 0.3]}}
    path = tmp_path / "out.xml"
    path.write_text(job(wrong))
    checks = compare([measured], read_log(path).references)
    assert {check.name.split(": ")[1] for check in checks if not check.passed} == {
        "polyakov_loop_z_real", "polyakov_loop_z_imag"}


def test_records_of_other_fields_are_named_and_not_compared(measured, tmp_path):
    path = tmp_path / "out.xml"
    fields = ("default_gauge_field", "smeared_field", "default_gauge_field")
    path.write_text(job(measured, updates=(0,), gauge=fields, measurements=(
        f"<elem><PLAQUETTE>{observables(measured, 1.5)}</PLAQUETTE></elem>"
        "<elem><pion><mass>0.1</mass></pion></elem>")))
    log = read_log(path)
    assert all(check.passed for check in compare([measured], log.references))
    assert set(log.ignored) == {"PLAQUETTE of smeared_field", "pion mass"}


def test_two_values_of_one_field_are_said(measured, tmp_path):
    path = tmp_path / "out.xml"
    path.write_text(job(measured, updates=(0, 4), scale=1.01))
    (named,) = read_log(path).ignored
    assert named.startswith("w_plaq a second time (")


def test_a_run_has_its_updates_and_repeats_the_last_one(measured, tmp_path):
    update = "<elem><Update><update_no>{n}</update_no>{seen}</Update></elem>"
    path = tmp_path / "hmc.xml"
    path.write_text(f"{TOP}<hmc><doHMC><MCUpdates>" + "".join(
        update.format(n=n, seen=observables(measured, scale))
        for n, scale in ((6, 1.0), (7, 0.5), (7, 1.0))) + "</MCUpdates></doHMC></hmc>")
    log = read_log(path)
    assert [one.trajectory for one in log.references] == [6, 7]
    rows = [{**measured, "trajectory": n, "path": f"cfg_{n}"} for n in (6, 7)]
    assert all(check.passed for check in compare(rows, log.references))
    assert log.remarks == ["update 7 stands twice: the later one counts"]


@pytest.mark.parametrize("cut", ["</Polyakov><InlineObs", "<update_no>0</upd", "<s_plaq>0."])
def test_what_stands_before_a_break_is_compared(cut, measured, tmp_path):
    path, whole = tmp_path / "out.xml", job(measured)
    path.write_text(whole[:whole.rindex(cut) + len(cut)])
    log = read_log(path)
    assert log.references[0].values["plaquette"].number == measured["plaquette"]
    assert all(check.passed for check in compare([measured], log.references))
    assert log.remarks[0].startswith("the XML breaks off: ")
    assert "line 2" in log.remarks[0]


def test_a_declaration_within_is_no_reason_to_stop(measured, tmp_path):
    path = tmp_path / "out.xml"
    nested = f"<elem><other>\n{TOP}<deep><w_plaq>{measured['plaquette']!r}</w_plaq></deep></other>"
    path.write_text(job(measured, measurements=f"{nested}</elem>"))
    log = read_log(path)
    assert not log.remarks and len(log.references) == 1
    assert all(check.passed for check in compare([measured], log.references))


@pytest.mark.parametrize("text", ["<chroma>", "<w_plaq>", "< <w_plaq>"])
def test_xml_with_nothing_in_it_is_refused(text, tmp_path):
    path = tmp_path / "out.xml"
    path.write_text(text)
    with pytest.raises(FormatError, match=r"out\.xml: expected"):
        read_log(path)


def test_validate_names_what_it_does_not_compare_and_where_the_xml_broke(
        links, measured, tmp_path, capsys):
    text = job(measured, measurements="<elem><pion><mass>0.1</mass></pion></elem>")
    (tmp_path / "out.xml").write_text(text[:-20])
    result = run("validate", ildg(tmp_path / "cfg_7.ildg", links), capsys,
                 "--reference", tmp_path / "out.xml")
    assert result.status == 0, result.said
    assert "not measured here and not compared: pion mass" in result.said
    assert "the XML breaks off" in result.said
