"""`analyze`: tables, JSON, pictures and one self-contained page."""

import json
import re

import numpy as np
import pytest

from l2hmc_bridge.adapters.records import measured as records
from l2hmc_bridge.analysis import plots
from l2hmc_bridge.analysis.estimates import topology
from l2hmc_bridge.cli import main
from tests.support.histories import flowed, replaced, synthetic, write_h5


@pytest.fixture
def stream(tmp_path):
    folder = tmp_path / "stream"
    folder.mkdir()
    write_h5(folder / "history.h5", flowed(synthetic(1, 2000)))
    return folder


def run(capsys, *arguments):
    status = main(["analyze", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_json_has_errors_tau_and_topology(stream, capsys):
    status, out, _ = run(capsys, stream, "--json", "--cut", "100")
    (result,) = json.loads(out)
    assert status == 0 and result["cut"] == 100 and result["chains"] == 2
    plaquette = result["observables"]["plaquette"]
    assert abs(plaquette["value"] - 0.59) < 5 * plaquette["error"] < 0.005
    assert plaquette["tau_int"] == pytest.approx(3.6, abs=5 * plaquette["tau_int_error"])
    assert plaquette["samples"] == 3800
    assert abs(result["exp_minus_dh"]["value"] - 1) < 5 * result["exp_minus_dh"]["error"]
    assert 0.7 < result["acceptance"]["value"] < 0.9
    assert sum(result["topology"]["histogram"].values()) == 3800
    assert 0 < result["topology"]["tunnelling_rate"]["value"] < 1
    assert result["effective_samples"]["plaquette_per_second"] > 0


def test_screen_says_what_is_not_resolvable(stream, capsys):
    status, out, _ = run(capsys, stream, "--cut", "1990")
    assert status == 0 and "not resolvable" in out and "plaquette" in out


def test_csv_and_json_tables(tmp_path, capsys):
    chain = synthetic(2, 500, 1).series["plaquette"].chains[0]
    lines = ["trajectory,plaquette", *(f"{10 * n},{p!r}" for n, p in enumerate(chain.tolist()))]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    rows = [{"path": f"cfg_{n}", "trajectory": 10 * n, "plaquette": p, "flow": []}
            for n, p in enumerate(chain.tolist())]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    status, out, _ = run(capsys, tmp_path / "a.csv", tmp_path / "a.json", "--json", "--cut", "0")
    first, second = json.loads(out)
    assert status == 0 and first["observables"] == second["observables"]
    assert first["observables"]["plaquette"]["tau_int"] > 10  # in trajectories, spacing 10


@pytest.mark.slow
def test_report_is_self_contained_and_plots_are_written(stream, tmp_path, capsys):
    report, plots = tmp_path / "r.html", tmp_path / "plots"
    arguments = [stream, "--report", report, "--plots", plots, "--cut", "0"]
    assert run(capsys, *arguments)[0] == 0
    page = report.read_text()
    assert page.count("data:image/png;base64,") >= 5 and "tau_int" in page
    assert not re.search(r"(?:src|href)='(?!data:)", page) and "http" not in page
    names = sorted(path.name for path in plots.iterdir())
    assert {"autocorrelation.png", "charge.png", "history_plaquette.png", "tau_int.png"} <= set(
        names
    )
    assert all((plots / name).read_bytes().startswith(b"\x89PNG") for name in names)
    assert run(capsys, *arguments)[0] == 1  # nothing is overwritten
    assert run(capsys, *arguments, "--force", "--picture-format", "svg")[0] == 0
    assert (plots / "charge.svg").read_text().lstrip().startswith("<?xml")


@pytest.mark.slow
def test_pictures_are_reproducible(stream, tmp_path, capsys):
    for name in ("a", "b"):
        run(capsys, stream, "--plots", tmp_path / name, "--picture-format", "svg", "--cut", "0")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


@pytest.mark.parametrize(
    "name, content, word",
    [
        ("absent.h5", None, "found none"),
        ("a.csv", "plaquette,q\n1,2,3\n", "fields"),
        ("a.csv", "name\nfoo\n", "numbers"),
        ("a.csv", "0.5\n0.6\n", "expected CSV with a header line, found the first line '0.5'"),
        ("a.csv", "", "expected CSV with a header line"),
        ("a.csv", "q,q\n1,2\n", "expected a name for each column, found 'q,q'"),
        ("a.json", "{", "JSON"),
        ("a.json", '[{"plaquette": 0.5, "flow": [{"plaquette": 1}]}]', "records"),
        ("a.json", '[{"plaquette": 0.5, "trajectory": "one"}]', "trajectory"),
        ("a.ildg", "\0\0binary", "measure"),
    ],
)
def test_bad_input(tmp_path, capsys, name, content, word):
    if content is not None:
        (tmp_path / name).write_text(content)
    status, _, err = run(capsys, tmp_path / name)
    assert status == 1 and word in err and name in err and len(err.strip().splitlines()) == 1


def test_a_cut_beyond_the_stream_is_refused(stream, capsys):
    status, _, err = run(capsys, stream, "--cut", "2000")
    assert status == 1 and "cut below the 2000" in err


def test_nan_is_not_resolvable_and_counted(tmp_path, capsys):
    lines = ["trajectory,plaquette,dH,accepted"]
    rng = np.random.default_rng(1)
    for n in range(200):
        energy = "nan" if n == 7 else repr(float(rng.normal()))
        lines.append(f"{n},{float(rng.normal())!r},{energy},1")
    (tmp_path / "a.csv").write_text("\n".join(lines))
    status, out, _ = run(capsys, tmp_path / "a.csv", "--json", "--cut", "0")
    (result,) = json.loads(out)
    assert status == 0 and result["not_finite"] == 1
    assert result["observables"]["delta_h"]["error"] is None
    assert result["exp_minus_dh"]["error"] > 0


def chains_of_records(tmp_path, numbers=range(1, 41)):
    """Records of two chains, in the order of the files."""
    rng = np.random.default_rng(4)
    return [{"path": f"chain_{chain}/cfg_{n}.ildg", "chain": chain, "trajectory": n,
             "plaquette": float(rng.normal()), "lattice": [2, 2, 2, 2], "flow": []}
            for chain in range(2) for n in numbers]


def test_chains_survive_every_kind_of_table(tmp_path, capsys):
    rows = chains_of_records(tmp_path)
    records.write_text(tmp_path / "a.json", records.to_json(rows), False)
    records.write_text(tmp_path / "a.csv", records.to_csv(rows), False)
    records.write_h5(tmp_path / "a.h5", rows, False)
    paths = [tmp_path / name for name in ("a.json", "a.csv", "a.h5")]
    _, out, _ = run(capsys, *paths, "--json", "--cut", "0")
    found = json.loads(out)
    assert [(one["chains"], one["trajectories"]) for one in found] == [(2, 40)] * 3
    assert found[0]["observables"] == found[1]["observables"] == found[2]["observables"]


def test_a_table_of_a_spreadsheet_is_the_same(tmp_path, capsys):
    """A sign for its encoding at the beginning, blanks about names, extents as one number."""
    rows = "\n".join(f"{n},{np.sin(n)},8" for n in range(1, 80, 2))
    (tmp_path / "a.csv").write_text(f"trajectory,plaquette,lattice\n{rows}\n")
    wider = rows.replace(",8", ",8,,")
    (tmp_path / "b.csv").write_text(f"\ufefftrajectory, plaquette ,lattice,,\n{wider}\n\n")
    one, other = json.loads(run(capsys, *sorted(tmp_path.glob("*.csv")), "--json")[1])
    assert one["observables"] == other["observables"] and set(one["observables"]) == {"plaquette"}


def test_columns_may_be_called_by_numbers(tmp_path, capsys):
    rows = "\n".join(f"{n},{np.sin(n)},{np.cos(n)}" for n in range(80))
    (tmp_path / "a.csv").write_text(f"trajectory,0.1,0.2\n{rows}\n")
    (found,) = json.loads(run(capsys, tmp_path / "a.csv", "--json")[1])
    assert set(found["observables"]) == {"0.1", "0.2"}


def test_a_stream_whose_history_is_not_written_yet_says_so(tmp_path, capsys):
    (tmp_path / "log.jsonl").write_text("")
    status, _, err = run(capsys, tmp_path)
    assert status == 1 and "found none yet: a stream that runs writes it every minute" in err
    assert f"by `sample --in {tmp_path} --resume`" in err


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.h5"])
def test_two_streams_in_one_table_are_refused(tmp_path, capsys, name):
    rows = [{**row, "chain": 0} for row in chains_of_records(tmp_path)]
    if name == "a.h5":
        records.write_h5(tmp_path / name, rows, False)
    else:
        text = records.to_json(rows) if name == "a.json" else records.to_csv(rows)
        records.write_text(tmp_path / name, text, False)
    status, _, err = run(capsys, tmp_path / name)
    assert status == 1 and "twice" in err and "one by one" in err


def test_unnumbered_configurations_can_be_analyzed(tmp_path, capsys):
    rows = [{**row, "chain": 0, "trajectory": None} for row in chains_of_records(tmp_path)]
    records.write_h5(tmp_path / "a.h5", rows, False)
    status, out, _ = run(capsys, tmp_path / "a.h5", "--json", "--cut", "0")
    assert status == 0 and json.loads(out)[0]["trajectories"] == 80


def test_the_unit_of_tau_is_on_the_screen(stream, capsys):
    assert "tau_int [trajectories]" in run(capsys, stream)[1]


def test_the_histogram_of_a_frozen_charge_has_whole_numbers():
    history = replaced(flowed(synthetic(3)), "topological_charge_flowed",
                       lambda chain: 0.1 + 0.0 * chain)
    _, right = plots.charge_figure(history.series["topological_charge_flowed"],
                                   topology(history)).axes
    low, high = right.get_xlim()
    ticks = [tick for tick in right.get_xticks() if low <= tick <= high]
    assert low < -1 and high > 1 and all(tick == round(tick) for tick in ticks)
