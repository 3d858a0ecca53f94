"""tmLQCD's streams: conf.NNNN counts saves, the file states the trajectory, a counter says both."""

import json

import pytest

from l2hmc_bridge.adapters.files import table as files
from l2hmc_bridge.adapters.records import host_log
from l2hmc_bridge.cli import main
from tests.cli.sample.test_continue import go_on, untouched
from tests.support import dialects, samples
from tests.support.hosts import leave


def with_header(path, trajectory=60, more=""):
    """As tmLQCD writes it: parameters in xlf-info, MB and ME on every message."""
    links = samples.smooth_links(extents=(4, 2, 6, 2))
    data = samples.payload(links)
    info = f" trajectory nr = {trajectory}\n beta = 5.700000{more}\n"
    return dialects.lime(
        path, dialects.record("xlf-info", info, dialects.MB | dialects.ME),
        dialects.record("ildg-format", dialects.ildg_format(links), dialects.MB | dialects.ME),
        dialects.record("ildg-binary-data", data, dialects.MB | dialects.ME),
        dialects.record("scidac-checksum", dialects.checksum(data, 576),
                        dialects.MB | dialects.ME))


@pytest.mark.parametrize("name", ["nstore_counter", ".nstore_counter"])
def test_the_counter_goes_on(name, tmp_path, capsys):
    path = leave(tmp_path, "tmlqcd")
    (tmp_path / "nstore_counter").rename(tmp_path / name)
    (tmp_path / name).write_text("13 61 run/conf.0012\n")
    assert go_on(path, "-n", 2, "--seed", 1) == 0
    assert (tmp_path / name).read_text() == "15 63 run/conf.0014\n"
    assert f"{name}: names conf.0014 and the save after it" in capsys.readouterr().err


def test_both_counters_and_a_folder_of_side_files(tmp_path):
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    run.mkdir(), elsewhere.mkdir()
    path = leave(run, "tmlqcd")
    (run / "nstore_counter").rename(elsewhere / "nstore_counter")
    (elsewhere / ".nstore_counter").write_text("13 61 conf.0012\n")
    assert go_on(path, "--side-files", elsewhere) == 0
    assert {one.read_text() for one in elsewhere.iterdir()} == {"14 62 conf.0013\n"}


def test_without_a_counter_it_is_said(tmp_path, capsys):
    path = leave(tmp_path, "tmlqcd")
    (tmp_path / "nstore_counter").unlink()
    assert go_on(path) == 0
    assert "no nstore_counter (--side-files): tmLQCD goes on from what its input file names" in (
        capsys.readouterr().err)


@pytest.mark.parametrize("text, told", [
    ("14 61 conf.0012\n", "expected 13 and conf.0012, the last of the stream, found 14"),
    ("13 61 conf.0011\n", "found 13 and conf.0011"), ("13 conf.0012\n", "number trajectory file"),
    ("", "number trajectory file"), ("x 61 conf.0012\n", "number trajectory file"),
])
def test_a_counter_that_does_not_fit_is_refused(text, told, tmp_path, capsys):
    path = leave(tmp_path, "tmlqcd")
    (tmp_path / "nstore_counter").write_text(text)
    before = untouched(tmp_path)
    assert go_on(path) == 1
    assert told in capsys.readouterr().err
    assert untouched(tmp_path) == before


def test_a_later_save_is_refused(tmp_path, capsys):
    path = leave(tmp_path, "tmlqcd")
    (tmp_path / "conf.0013").write_bytes(b"")
    assert go_on(path) == 1
    assert "expected conf.0012 to be the last of its stream" in capsys.readouterr().err


def test_trajectories_and_saves_are_two_counts(tmp_path):
    """conf.0012 is of trajectory 60; ours are 61 and 62, the files conf.0013 and conf.0014."""
    path = with_header(tmp_path / "conf.0012")
    assert main(["sample", "--continue", str(path), "--kernel", "hmc", "--steps", "2", "--tune",
                 "0", "-n", "2", "--seed", "1"]) == 0
    assert files.header(tmp_path / "conf.0014")["trajectory"] == 62
    entry = json.loads((tmp_path / host_log.NAME).read_text())
    assert (entry["code"], entry["to"]) == ("tmLQCD", "conf.0014")
    assert entry["action"] == {"name": "wilson", "beta": 5.7}


def test_its_theory_is_asked(tmp_path, capsys):
    path = with_header(tmp_path / "conf.0012", more=", c2_rec = -0.331000\n kappa = 0.137000")
    words = ["sample", "--continue", str(path), "--kernel", "hmc", "--steps", "2", "--tune", "0"]
    assert main(words) == 1
    assert "tells of quarks (kappa = 0.137" in capsys.readouterr().err
    assert main([*words, "--quenched"]) == 0
    entry = json.loads((tmp_path / host_log.NAME).read_text())
    assert entry["action"]["name"] == "iwasaki" and entry["record"]["quenched"] is True
    assert main(["sample", "--continue", str(tmp_path / "conf.0013")]) == 0  # as the call before
