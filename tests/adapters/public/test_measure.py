"""`measure`: one answer whether links, a configuration, files or an ensemble are given."""

import numpy as np
import pytest
import torch

import l2hmc_bridge as lb
from l2hmc_bridge.errors import ActionError, BridgeError, ConfigError, LayoutError
from l2hmc_bridge.fields import layout
from l2hmc_bridge.observables import standard
from tests.cli.sample.test_sample import write_start
from tests.support.fields import rough_links


@pytest.fixture
def paths(tmp_path):
    return [write_start(tmp_path / f"cfg_{n}.ildg", trajectory=n, seed=n) for n in (3, 10)]


@pytest.fixture
def links(paths):
    return torch.cat([lb.read(path).links for path in paths])


def test_every_source_gives_the_same_numbers(paths, links, tmp_path):
    expected = lb.measure(links)
    ensemble = lb.open_ensemble(paths)
    for source in (paths, [str(path) for path in paths], tmp_path, str(tmp_path / "cfg_*.ildg"),
                   ensemble):
        found = lb.measure(source)
        assert found["trajectory"].tolist() == [3, 10]
        for name, values in expected.items():
            assert np.allclose(found[name], values, rtol=0, atol=1e-13), name
    alone = lb.measure(lb.read(paths[1]))
    assert alone["plaquette"] == pytest.approx(expected["plaquette"][1:], abs=1e-14)
    assert lb.measure(paths[1])["chain"].tolist() == [0]


def test_names_and_numbers_are_those_of_the_observables(links):
    found = lb.measure(links, traceless=False)
    for name in ("plaquette", "plaquette_tx", "rectangle", "link_trace", "polyakov_loop_x_imag",
                 "energy_density_plaquette", "unitarity_defect"):
        assert found[name].shape == (2,) and found[name].dtype == np.float64
        assert np.allclose(found[name], standard.MEASUREMENTS[name](links), atol=1e-14), name
    kept = standard.energy_density(links, traceless=False)
    assert np.allclose(found["energy_density"], kept, atol=1e-13)
    assert not np.allclose(lb.measure(links)["energy_density"], kept, atol=1e-6)


def test_a_plan_by_keywords(links):
    found = lb.measure(links, flow_time=0.1, flow_step=0.05, wilson_loops=2, smear="stout")
    assert (found["flow_0.1_plaquette"] > found["flow_0_plaquette"]).all()
    assert np.array_equal(found["flow_0_plaquette"], found["plaquette"])
    assert np.isnan(found["t0"]).all()  # not reached
    assert {"wilson_loop_1x2", "smeared_plaquette"} <= set(found)


def test_a_stream_is_measured_chain_by_chain(paths, tmp_path):
    lb.begin_stream(lb.SampleOptions(inputs=paths[0], out=tmp_path / "s", trajectories=2, seed=1,
                                     kernel="hmc", tune=0, chains=2))
    found = lb.measure(tmp_path / "s")
    assert found["chain"].tolist() == [0, 0, 1, 1]
    assert found["trajectory"].tolist() == [4, 5, 4, 5]


def test_wrong_sources_and_plans(paths, links, tmp_path):
    with pytest.raises(LayoutError, match="expected a torch tensor, found ndarray"):
        lb.measure(links.numpy())
    with pytest.raises(LayoutError, match="found a sequence with Tensor"):
        lb.measure([links])
    with pytest.raises(ConfigError, match="flow_time.*found flowtime"):
        lb.measure(links, flowtime=1.0)
    with pytest.raises(ActionError, match="smearing"):
        lb.measure(links, smear="hot")
    broken = tmp_path / "broken.ildg"
    broken.write_bytes(paths[0].read_bytes()[:-5000])
    with pytest.raises(BridgeError, match="broken.ildg"):
        lb.measure([paths[0], broken])
    with pytest.raises(BridgeError, match="none.ildg"):
        lb.measure(tmp_path / "none.ildg")


def test_verify_false_measures_what_fails_its_checks(tmp_path):
    links = 1.01 * rough_links(torch.Generator().manual_seed(1), (6, 2, 4, 2))
    np.save(tmp_path / "wrong.npy", layout.from_links(
        links, layout.FILE_AXES, layout.FILE_DIRECTIONS))
    with pytest.raises(BridgeError, match="unitarity"):
        lb.measure(tmp_path / "wrong.npy")
    found = lb.measure(tmp_path / "wrong.npy", verify=False)
    assert found["plaquette"] == pytest.approx(lb.measure(links)["plaquette"], abs=1e-13)
