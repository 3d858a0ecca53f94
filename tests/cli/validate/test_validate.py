"""`validate`: stored values, tables and logs of others, stream against stream."""

import json

import h5py
import pytest

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.cli import main
from l2hmc_bridge.fields import su3
from l2hmc_bridge.fields.configuration import Configuration
from l2hmc_bridge.observables import standard as obs
from l2hmc_bridge.stream.baseline import hmc_history
from l2hmc_bridge.systems.actions import GaugeAction
from tests.adapters.logs.test_table import MILC
from tests.conftest import reference_file
from tests.support.fields import rough_links
from tests.support.histories import replaced, synthetic, write_h5
from tests.support.places import DATA

LATTICE = (4, 2, 4, 2)  # t, x, y, z


@pytest.fixture
def configurations(tmp_path, generator):
    """Three files with their links, and the records `measure` makes of them."""
    (tmp_path / "cfg").mkdir()
    fields = {}
    for number in (1, 2, 3):
        path = tmp_path / "cfg" / f"cfg_{number}.ildg"
        links = rough_links(generator, LATTICE)
        files.write(path, Configuration(links, {}))
        fields[path] = links
    return fields


def run(capsys, *arguments):
    status = main(["validate", *map(str, arguments), "--json"])
    captured = capsys.readouterr()
    content = json.loads(captured.out) if captured.out else None
    return status, content, captured.err


def failed(content) -> list[dict]:
    return [check for check in content["checks"] if not check["passed"]]


def table(tmp_path, fields, change=lambda number, row: row, name="table.json"):
    """A reference table of `fields` with `change` applied to each row."""
    rows = []
    for number, (path, links) in enumerate(fields.items()):
        row = {"path": path.name, "plaquette": float(obs.plaquette(links)),
               "topological_charge": float(obs.topological_charge(links)),
               "energy_density": float(obs.energy_density(links)), "lattice": [2, 4, 2, 4]}
        row = change(number, row)
        rows += [row] if row else []
    (tmp_path / name).write_text(json.dumps(rows))
    return tmp_path / name


def test_files_against_themselves(configurations, capsys):
    status, content, _ = run(capsys, *configurations)
    assert status == 0 and len(content["checks"]) >= 9 and not failed(content)
    names = [check["name"] for check in content["checks"]]
    assert any("checksum" in name for name in names) and any("unitarity" in n for n in names)


def test_a_damaged_file_fails(configurations, capsys):
    path = next(iter(configurations))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    status, content, _ = run(capsys, *configurations)
    assert status == 1 and all(path.name in check["name"] for check in failed(content))


def test_a_right_table_passes_and_shows_deltas(configurations, tmp_path, capsys):
    status, content, _ = run(capsys, *configurations, "--reference",
                             table(tmp_path, configurations))
    assert status == 0 and len(content["checks"]) == 9
    assert all(abs(check["difference"]) < 1e-11 for check in content["checks"])


def test_numbers_that_are_not_compared_are_named(configurations, tmp_path, capsys):
    path = table(tmp_path, configurations, lambda n, row: {**row, "plaquete": 0.1, "index": None})
    status, content, _ = run(capsys, *configurations, "--reference", path)
    (note,) = [one for one in content["notes"] if "not compared" in one]
    assert status == 0 and note.endswith(": plaquete")


def test_wrong_sign_of_the_charge_is_caught_and_named(configurations, tmp_path, capsys):
    def flip(number, row):
        return {**row, "topological_charge": -row["topological_charge"]} if number == 1 else row

    path = table(tmp_path, configurations, flip)
    status, content, _ = run(capsys, *configurations, "--reference", path)
    (check,) = failed(content)
    assert status == 1 and check["name"] == "cfg_2.ildg: topological_charge"
    assert "opposite sign" in check["source"]


def test_milc_normalisation_is_named(configurations, tmp_path, capsys):
    path = table(tmp_path, configurations,
                 lambda n, row: {**row, "plaquette": 3 * row["plaquette"]})
    status, content, _ = run(capsys, *configurations, "--reference", path)
    assert status == 1 and len(failed(content)) == 3
    assert all("MILC's normalisation: 3 for the unit field" in check["source"]
               for check in failed(content))


def test_a_physical_difference_gets_no_excuse(configurations, tmp_path, capsys):
    path = table(tmp_path, configurations,
                 lambda n, row: {**row, "plaquette": row["plaquette"] + 1e-9})
    status, content, _ = run(capsys, *configurations, "--reference", path)
    assert status == 1 and not any("looks" in check["source"] for check in failed(content))
    assert run(capsys, *configurations, "--reference", path, "--tolerance", "1e-8")[0] == 0


def test_trace_convention_is_named(configurations, tmp_path, capsys):
    path = table(tmp_path, configurations, name="gpt.json", change=lambda n, row: {
        **row, "energy_density": float(obs.energy_density(list(configurations.values())[n], False))
    })
    status, content, _ = run(capsys, *configurations, "--reference", path)
    assert status == 1 and all("--convention gpt" in check["source"] for check in failed(content))


def test_missing_and_extra_configurations_are_named(configurations, tmp_path, capsys):
    path = table(tmp_path, configurations, lambda n, row: row if n else {**row, "path": "other"})
    status, content, _ = run(capsys, *configurations, "--reference", path)
    problems = {check["name"]: check["source"] for check in failed(content)}
    assert status == 1
    assert problems == {"configurations missing from the table": "cfg_1.ildg",
                        "configurations of the table not given": "other"}
    path = table(tmp_path, configurations)
    first = next(iter(configurations))
    assert run(capsys, first, "--reference", path)[0] == 1
    assert run(capsys, first, "--reference", path, "--partial")[0] == 0


def test_other_extents_are_named(configurations, tmp_path, capsys):
    path = table(tmp_path, configurations, lambda n, row: {**row, "lattice": [4, 4, 2, 4]})
    status, content, _ = run(capsys, *configurations, "--reference", path)
    assert status == 1 and len(content["checks"]) == 3
    assert all("2x4x2x4 here, 4x4x2x4" in check["source"] for check in content["checks"])


def test_milc_log_of_a_real_configuration(tmp_path, capsys):
    path = reference_file("lat.sample.l4448")
    log = tmp_path / "milc.log"
    log.write_text(MILC.format(name=path.name))
    status, content, _ = run(capsys, path, "--reference", log)
    assert status == 0 and len(content["checks"]) == 8
    log.write_text(MILC.format(name=path.name).replace("0.0389772", "0.0389779"))
    assert run(capsys, path, "--reference", log)[0] == 1


def test_a_log_with_a_long_step_is_repeated(tmp_path, capsys):
    """MILC's Symanzik flow takes 0.1; `measure` would not, as the fastest modes grow."""
    path = reference_file("lat.sample.l4448")
    log = tmp_path / "milc.log"
    text = MILC.format(name=path.name).replace("staple to wilson", "staple to symanzik")
    log.write_text(text.replace("0.790042 0.76505 0.0389772", "0.702993 0.679487 0.0318912"))
    status, content, _ = run(capsys, path, "--reference", log)
    assert status == 0 and len(content["checks"]) == 8
    assert main(["validate", str(path), "--reference", str(log), "--flow-step", "0.1"]) == 1
    assert "0.065 for symanzik" in capsys.readouterr().err


def test_gpt_log_of_a_real_configuration(tmp_path, capsys):
    path = reference_file("gpt_l4x6x8x10.nersc")
    values = json.loads(reference_file("manifest.json").read_text())
    values = values["observables"]["milc_l4x6x8x10_b6.0.ildg"]["gpt"]
    lines = [f"Reading {path.name}", f"Plaquette: {values['plaquette']}",
             f"Topological charge: {values['topological_charge']}",
             f"Topological charge 5LI: {values['topological_charge_5LI']}"]
    for point in values["wilson_flow"]:
        lines.append(f"t = {point['t']}, E = {point['energy_density']}, "
                     f"Q = {point['topological_charge']}")
    log = tmp_path / "gpt.log"
    log.write_text("".join(f"GPT :  {1.5:12.6f} s : {line}\n" for line in lines))
    status, content, _ = run(capsys, path, "--reference", log)
    assert status == 0 and len(content["checks"]) == 13


def test_log_that_gpt_printed(capsys):
    """What GPT of October 2024 said of this file: header, plaquette, charge, three flow steps."""
    path = reference_file("gpt_l4x6x8x10.nersc")
    log = DATA / "gpt_measure.log"
    status, content, _ = run(capsys, path, "--reference", log)
    assert status == 0 and len(content["checks"]) == 9
    flowed = [check for check in content["checks"] if "at t =" in check["name"]]
    assert len(flowed) == 6 and all(abs(check["ours"] - check["theirs"]) < 1e-14
                                    for check in flowed)


@pytest.mark.slow
def test_stream_against_stream(tmp_path, capsys):
    first, second = synthetic(0), synthetic(1)
    write_h5(tmp_path / "a.h5", first)
    write_h5(tmp_path / "b.h5", second)
    write_h5(tmp_path / "c.h5", replaced(second, "plaquette", lambda chain: chain + 3e-3))
    report = tmp_path / "r.html"
    status, content, _ = run(capsys, tmp_path / "a.h5", "--against", tmp_path / "b.h5",
                             "--report", report)
    assert status == 0 and content["passed"] and len(content["plaquette_distance"]) == 1500
    assert content["error_rate"] == 1e-3 and len(content["streams"]) == 2
    assert "plaquette distance" in report.read_text()
    status, content, _ = run(capsys, tmp_path / "a.h5", "--against", tmp_path / "c.h5")
    assert status == 1 and "mean plaquette" in [check["name"] for check in failed(content)]


def test_screen_shows_the_failing_rows(tmp_path, capsys):
    write_h5(tmp_path / "a.h5", synthetic(0))
    write_h5(tmp_path / "c.h5", replaced(synthetic(1), "plaquette", lambda chain: chain + 3e-3))
    assert main(["validate", str(tmp_path / "a.h5"), "--against", str(tmp_path / "c.h5")]) == 1
    out = capsys.readouterr().out
    assert "FAIL" in out and "sigma allowed" in out and "tau_int plaquette" in out


def test_history_against_its_configurations(configurations, capsys):
    folder = next(iter(configurations)).parent
    with h5py.File(folder / "history.h5", "w") as file:
        file["trajectory"] = [[1, 2, 3]]
        file["plaquette"] = [[float(obs.plaquette(links)) for links in configurations.values()]]
    assert run(capsys, folder)[0] == 0
    with h5py.File(folder / "history.h5", "a") as file:
        file["plaquette"][0, 2] += 1e-3
    status, content, _ = run(capsys, folder)
    assert status == 1 and failed(content)[0]["name"] == "cfg_3.ildg: plaquette"


@pytest.mark.slow
def test_hmc_baseline_runs_here(configurations, tmp_path, capsys):
    """The stream is an HMC stream of its own, on the baseline's action: the table passes."""
    path = list(configurations)[-1]
    links = su3.project_group(configurations[path])
    history = hmc_history(links, GaugeAction(1.5), 400, seed=9)
    write_h5(path.parent / "history.h5", history)
    with h5py.File(path.parent / "history.h5", "a") as file:
        file.attrs["beta"], file.attrs["action"] = 1.5, "wilson"
    status, content, _ = run(capsys, path.parent, "--against", "hmc", "-n", "400", "--cut", "20")
    assert status == 0, failed(content)
    assert "HMC" in content["streams"][1]["path"]
    assert content["streams"][1]["trajectories"] == 400
    names = [check["name"] for check in content["checks"]]
    assert "mean plaquette" in names and "KS test of topological_charge" in names


def test_hmc_baseline_needs_a_coupling(configurations, capsys):
    folder = next(iter(configurations)).parent
    with h5py.File(folder / "history.h5", "w") as file:
        file["plaquette"] = [[0.5, 0.6]]
    status, _, err = run(capsys, folder, "--against", "hmc")
    assert status == 2 and "--beta" in err


@pytest.mark.parametrize(
    "arguments, status, word",
    [
        ([], 2, "FILE"),
        (["a", "--reference", "b", "--against", "c"], 2, "both"),
        (["a", "b", "--against", "c"], 2, "one STREAM"),
        (["absent.ildg"], 1, ""),
        (["CFG", "--reference", "absent.json"], 1, "found none"),
        (["CFG", "--reference", "a", "--tolerance", "-1"], 2, "--tolerance"),
        (["CFG", "--against", "a", "--error-rate", "7"], 2, "--error-rate"),
    ],
)
def test_bad_usage(configurations, capsys, arguments, status, word):
    path = str(next(iter(configurations)))
    found, _, err = run(capsys, *[path if a == "CFG" else a for a in arguments])
    assert found == status and word in err


def test_chains_are_told_apart_in_a_table(tmp_path, generator, capsys):
    for chain in range(2):
        (tmp_path / "stream" / f"chain_{chain}").mkdir(parents=True)
        for number in (1, 2):
            files.write(tmp_path / "stream" / f"chain_{chain}" / f"cfg_{number}.ildg",
                        Configuration(rough_links(generator, LATTICE), {}))
    for suffix in ("json", "csv"):
        path = tmp_path / f"table.{suffix}"
        assert main(["measure", str(tmp_path / "stream"), f"--{suffix}", str(path)]) == 0
        capsys.readouterr()
        status, content, _ = run(capsys, tmp_path / "stream", "--reference", path)
        assert status == 0 and len(content["checks"]) > 80
        one = tmp_path / "stream" / "chain_1"
        assert run(capsys, one, "--reference", path, "--partial")[0] == 0
        assert run(capsys, one, "--reference", path)[0] == 1


@pytest.mark.parametrize("adaptive", [[], ["--flow-tolerance", "1e-3"]])
@pytest.mark.parametrize("suffix", ["json", "csv"])
def test_a_table_states_its_convention_and_its_flow(
        configurations, tmp_path, capsys, adaptive, suffix):
    path = tmp_path / f"gpt.{suffix}"
    arguments = ["--convention", "gpt", "--flow-time", "0.2", "--flow-step", "0.05",
                 "--flow-kernel", "symanzik", f"--{suffix}", str(path), *adaptive]
    assert main(["measure", *map(str, configurations), *arguments]) == 0
    capsys.readouterr()
    assert run(capsys, *configurations, "--reference", path)[0] == 0
    status, content, _ = run(capsys, *configurations, "--reference", path,
                             "--convention", "traceless")
    assert status == 1 and {"topological_charge" in one["name"] or "energy" in one["name"]
                            for one in failed(content)} == {True}


def test_a_nan_in_a_table_fails(configurations, tmp_path, capsys):
    for number in (float("nan"), "nan", "-inf"):
        path = table(tmp_path, configurations, lambda n, row, x=number: {**row, "plaquette": x})
        status, content, _ = run(capsys, *configurations, "--reference", path)
        assert status == 1
        assert {one["name"].split(": ")[1] for one in failed(content)} == {"plaquette"}


@pytest.mark.parametrize("change", [{"trajectory": "abc"}, {"lattice": "4x4xa"}, {"lattice": 4},
                                    {"flow": [{"plaquette": 1.0}]}])
def test_a_malformed_table_is_named(configurations, tmp_path, capsys, change):
    path = table(tmp_path, configurations, lambda n, row: {**row, **change})
    status, _, err = run(capsys, *configurations, "--reference", path)
    assert status == 1 and "table.json" in err and "cfg_1.ildg" in err and "Traceback" not in err
