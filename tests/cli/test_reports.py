"""Reports, figures and exports: what was run, values with errors, legends, nothing empty."""

import gzip
import html
import re

import h5py
import numpy as np
import pytest

from l2hmc_bridge.analysis import plots
from l2hmc_bridge.analysis.estimates import analyse
from l2hmc_bridge.analysis.series import History, Series
from l2hmc_bridge.cli import main
from tests.support.histories import flowed, replaced, synthetic, write_h5

RUN = ("sample", "--start", "hot", "--lattice", "4,4,4,4", "--beta", "6", "--thermalise", "2",
       "--seed", "7", "--chains", "2", "-n", "30")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A real stream of the bundle that ships, two chains."""
    folder = tmp_path_factory.mktemp("run") / "stream"
    assert main([*RUN, "--tune", "0", "--out", str(folder)]) == 0
    return folder


def page_of(capsys, tmp_path, *words):
    out = tmp_path / "r.html"
    assert main([*map(str, words), "--report", str(out)]) == 0
    assert f"wrote {out}" in capsys.readouterr().err
    return html.unescape(out.read_text())


def test_a_report_says_what_was_run(recorded, tmp_path, capsys):
    page = page_of(capsys, tmp_path, "analyze", recorded, "--cut", "5")
    bundle = h5py.File(recorded / "history.h5").attrs["bundle_hash"]
    assert len(bundle) == 64
    for word in (f"l2hmc-bridge {' '.join(RUN[:3])}", "<td>4x4x4x4</td>", "<td>wilson</td>",
                 "<th>beta</th><td>6</td>", "<th>seed</th><td>7</td>", "<th>MD length</th><td>",
                 f"hash {bundle}", "torch ", "Python ", "numpy ", "<th>date</th><td>20",
                 f"l2hmc-bridge analyze --cut 5 --report {tmp_path / 'r.html'} {recorded}"):
        assert word in page, word
    assert "is not flowed" in page and "tunnelling rate" not in page
    assert not re.search(r"\d\.\d{12}", page)  # values with errors, not twelve digits


@pytest.mark.slow
def test_a_comparison_says_what_was_run_and_gives_values_with_errors(tmp_path, capsys):
    for seed, name in enumerate(("recorded", "other")):
        (tmp_path / name).mkdir()
        write_h5(tmp_path / name / "history.h5", synthetic(seed, 400))
        with h5py.File(tmp_path / name / "history.h5", "a") as file:
            file.attrs.update(seed=seed, lattice="4,4,4,8")
    recorded, other = tmp_path / "recorded", tmp_path / "other"
    page = page_of(capsys, tmp_path, "validate", recorded, "--against", other)
    assert page.count("<th>seed</th>") == 2 and page.count("<th>lattice (x,y,z,t)</th>") == 2
    assert re.search(r"<td>mean plaquette</td><td>0\.\d+\(\d\d\)</td><td>0\.\d+\(\d\d\)</td>", page)
    assert not re.search(r"\d\.\d{12}", page)
    assert f"l2hmc-bridge validate --against {other}" in page


def texts(figure):
    import matplotlib.text

    return [one.get_text() for one in figure.findobj(matplotlib.text.Text)]


def described(history, **more):
    told = {"lattice": "8,8,8,16", "action": "iwasaki", "beta": 2.6, **more}
    return History(history.name, history.series, history.flow_times, history.flow,
                   attributes=told)


def test_figures_say_stream_lattice_action_and_beta():
    history = described(flowed(synthetic(1, 200)))
    for name, figure in plots.stream_figures(history, analyse(history, 20)).items():
        assert "stream: 8x8x8x16, iwasaki, beta 2.6" in texts(figure), name


def test_chains_and_the_cut_have_legends():
    history = described(synthetic(1, 200))
    figure = plots.stream_figures(history, analyse(history, 20))["history_plaquette"]
    assert {"chain 0", "chain 1", "the first 20, dropped"} <= set(texts(figure))
    many = described(synthetic(1, 60, chains=10))
    figure = plots.stream_figures(many, analyse(many, 0))["history_plaquette"]
    assert "8 of 10 chains" in texts(figure) and "chain 8" not in texts(figure)


@pytest.mark.slow
def test_a_kernel_that_never_accepts_is_warned_of_everywhere(tmp_path, capsys):
    history = described(replaced(synthetic(1, 200), "accepted", lambda chain: 0 * chain))
    for figure in plots.stream_figures(history, analyse(history, 0)).values():
        assert any("warning: no proposal was accepted" in text for text in texts(figure))
    write_h5(tmp_path / "history.h5", history)
    page = page_of(capsys, tmp_path, "analyze", tmp_path)
    assert "warning: no proposal was accepted" in page
    assert main(["analyze", str(tmp_path), "--json", str(tmp_path / "a.json")]) == 0
    assert "warning: " in capsys.readouterr().err
    assert "no proposal was accepted" in (tmp_path / "a.json").read_text()


def test_no_panel_is_empty():
    nothing = {"plaquette": Series([np.full(30, np.nan)]),
               "topological_charge": Series([np.full(30, np.nan)]),
               "delta_h": Series([np.zeros(30)])}
    tables = {name: [np.full((30, 4), np.nan)] for name in ("energy_density",
                                                            "topological_charge")}
    history = History("a", nothing, np.arange(4.0), tables)
    assert set(plots.stream_figures(history, analyse(history, 0))) == {"history_delta_h"}
    assert plots.comparison_figure((history, history), "plaquette") is None
    assert plots.distance_figure(np.zeros(5)) is None
    for figure in plots.stream_figures(flowed(synthetic(2, 100)),
                                       analyse(flowed(synthetic(2, 100)), 0)).values():
        assert all(axes.has_data() for axes in figure.axes)


@pytest.mark.slow
@pytest.mark.parametrize("name", [r"$\frac{1}{$", "x[/y]", "a\udcff$b"])
def test_any_name_is_shown_as_it_is(name, tmp_path, capsys):
    history = described(synthetic(1, 60))
    named = History(name, {**history.series, r"$\frac{": history.series["plaquette"]},
                    attributes=history.attributes)
    for figure in plots.stream_figures(named, analyse(named, 0)).values():
        assert plots.render(figure).startswith(b"\x89PNG")
    figure = plots.comparison_figure((named, named), "plaquette")
    assert figure is not None and plots.render(figure).startswith(b"\x89PNG")
    folder = tmp_path / name.replace("/", "_")
    folder.mkdir()
    write_h5(folder / "history.h5", history)
    assert main(["analyze", str(folder), "--report", str(tmp_path / "r.html"), "--plots",
                 str(tmp_path / "p")]) == 0
    assert "plaquette" in capsys.readouterr().out


def test_every_picture_is_named_when_it_is_written(recorded, tmp_path, capsys):
    assert main(["analyze", str(recorded), "--plots", str(tmp_path / "p")]) == 0
    err = capsys.readouterr().err
    for path in (tmp_path / "p").iterdir():
        assert f"wrote {path}\n" in err


def test_series_go_to_pyerrors_with_their_numbers(tmp_path, capsys):
    pyerrors = pytest.importorskip("pyerrors")
    rows = ["trajectory,plaquette,few"]
    rng = np.random.default_rng(3)
    numbers = [n for n in range(1, 401) if n % 7]
    values = {n: 0.59 + 0.01 * float(rng.normal()) for n in numbers}
    rows += [f"{n},{values[n]!r},{'nan' if n == 300 else 1.0}" for n in numbers]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    out = tmp_path / "a.json.gz"
    words = ["analyze", str(tmp_path / "a.csv"), "--cut", "50", "--export", str(out)]
    assert main(words) == 0
    err = capsys.readouterr().err
    assert f"wrote {out}" in err and "without" in err and "few" in err
    loaded = pyerrors.input.json.load_json(str(out)[: -len(".json.gz")], verbose=False)
    one = loaded if isinstance(loaded, pyerrors.Obs) else loaded[0]
    one.gamma_method()
    (name,) = one.names
    kept = [n for n in numbers if n > 50]
    assert one.tag == "plaquette" and list(one.idl[name]) == kept
    expected = analyse(History("a", {"plaquette": Series(
        [np.array([values[n] for n in numbers])], numbers=[np.array(numbers)])}), 50)
    assert one.value == pytest.approx(expected.observables["plaquette"].value, abs=1e-14)
    assert main(words) == 1  # nothing is overwritten
    assert main([*words, "--force"]) == 0
    assert b"l2hmc-bridge" in gzip.decompress(out.read_bytes())
    assert main([*words[:-1], str(tmp_path / "a.dat")]) == 1
    assert ".json.gz" in capsys.readouterr().err
