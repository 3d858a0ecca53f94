"""`doctor` and `--version`: what is there, what is missing, what is broken."""

import json

import pytest

from l2hmc_bridge import __version__, fast
from l2hmc_bridge.adapters.public import examination
from l2hmc_bridge.cli import main
from l2hmc_bridge.errors import BundleError
from l2hmc_bridge.fast.cpu import library


def findings(capsys, status=0, seconds="0"):
    assert main(["doctor", "--json", "--seconds", seconds]) == status
    return {one["name"]: one for one in json.loads(capsys.readouterr().out)}


def test_what_serves_is_what_is_said(capsys):
    found = findings(capsys)
    serving = library.library()
    kernels = found["compiled kernels, double"]
    if serving is not None and fast.choice() == "auto":
        assert kernels["verdict"] == "good" and kernels["found"].startswith(serving.level)
    else:
        assert kernels["verdict"] == "absent"
    assert __version__ in found["l2hmc-bridge"]["found"]
    assert found["bundle that ships"]["verdict"] == "good"
    assert set(examination.PACKAGES) <= set(found)


def test_no_kernels_are_absent_and_say_the_way_out(monkeypatch, capsys):
    monkeypatch.setattr(library, "built", lambda dtype: {})
    kernels = findings(capsys)["compiled kernels, double"]
    assert kernels["verdict"] == "absent" and "C++ compiler" in kernels["advice"]


def test_kernels_that_cannot_be_loaded_are_broken(monkeypatch, capsys):
    monkeypatch.setattr(library, "library_of", lambda dtype: None)
    monkeypatch.setattr(library, "built", lambda dtype: {"avx2": "somewhere"})
    assert findings(capsys, status=1)["compiled kernels, double"]["verdict"] == "broken"


def test_a_damaged_bundle_is_broken(monkeypatch, capsys):
    def refuse(*_):
        raise BundleError("wilson: hash")

    monkeypatch.setattr(examination.bundle, "load", refuse)
    assert findings(capsys, status=1)["bundle that ships"]["found"] == "wilson: hash"


def test_a_gpu_whose_kernels_differ_is_broken(monkeypatch):
    monkeypatch.setattr(examination.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(examination.torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(examination.torch.cuda, "get_device_name", lambda device: "GPU")
    monkeypatch.setattr(examination.launch, "triton_available", lambda: True)
    monkeypatch.setattr(examination.launch, "trusted", lambda name, *_: name != "force")
    monkeypatch.setattr(examination.trials, "agrees", lambda name, *_: name != "clover")
    (found,) = examination.gpu()
    assert found.verdict == "broken" and found.found.endswith(": force, gradient of clover")
    monkeypatch.setattr(examination.launch, "trusted", lambda *_: True)
    monkeypatch.setattr(examination.trials, "agrees", lambda *_: True)
    assert next(examination.gpu()).verdict == "good"


@pytest.mark.parametrize("inside", ["", "qcd"])
def test_the_unrelated_gpt_is_not_gpt(inside, tmp_path, monkeypatch):
    (tmp_path / "gpt" / inside).mkdir(parents=True)
    (tmp_path / "gpt" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert bool(examination.version_of("gpt")) == bool(inside)


def test_the_table_and_the_speed(capsys):
    assert main(["doctor", "--seconds", "0.2"]) == 0
    said = capsys.readouterr().out
    assert "us per" in said and "processor" in said and "\nl2hmc-bridge:" not in said


def test_version_names_the_build(capsys):
    assert main(["--version"]) == 0
    said = capsys.readouterr().out
    for level in library.built():
        assert level in said
    assert said.startswith(f"l2hmc-bridge, version {__version__} (Python ")
