"""The action that a file states, in every verb that samples, compares or shows."""

import json

import h5py
import pytest

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.records import host_log
from l2hmc_bridge.cli import main
from l2hmc_bridge.errors import QUARKS_PAGE
from tests.cli.sample.test_sample import make_bundle, sample
from tests.support import samples
from tests.support.places import CONFIGURATION
from tests.support.theories import QUARKS, WILSON, chroma, gauge, hmc, tm
from tests.support.verbs import EXTENTS, run

OTHERS = {
    "anisotropic": (gauge(f"{WILSON}<AnisoParam><anisoP>true</anisoP><xi_0>3.5</xi_0>"
                          "</AnisoParam>"), "anisotropy (xi_0 = 3.5)"),
    "spatial": (gauge("<Name>PLAQ_PLUS_SPATIAL_TWO_PLAQ_GAUGEACT</Name>"),
                "action PLAQ_PLUS_SPATIAL_TWO_PLAQ_GAUGEACT"),
    "fixed": (gauge(WILSON).replace("PERIODIC", "SCHROEDINGER_NONPERT"),
              "boundary SCHROEDINGER_NONPERT_GAUGEBC"),
}
SAMPLING = ("sample", "sample --continue", "train")


def iwasaki(tmp_path, **more):
    return tm(tmp_path / "conf.0007", -0.331, 2.1, extents=EXTENTS, **more)


@pytest.mark.parametrize("verb", SAMPLING)
def test_the_files_action_is_sampled(verb, tmp_path, capsys):
    found = run(verb, iwasaki(tmp_path), capsys, action="iwasaki")
    assert found.status == 0, found.said
    if verb == "sample":
        definition = json.loads((found.out / "stream" / "summary.json").read_text())
        assert definition["action"] == {"name": "iwasaki", "beta": 2.1}
        written = files.header(next((found.out / "stream").glob("cfg_*")))
        assert written["theory"].action == "iwasaki" and written["theory"].quarks == ()
    if verb == "sample --continue":
        entry = json.loads((tmp_path / host_log.NAME).read_text())
        assert entry["action"] == {"name": "iwasaki", "beta": 2.1}
        assert "sampled with the iwasaki action at beta 2.1" in found.said
    if verb != "train":
        assert "states the iwasaki action (c2_rec = -0.331): it is sampled" in found.said


@pytest.mark.parametrize("verb", SAMPLING)
def test_an_option_that_contradicts_the_file_is_an_error(verb, tmp_path, capsys):
    words = () if verb == "train" else ("--action", "wilson")
    found = run(verb, iwasaki(tmp_path), capsys, *words)  # train: action = "wilson" in its file
    assert found.status == 1
    assert "expected the iwasaki action, which the file states (c2_rec = -0.331)" in found.said
    found = run(verb, iwasaki(tmp_path), capsys, *words, "--accept", "theory")
    assert found.status == 0 and "states iwasaki (c2_rec = -0.331)" in found.said


@pytest.mark.parametrize("verb", SAMPLING)
def test_quarks_need_consent(verb, tmp_path, capsys):
    path = iwasaki(tmp_path, kappa=0.1373, mu=0.006)
    found = run(verb, path, capsys, action="iwasaki")
    assert found.status == 1 and "tells of quarks (kappa = 0.1373, mu = 0.006)" in found.said
    assert "--quenched" in found.said and QUARKS_PAGE in found.said
    found = run(verb, path, capsys, "--quenched", action="iwasaki")
    assert found.status == 0, found.said
    assert "tells of quarks (kappa = 0.1373, mu = 0.006): the gauge action alone" in found.said


def test_quarks_are_said_first_and_recorded(tmp_path, capsys):
    path = chroma(tmp_path / "run_cfg_12.lime", hmc(QUARKS, gauge(WILSON)), EXTENTS)
    out = tmp_path / "out"
    assert sample("--in", path, "--out", out, "-n", 1, "--kernel", "hmc", "--tune", 0,
                  "--quenched") == 0
    lines = capsys.readouterr().err.splitlines()
    assert "tells of quarks (TWO_FLAVOR_EOPREC_CONSTDET_FERM_MONOMIAL)" in lines[0]
    summary = json.loads((out / "summary.json").read_text())
    assert summary["quenched"] is True and "quarks: TWO_FLAVOR" in str(summary["theory"])
    with h5py.File(out / "history.h5") as file:
        assert file.attrs["quenched"]
    assert files.header(next(out.glob("cfg_*")))["theory"].quarks == ()


def test_nothing_of_another_ensemble_is_carried(tmp_path, capsys):
    path = iwasaki(tmp_path, kappa=0.137)
    assert sample("--in", path, "--out", tmp_path / "out", "-n", 1, "--kernel", "hmc", "--tune", 0,
                  "--quenched") == 0
    assert "kappa" not in files.header(next((tmp_path / "out").glob("cfg_*")))["info"]


@pytest.mark.parametrize("case", OTHERS)
@pytest.mark.parametrize("verb", SAMPLING)
def test_what_we_do_not_have_is_refused_by_name(verb, case, tmp_path, capsys):
    xml, words = OTHERS[case]
    path = chroma(tmp_path / "conf.0007", hmc(xml), EXTENTS)
    found = run(verb, path, capsys, *(() if verb == "train" else ("--beta", "5.7")))
    assert found.status == 1 and f"found {words}" in found.said


@pytest.mark.parametrize("suffix", ["ildg", "nersc", "scidac", "h5"])
def test_the_beta_that_is_sampled_is_the_only_one_in_the_files(suffix, tmp_path, capsys):
    """MILC's file has it among its parameters, too: gauge.beta11."""
    name = {"h5": "hdf5"}.get(suffix, suffix)
    status = main(["sample", "--in", str(CONFIGURATION), "--beta", "5.5", "--kernel", "hmc", "-n",
                   "1", "--tune", "0", "--out", str(tmp_path / "s"), "--format", name, "--quiet"])
    assert status == 0 and "says beta 6; --beta 5.5 is used" in capsys.readouterr().err
    written = tmp_path / "s" / f"cfg_1.{suffix}"
    for target in (written, tmp_path / "a.nersc", tmp_path / "b.ildg"):
        if target != written:
            assert main(["convert", str(written), str(target)]) == 0
        found = files.header(target)
        assert found["theory"].beta == found["beta"] == 5.5
        assert not any("6.0" in text for text in found["info"].values())


def test_a_bundle_must_be_for_the_files_action(tmp_path, capsys):
    path = iwasaki(tmp_path)
    wilson = make_bundle(tmp_path / "b.safetensors")
    assert sample("--in", path, "--out", tmp_path / "out", "-n", 1, "--bundle", wilson) == 1
    assert "expected a bundle for su3 iwasaki, found su3 wilson" in capsys.readouterr().err


def test_chains_from_files_of_two_theories_are_refused(tmp_path, capsys):
    one, other = iwasaki(tmp_path), tm(tmp_path / "b.lime", 0.0, 2.1, extents=EXTENTS)
    assert sample("--in", one, "--in", other, "--out", tmp_path / "out", "-n", 1, "--kernel",
                  "hmc") == 1
    assert f"{other}: expected the iwasaki action as {one}, found wilson" in (
        capsys.readouterr().err)


def test_side_files_speak_too(tmp_path, capsys):
    """The configuration is silent; Chroma's restart file beside it is not."""
    path = chroma(tmp_path / "run_cfg_12.lime", "<a/>", EXTENTS)
    (tmp_path / "run_restart_12.xml").write_text(hmc(QUARKS, gauge(
        "<Name>RBC_GAUGEACT</Name><beta>2.1</beta><c1>-0.331</c1>")))
    out = tmp_path / "out"
    words = ("--in", path, "--out", out, "-n", 1, "--kernel", "hmc", "--tune", 0)
    assert sample(*words) == 1
    assert "tells of quarks (TWO_FLAVOR" in capsys.readouterr().err
    assert sample(*words, "--quenched") == 0
    assert json.loads((out / "summary.json").read_text())["action"]["name"] == "iwasaki"
    capsys.readouterr()
    assert main(["info", "--json", str(path)]) == 0
    report = json.loads(capsys.readouterr().out)[0]
    assert report["theory"]["quarks"] == ["TWO_FLAVOR_EOPREC_CONSTDET_FERM_MONOMIAL"]
    assert report["metadata"]["action"].startswith("iwasaki (RBC_GAUGEACT), beta 2.1; quarks: ")


def test_what_is_said_of_quarks_outlives_a_conversion(tmp_path, capsys):
    path = iwasaki(tmp_path, kappa=0.1373, mu=0.006)
    assert main(["convert", str(path), str(tmp_path / "a.ildg")]) == 0
    for name in (path, tmp_path / "a.ildg"):
        assert ", ".join(files.header(name)["theory"].quarks) == "kappa = 0.1373, mu = 0.006"
    capsys.readouterr()


def test_what_the_name_of_a_file_tells_outlives_a_conversion(tmp_path, capsys):
    """HiRep's files have beta and quarks in their names alone; and the number of a trajectory."""
    path = tmp_path / "a_2x6x2x4nc3rFUNnf2b5.600000m-0.100000n3"
    files.write(path, samples.configuration()._replace(meta={}), "hirep")
    found = files.header(path)
    assert found["trajectory"] == 3 and found["theory"].beta == 5.6
    assert main(["convert", str(path), str(tmp_path / "a.ildg")]) == 0
    assert files.header(tmp_path / "a.ildg")["theory"].quarks == ("nf = 2 (FUN), m = -0.1",)
    capsys.readouterr()
    assert main(["sample", "--in", str(tmp_path / "a.ildg"), "--beta", "5.6", "--out",
                 str(tmp_path / "s"), "-n", "1"]) == 1
    assert "tells of quarks (nf = 2 (FUN), m = -0.1)" in capsys.readouterr().err


def test_info_has_a_row_action(tmp_path, capsys):
    assert main(["info", str(iwasaki(tmp_path, mu=0.1))]) == 0
    out = capsys.readouterr().out
    assert "│ action " in out and "iwasaki (c2_rec = -0.331), beta 2.1; quarks: mu" in out
    assert main(["info", "--header", "--json", str(chroma(tmp_path / "s", hmc(gauge(
        "<Name>LW_1LOOP_GAUGEACT</Name>")), EXTENTS))]) == 0
    assert json.loads(capsys.readouterr().out)[0]["theory"]["other"] == "action LW_1LOOP_GAUGEACT"


def host_stream(folder, **more):
    """A folder of configurations of another code, and a history of their plaquettes."""
    folder.mkdir()
    for number in (1, 2):
        tm(folder / f"conf.{number:04d}", -0.331, 2.1, extents=EXTENTS, **more)
    with h5py.File(folder / "history.h5", "w") as file:
        file["plaquette"] = [[0.5 + 0.01 * (n % 7) for n in range(40)]]
    return folder


def test_the_baseline_is_of_the_files_action(tmp_path, capsys):
    folder = host_stream(tmp_path / "s")
    words = ["validate", str(folder), "--against", "hmc", "-n", "30", "--json", "-"]
    main(words)
    assert "states the iwasaki action" in capsys.readouterr().err
    assert main([*words, "--action", "wilson"]) == 1
    assert "expected the iwasaki action, which the file states" in capsys.readouterr().err
    quarks = host_stream(tmp_path / "q", kappa=0.137)
    words[1] = str(quarks)
    assert main(words) == 1
    assert "(--quenched samples the gauge action alone; " in capsys.readouterr().err
    main([*words, "--quenched"])
    assert "tells of quarks (kappa = 0.137): the gauge action alone" in capsys.readouterr().err


def test_measured_streams_of_two_theories_are_not_compared_as_one(tmp_path, capsys):
    tables = []
    for name, c1 in (("a", -0.331), ("b", 0.0)):
        folder = tmp_path / name
        folder.mkdir()
        for number in range(1, 6):
            tm(folder / f"conf.{number:04d}", c1, 2.1, extents=EXTENTS)
        tables.append(tmp_path / f"{name}.csv")
        assert main(["measure", str(folder), "--csv", str(tables[-1])]) == 0
    capsys.readouterr()
    assert main(["validate", str(tables[0]), "--against", str(tables[1]), "--json", "-"]) == 1
    rows = json.loads(capsys.readouterr().out)["checks"]
    assert any(row["name"] == "one action" and "iwasaki" in row["source"] for row in rows)
