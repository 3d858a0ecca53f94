"""`analyze`: tables, JSON, pictures and one self-contained page."""

import json
import re

import numpy as np
import pytest

from l2hmc_bridge.cli import main
from tests.histories import synthetic, write_h5


@pytest.fixture
def stream(tmp_path):
    folder = tmp_path / "stream"
    folder.mkdir()
    write_h5(folder / "history.h5", synthetic(1, 2000))
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
        ("a.json", "{", "JSON"),
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
