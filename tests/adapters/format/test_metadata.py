"""What texts and names tell of a configuration, and that no text can stall the reader."""

import time

import pytest

from l2hmc_bridge.adapters.format import metadata
from l2hmc_bridge.adapters.formats.lime import markup

TRAJECTORIES = {
    "ckpoint_lat.120": 120, "cfg_120.ildg": 120, "cfg_120.lime.nersc": 120, "120": 120,
    "conf.0042": 42, "wilson_b6.00_120.lime": 120, "stream.b6.0.00120.lime": 120, "cfg7.nersc": 7,
    "A654r000n120": 120, "run/sub_9/cfg_17.lime": 17, "lfn://USQCD/a_b5.7/cfg_18": 18,
    "milc_l4x6x8x10_b6.0.ildg": None, "wilson_b6.0": None, "lat.sample.l4444": None,
    "l4x6x8x10.ildg": None, "test_8_8_16.nersc": None, "weak_field.lime": None, "5p7": None,
    "lat.sample.5p7": None, "run_b6p0.120": None, "": None,
}


@pytest.mark.parametrize("name", TRAJECTORIES)
def test_trajectory_of_a_name(name):
    assert metadata.trajectory_of(name) == TRAJECTORIES[name]
    assert metadata.trajectory_of(None, name, "cfg_5.lime") == (
        5 if TRAJECTORIES[name] is None else TRAJECTORIES[name]
    )


# Names of configurations on 4,4,4,8 and 16,16,16,32.
WITH_EXTENTS = {
    "cfg_4448": None, "su3_4448.ildg": None, "conf_04040408.txt": None, "lat_8444": None,
    "conf_4.4.4.8": None, "conf_00000100_4448": 100, "conf_4448_120": 120, "cfg_4448_7": 7,
    "conf_4x4x4x8.120": 120, "quda_4_4_4_8.lime": None, "ckpoint_lat.120": 120,
    "cfg_004448": 4448, "b6.0_4448": None, "u_4x8.55": 55, "cfg.l4448.1000": 1000, "cfg_48": 48,
    "conf_4448_b6.0": None, "cfg_120_4x4x4x8.lime": 120,
}
LARGER = {"test_16_32_1000.ildg": 1000, "u_16x32.55": 55, "conf_16161632": None, "cfg_1632": 1632,
          "conf_24c48_0120": 120, "run_16c32.0040": 40}


@pytest.mark.parametrize("name, lattice, number", [
    *((name, (4, 4, 4, 8), number) for name, number in WITH_EXTENTS.items()),
    *((name, (16, 16, 16, 32), number) for name, number in LARGER.items())])
def test_extents_in_a_name_are_no_trajectory(name, lattice, number):
    assert metadata.trajectory_of(name, lattice=lattice) == number


PLAIN = {"gauge.description": "One plaquette gauge action."}
BETAS = [
    ({"beta": "6.0"}, {}, 6.0), ({"BETA": "5.7"}, {}, 5.7),
    ({"gauge.beta11": "6.0", **PLAIN}, {}, 6.0),
    ({"gauge.beta11": "7.0", "gauge.description": "Symanzik 1x1 + 1x2 + 1x1x1 action"}, {}, None),
    ({}, {"beta": ["5.85"], "Name": ["WILSON_GAUGEACT"]}, 5.85),
    ({}, {"beta": ["2.6"], "Name": ["RG_GAUGEACT"]}, None),
    ({"beta": "6.0"}, {"beta": ["6.00"]}, 6.0), ({"beta": "6.0"}, {"beta": ["5.9"]}, None),
    ({"beta": "six"}, {}, None), ({"beta": "1e999"}, {}, None), ({}, {}, None),
]


@pytest.mark.parametrize("info, tags, expected", BETAS)
def test_beta_only_where_it_is_unambiguous(info, tags, expected):
    assert metadata.beta_of(info, tags) == expected


def test_parameters_of_milc_and_tmlqcd():
    text = ('action.description = "Pure gauge"\n gauge.beta11 = 6.000000\nnoise\n'
            " trajectory nr = 42\n beta = 3.9, kappa = 0.16, mu = 0.1\nbeta = 4.0\n")
    assert metadata.parameters(text) == {
        "action.description": "Pure gauge", "gauge.beta11": "6.000000", "trajectory nr": "42",
        "beta": "3.9", "kappa": "0.16", "mu": "0.1",
    }


def test_what_holds_for_one_configuration_only_is_not_carried():
    info = {"gauge.ssplaq": "1.8", "gauge.nersc_linktr": "0", "gauge.nersc_checksum": "1",
            "time_stamp": "now", "nx": "4", "beta": "6.0", "gauge.nloops": "1"}
    assert metadata.lasting(info) == {"gauge.nloops": "1"}


@pytest.mark.slow
def test_no_text_takes_long():
    size = 1 << 20
    hostile = ["a = " + ", " * size + "x", "1" * size + "x", "a" * size + "1", "<" * size,
               "<a " * (size // 3), "<" + "a" * size, "<!" + " " * size, "a = 1, " * (size // 7),
               "\n" * size, "=" * size]
    start = time.perf_counter()
    for text in hostile:
        metadata.parameters(text)
        metadata.trajectory_of(text)
        metadata.beta_of({"beta": text}, {"beta": [text], "Name": [text]})
        markup.parse(text.encode())
    assert time.perf_counter() - start < 20  # half a second on an idle machine
