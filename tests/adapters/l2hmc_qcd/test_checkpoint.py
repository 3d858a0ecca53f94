"""Checkpoints of l2hmc-qcd: the same forward map, an exact backward one, or a refusal by name."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from l2hmc_bridge.adapters.l2hmc_qcd import (
    checkpoint as l2hmc_qcd,
    kernel as l2hmc_qcd_kernel,
    masks as l2hmc_qcd_masks,
)
from l2hmc_bridge.bundle import architecture, file as bundle
from l2hmc_bridge.errors import BundleError, ConfigError, FormatError
from l2hmc_bridge.gate import laws, rows as gate
from l2hmc_bridge.networks.layered import LayeredDrift
from l2hmc_bridge.networks.masks import packed, unpacked
from l2hmc_bridge.systems.actions import U1Action
from l2hmc_bridge.systems.groups import GROUPS
from tests.support import upstream
from tests.support.upstream import Run, trained

RUNS = {
    "default": Run(units=(6, 6, 5), lattice=(4, 6), layers=3),
    "convolutions": Run(filters=((3, 3), (4, 2), (2, 2), (3, 2)), lattice=(4, 6)),
    "one convolution": Run(filters=((3, 3),), activation="elu", units=(4,)),
    "not split": Run(split=False, batch_norm=False, activation="tanh"),
    "shared": Run(shared=True, layers=3, activation="swish"),
    "weighted": Run(xnet_weights=(0.5, 2.0, -1.0), vnet_weights=(0.0, 0.3, 1.5),
                    activation="relu"),
}


@pytest.fixture(params=RUNS)
def run(request):
    return trained(RUNS[request.param])


def imported(path, run, **options):
    """The kernel of a checkpoint of `run`, its masks from the seed."""
    checkpoint = l2hmc_qcd.read(upstream.save(path, run))
    masks = l2hmc_qcd_masks.drawn(run.seed, 0, 0, checkpoint.layers, checkpoint.links)
    settled = l2hmc_qcd_masks.settle(checkpoint, masks, "the seed")
    settings = l2hmc_qcd_kernel.Settings(run.lattice, run.beta, run.activation, run.vnet_weights,
                                         run.xnet_weights)
    return l2hmc_qcd_kernel.build(checkpoint, settings._replace(**options), settled.frozen)


def phase_point(run, chains=3):
    generator = torch.Generator().manual_seed(11)
    shape = (chains, 2, *run.lattice)
    x = 3.1 * (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1)
    return x, torch.randn(shape, generator=generator, dtype=torch.float64)


@torch.no_grad()
def test_the_forward_map_is_upstreams(run, tmp_path):
    kernel, point = imported(tmp_path / "ckpt.tar", run), phase_point(run)
    ours, theirs = laws.forward_map(kernel)(*point), upstream.forward(run, *point)
    for one, other in zip(ours, theirs, strict=True):
        assert (one - other).abs().max() < 1e-12
    assert theirs[2].abs().min() > 1e-3 and (theirs[0] - point[0]).abs().max() > 0.1


@torch.no_grad()
def test_our_backward_map_is_its_inverse_and_theirs_is_not(run, tmp_path):
    kernel, point = imported(tmp_path / "ckpt.tar", run), phase_point(run)
    end = laws.forward_map(kernel)(*point)
    ours, theirs = laws.inverse_map(kernel)(*end[:2]), upstream.backward(run, *end[:2])
    assert GROUPS["u1"].project(ours[0] - point[0]).abs().max() < 1e-12
    assert (ours[1] - point[1]).abs().max() < 1e-12 and (ours[2] + end[2]).abs().max() < 1e-12
    assert GROUPS["u1"].project(theirs[0] - point[0]).abs().max() > 1e-3


@torch.no_grad()
def test_where_upstreams_backward_map_is_exact_it_is_ours(tmp_path):
    run = trained(Run(xnet_weights=(0.0, 1.0, 1.0)))
    kernel, point = imported(tmp_path / "ckpt.tar", run, use_ncp=False), phase_point(run)
    for one, other in zip(laws.inverse_map(kernel)(*point), upstream.backward(run, *point),
                          strict=True):
        assert (one - other).abs().max() < 1e-12


def test_directions_not_merged_are_a_choice_of_two(tmp_path):
    kernel = imported(tmp_path / "ckpt.tar", trained(Run()), merge_directions=False)
    assert kernel.composition == "direction"


@pytest.mark.slow
@torch.no_grad()
def test_a_bundle_keeps_map_and_masks(run, tmp_path):
    kernel, point = imported(tmp_path / "ckpt.tar", run), phase_point(run)
    bundle.save(tmp_path / "one.safetensors", kernel, {}, (run.beta, run.beta))
    loaded = bundle.load(tmp_path / "one.safetensors").kernel
    assert architecture.describe(loaded) == architecture.describe(kernel)
    for one, other in zip(laws.forward_map(loaded)(*point), laws.forward_map(kernel)(*point),
                          strict=True):
        assert (one - other).abs().max() < 1e-13


@pytest.mark.slow
def test_the_fingerprint_catches_another_mask(tmp_path, monkeypatch):
    path, kernel = tmp_path / "one.safetensors", imported(tmp_path / "ckpt.tar", trained(Run()))
    original = architecture.describe(kernel)["drift_network"]["masks"]
    other = f"{int(original[0], 16) ^ 1:08x}"
    describe = architecture.describe

    def changed(given):
        found = describe(given)
        found["drift_network"]["masks"][0] = other
        return found

    monkeypatch.setattr(architecture, "describe", changed)
    bundle.save(path, kernel, {}, (1.5, 1.5))
    monkeypatch.undo()
    with pytest.raises(BundleError, match="fingerprint"):
        bundle.load(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_exact_laws_hold(name, tmp_path):
    kernel = imported(tmp_path / "ckpt.tar", trained(RUNS[name]))
    generator = torch.Generator().manual_seed(5)
    point = phase_point(RUNS[name], 4)[0]
    checks = gate.quick(kernel, point, generator) + gate.jacobian(kernel, generator)
    assert not [check for check in checks if not check.passed]


def plant(monkeypatch, update):
    """A defect in the backward drift; the exact forward update stays."""
    group = GROUPS["u1"]
    monkeypatch.setattr(LayeredDrift, "update", lambda self, x, a, c, sign:
                        group.update(x, a, c) if sign > 0 else update(x, a, c))


def upstreams(x, a, c):
    moved = GROUPS["u1"].update(x, -a, -torch.exp(-a) * c)
    return moved


@pytest.mark.slow
@pytest.mark.parametrize("defect, row", [
    (upstreams, "inverse: U after Phi, Phi^-1"),
    (lambda x, a, c: (GROUPS["u1"].update_back(x, a, c)[0], 0 * x), "inverse: log|J| cancels"),
    (lambda x, a, c: (GROUPS["u1"].update_back(x, a, c)[0], 0 * x),
     "log|J| of the proposal, random networks"),
])
def test_the_gate_refuses_an_inexact_backward_map(defect, row, tmp_path, monkeypatch):
    run = trained(Run())
    kernel, point = imported(tmp_path / "ckpt.tar", run), phase_point(run)[0]
    plant(monkeypatch, defect)
    generator = torch.Generator().manual_seed(5)
    checks = gate.quick(kernel, point, generator) + gate.jacobian(kernel, generator)
    assert row in {check.name for check in checks if not check.passed}


@torch.no_grad()
def test_the_planted_defect_is_upstreams(tmp_path, monkeypatch):
    run = trained(Run())
    kernel, point = imported(tmp_path / "ckpt.tar", run), phase_point(run)
    plant(monkeypatch, upstreams)
    for one, other in zip(laws.inverse_map(kernel)(*point), upstream.backward(run, *point),
                          strict=True):
        assert (one - other).abs().max() < 1e-12


def test_training_leaves_the_masks_in_the_coefficients(tmp_path):
    """Three Adam steps through the formulas, coefficients from 0 as in the constructor."""
    run = trained(Run(seed=3), dtype=torch.float64)
    for name, value in run.state.items():
        if name.endswith(".coeff"):
            value.zero_()
    weights = [value.requires_grad_() for name, value in run.state.items()
               if value.is_floating_point() and "running" not in name]
    adam = torch.optim.Adam(weights, lr=1e-3)
    x, v = phase_point(run)
    for _ in range(3):
        adam.zero_grad()
        end, momenta, log_det = upstream.forward(run, x, v)
        (end.cos().mean() + momenta.square().mean() + log_det.mean()).backward()
        adam.step()
    state = {name: value.detach() for name, value in run.state.items()}
    checkpoint = l2hmc_qcd.read(upstream.save(tmp_path / "ckpt.tar", replace(run, state=state)))
    found = l2hmc_qcd_masks.settle(checkpoint, None, "")
    expected = torch.stack(run.masks()).reshape(run.layers, -1) == 1
    assert found.confirmed == expected.numel() and torch.equal(found.frozen, expected)


def test_a_wrong_seed_is_refused_where_the_weights_tell(tmp_path):
    run = trained(Run())
    checkpoint = l2hmc_qcd.read(upstream.save(tmp_path / "ckpt.tar", run))
    for wrong in ((run.seed + 1, 0, 0), (run.seed, 1, 0), (run.seed, 0, 1)):
        masks = l2hmc_qcd_masks.drawn(*wrong, run.layers, run.links)
        with pytest.raises(ConfigError, match="another seed, rank or order"):
            l2hmc_qcd_masks.settle(checkpoint, masks, f"seed {wrong}")


def test_ranks_multiply_the_seed():
    one = l2hmc_qcd_masks.drawn(5, 2, 1, 3, 32)
    assert torch.equal(one, l2hmc_qcd_masks.drawn(30, 0, 0, 3, 32))
    assert (one.sum(1) == 16).all()
    with pytest.raises(ConfigError, match="below 2\\^32"):
        l2hmc_qcd_masks.drawn(2**31, 1, 1, 3, 32)


def test_several_processes_leave_part_of_the_trace(tmp_path):
    """What one of two ranks moved is moved: neither's masks are told, a third's are refused."""
    one, two = trained(Run(seed=7)), trained(Run(seed=8))
    state = {name: torch.where(value == 0, two.state[name], value) if name.endswith("coeff")
             else value for name, value in one.state.items()}
    checkpoint = l2hmc_qcd.read(upstream.save(tmp_path / "ckpt.tar", replace(one, state=state)))
    with pytest.raises(ConfigError, match="--seed .*--masks.* of 64 of their bits"):
        l2hmc_qcd_masks.settle(checkpoint, None, "")
    for seed in (7, 8):
        masks = l2hmc_qcd_masks.drawn(seed, 0, 0, 2, 32)
        assert 0 < l2hmc_qcd_masks.settle(checkpoint, masks, "").confirmed < 64
    with pytest.raises(ConfigError, match="another seed"):
        l2hmc_qcd_masks.settle(checkpoint, l2hmc_qcd_masks.drawn(9, 0, 0, 2, 32), "seed 9")


@pytest.mark.parametrize("name", ["not split", "shared"])
def test_where_nothing_is_told_masks_are_asked_for(name, tmp_path):
    run = trained(RUNS[name])
    checkpoint = l2hmc_qcd.read(upstream.save(tmp_path / "ckpt.tar", run))
    with pytest.raises(ConfigError, match="does not save its masks"):
        l2hmc_qcd_masks.settle(checkpoint, None, "")
    wrong = l2hmc_qcd_masks.drawn(run.seed + 1, 0, 0, run.layers, run.links)
    assert l2hmc_qcd_masks.settle(checkpoint, wrong, "seed").confirmed == 0


@pytest.mark.parametrize("dtype", [np.float32, bool, np.int64])
def test_masks_from_a_file(dtype, tmp_path):
    run = Run()
    masks = torch.stack(run.masks()).reshape(2, 1, 32)
    np.save(tmp_path / "masks.npy", masks.numpy().astype(dtype))
    assert torch.equal(l2hmc_qcd_masks.read(tmp_path / "masks.npy", 2, 32), masks[:, 0] == 1)


@pytest.mark.parametrize("array, found", [
    (np.zeros((2, 31)), "found \\[2, 31\\]"), (np.full((2, 32), 0.5), "found other numbers"),
    (np.full((2, 32), np.nan), "found other numbers"),
    (np.array([[{}] * 32] * 2), "expected masks as an .npy file"), (b"nothing", ".npy file"),
])
def test_bad_masks_are_refused(array, found, tmp_path):
    path = tmp_path / "masks.npy"
    if isinstance(array, bytes):
        path.write_bytes(array)
    else:
        np.save(path, array)
    with pytest.raises(FormatError, match=found):
        l2hmc_qcd_masks.read(path, 2, 32)


@pytest.mark.parametrize("shape", [(2, 4, 4), (2, 3, 5)])
def test_masks_travel_as_digits(shape, generator):
    mask = torch.rand(shape, generator=generator) < 0.5
    mask[0, 0] = False
    assert torch.equal(unpacked(packed(mask), shape), mask)
    for digits in ("", "zz", packed(mask) + "f" * 9):
        with pytest.raises(ConfigError, match="bits in hexadecimal"):
            unpacked(digits, shape)


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickled_object_is_named_and_not_loaded(tmp_path):
    path = upstream.save(tmp_path / "ckpt.tar", trained(Run()), metrics=Evil(tmp_path / "made"))
    with pytest.raises(FormatError, match="tensors and numbers only.*object of posix.mkdir"):
        l2hmc_qcd.read(path)
    assert not (tmp_path / "made").exists()


def without(name):
    return lambda content: content.pop(name)


def edited(name, change):
    """Every copy of a weight of the state dict changed; None takes it out."""

    def apply(content):
        state = content["model_state_dict"]
        for prefix in ("", "networks."):
            if prefix + name in state:
                value = state.pop(prefix + name)
                if change is not None:
                    state[prefix + name] = change(value)

    return apply


def renamed(content):
    content["model_state_dict"]["module.xnet.0.first.transl.bias"] = torch.zeros(32)


BAD = {
    "no state dict": (without("model_state_dict"), "none called model_state_dict"),
    "no xeps": (without("xeps"), "none called xeps"),
    "no list": (lambda c: c.update(model_state_dict=[1.0]), "hold tensors by name, found list"),
    "NaN": (edited("vnet.1.transl.bias", lambda w: w * np.nan), "vnet.1.transl.bias: .*NaN"),
    "no step": (edited("xeps.0", None), "xeps.0, xeps.1, ..., found \\[1\\]"),
    "a negative step": (edited("veps.0", lambda w: -w), "veps: expected positive"),
    "another step": (edited("veps.0", lambda w: 2 * w), "veps: expected the step sizes of"),
    "steps of no number": (lambda c: c.update(xeps="many"), "xeps: expected the step sizes of"),
    "a bias missing": (edited("vnet.0.hidden_layers.0.bias", None),
                       "expected the networks of all layers to be alike, found another hidden"),
    "other units": (edited("xnet.1.first.scale.layer.weight", lambda w: w[:, :3]),
                    "alike, found another scale.layer.weight"),
    "a network missing": (lambda c: [edited(name, None)(c) for name in list(c["model_state_dict"])
                                     if name.startswith("xnet.1.second")],
                          "xnet: expected one network, or 2 for each of 2 layers"),
    "no networks": (lambda c: [c["model_state_dict"].pop(name)
                               for name in list(c["model_state_dict"]) if "net." in name],
                    "found none: plain HMC needs no import"),
    "unknown name": (renamed, "found module.xnet"),
    "a copy that differs": (lambda c: c["model_state_dict"]["networks.vnet.0.transl.bias"].add_(1),
                            "networks.vnet.0.transl.bias: expected the same numbers"),
    "complex": (edited("vnet.0.transl.bias", lambda w: w + 1j), "expected real numbers"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_upstreams_layout_is_refused_by_name(name, tmp_path):
    change, message = BAD[name]
    path = upstream.save(tmp_path / "ckpt.tar", trained(Run()), change)
    with pytest.raises(FormatError, match=message) as caught:
        l2hmc_qcd.read(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\3\4" + b"\0" * 50])
def test_what_is_no_torch_file_is_refused(content, tmp_path):
    path = tmp_path / "ckpt.tar"
    path.write_bytes(content)
    with pytest.raises(FormatError, match="expected a torch file"):
        l2hmc_qcd.read(path)
    with pytest.raises(FormatError, match="found no file"):
        l2hmc_qcd.read(tmp_path / "none.tar")


@pytest.mark.parametrize("change, message", [
    (lambda w: w | {"batch_norm.running_mean": None}, "expected batch_norm.running_mean"),
    (lambda w: w | {"attention.weight": torch.ones(2)}, "found attention.weight"),
    (lambda w: w | {"input_layer.xlayer.weight": torch.ones(6, 33)}, "xlayer.weight: expected"),
])
def test_networks_of_another_make_are_refused(change, message, tmp_path):
    run = trained(Run(shared=True))
    checkpoint = l2hmc_qcd.read(upstream.save(tmp_path / "ckpt.tar", run))
    weights = {k: v for k, v in change(checkpoint.kicks[0]).items() if v is not None}
    with pytest.raises(FormatError, match=message):
        l2hmc_qcd_kernel.build(checkpoint._replace(kicks=[weights]),
                               l2hmc_qcd_kernel.Settings(run.lattice, run.beta),
                               torch.zeros(2, 32, dtype=torch.bool))


def test_su3_is_refused_by_name(tmp_path):
    """Nine complex entries a link out, eight components in, as its networks are built."""
    links = 4 * 2**4
    state = {"xeps.0": torch.tensor(0.1), "veps.0": torch.tensor(0.1)}
    for part, fields in (("vnet", (8, 8)), ("xnet", (18, 18))):
        for name, size in (("xlayer", fields[0]), ("vlayer", fields[1])):
            state[f"{part}.input_layer.{name}.weight"] = torch.ones(4, size * links)
        for name in ("scale.coeff", "transf.coeff"):
            state[f"{part}.{name}"] = torch.zeros(1, 9 * links)
        state[f"{part}.transl.bias"] = torch.zeros(9 * links)
    torch.save(state, tmp_path / "model.pth")
    with pytest.raises(FormatError, match="SU\\(3\\): its drift masks matrix elements"):
        l2hmc_qcd.read(tmp_path / "model.pth")


@torch.no_grad()
def test_the_state_dict_alone_is_enough(tmp_path):
    run = trained(Run())
    torch.save(run.state, tmp_path / "model.pth")
    whole = l2hmc_qcd.read(upstream.save(tmp_path / "ckpt.tar", run))
    alone = l2hmc_qcd.read(tmp_path / "model.pth")
    assert whole.counters == {"era": 1, "epoch": 20, "gstep": 120} and alone.counters == {}
    assert torch.equal(alone.xeps, whole.xeps)
    assert all(torch.equal(alone.kicks[1][k], v) for k, v in whole.kicks[1].items())


@pytest.mark.slow
@pytest.mark.parametrize("options, error, message", [
    ({"lattice": (4, 6)}, FormatError, "expected the networks of a lattice of 48 links"),
    ({"use_ncp": False}, ConfigError, "use_ncp: .*no inverse"),
    ({"activation": "sine"}, FormatError, "with one of leaky_relu"),
])
def test_settings_that_do_not_fit_are_refused(options, error, message, tmp_path):
    with pytest.raises(error, match=message):
        imported(tmp_path / "ckpt.tar", trained(Run()), **options)


@pytest.mark.parametrize("part", ["kick_network", "drift_network"])
def test_networks_of_layers_are_imported_and_not_begun(part):
    with pytest.raises(ConfigError, match="missing"):
        architecture.untrained(U1Action(2.0), "leapfrog", 0.1, 2, shape=(2, 4, 4),
                               **{part: {"kind": "l2hmc-qcd"}})


def test_other_pooling_is_refused(tmp_path):
    run = trained(Run(filters=((3, 3), (4, 2), (2, 2))))
    place = "input_layer.conv_stack.layers.10.weight"
    assert f"vnet.0.{place}" in run.state
    state = {k: torch.cat([v, v], 1) if k.endswith(place) else v for k, v in run.state.items()}
    with pytest.raises(FormatError, match="pooling by 2 is expected"):
        imported(tmp_path / "ckpt.tar", replace(run, state=state))
