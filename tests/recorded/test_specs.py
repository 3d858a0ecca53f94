"""The kernel in a definition: what is stored comes back, in the words that were stored."""

import json

import pytest

from l2hmc_bridge.errors import StreamError
from l2hmc_bridge.recorded import specs
from l2hmc_bridge.recorded.specs import BundleSpec, HmcSpec

STORED = [
    {"kind": "hmc", "integrator": "omf2", "step_size": 0.1 + 0.2, "steps": 3},
    {"kind": "l2hmc", "bundle": "/a/b.safetensors", "hash": "ab"},  # before `nature` was stored
    {"kind": "l2hmc", "bundle": "b.safetensors", "hash": "ab", "nature": "tuned integrator"},
]


@pytest.mark.parametrize("entries", STORED)
def test_entries_survive(entries):
    spec = specs.restored(entries)
    assert isinstance(spec, HmcSpec if entries["kind"] == "hmc" else BundleSpec)
    assert spec.stored() == entries
    assert json.dumps(spec.stored()) == json.dumps(entries)  # order, too


@pytest.mark.parametrize("entries, found", [
    ({"kind": "other"}, "expected one of hmc, heatbath, l2hmc, nested, found 'other'"),
    ({}, "kind: expected a value, found none"),
    ({"kind": "hmc", "steps": 3}, "integrator: expected a value, found none"),
    ({**STORED[0], "steps": 2.0}, "steps: expected a whole number from 1 to 100000, found 2.0"),
    ({**STORED[0], "step_size": 1e6}, "step_size: expected a finite number from 0 to 100"),
    ({**STORED[0], "integrator": "rk4"}, "integrator: expected one of leapfrog"),
    ({"kind": "l2hmc", "bundle": "b", "hash": "a", "more": 1}, "expected the entries kind, bundle"),
    ({"kind": "l2hmc", "bundle": 1, "hash": "a"}, "bundle: expected a text, found 1"),
])
def test_entries_of_no_kernel_are_refused(entries, found):
    with pytest.raises(StreamError, match=found):
        specs.restored(entries)
