"""What a kernel is given is looked at: arrays, shapes, and links that are no group elements."""

import numpy as np
import pytest
import torch

import l2hmc_bridge as lb
from l2hmc_bridge.errors import ActionError, LayoutError, VerificationError
from l2hmc_bridge.sampling import markov
from l2hmc_bridge.sampling.heatbath import HeatBath
from l2hmc_bridge.sampling.hmc import HMC
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.sampling.levels import Level
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.sampling.terms import HostTerm
from l2hmc_bridge.systems.actions import GaugeAction, U1Action, hot_start
from l2hmc_bridge.systems.checks import GROUP_BOUND, check_field
from l2hmc_bridge.systems.mixtures import GaussianMixture
from tests.l2hmc.test_kernel import make_kernel

LINKS = hot_start((2, 2, 4, 2), torch.Generator().manual_seed(2), 2)
WILSON = GaugeAction(5.7)
HMC_KERNEL = HMC(WILSON, 0.1, 2)
LEARNED = make_kernel("all", torch.Generator().manual_seed(3), "omf2", steps=1, action=WILSON)
KERNELS = [HMC_KERNEL, LEARNED, lb.Hosted(HMC_KERNEL, lb.HostAction(WILSON)),
           lb.Mixture([(HMC_KERNEL, 1), (LEARNED, 1)])]
NESTED = Nested(HMC_KERNEL, (Level("outer", (HostTerm("host", WILSON, WILSON.force),),
                                   schedule("leapfrog", 0.1, 1)),))


def one_wrong(links, change):
    """A copy of which `change` alters one matrix, in the second chain."""
    links = links.clone()
    links[1, 2, 1, 0, 3, 1] = change(links[1, 2, 1, 0, 3, 1])
    return links


WRONG = {
    "array": (LINKS.numpy(), LayoutError, "expected a torch tensor, found ndarray"),
    "shape": (LINKS[0], LayoutError, r"expected \[Nb,4,Nt,Nx,Ny,Nz,3,3\]"),
    "no chain": (LINKS[:0], LayoutError, r"at least one chain, found \[0, 4, 2, 2, 4, 2, 3, 3\]"),
    "directions": (LINKS[:, :3], LayoutError, r"expected \[Nb,4,Nt,Nx,Ny,Nz,3,3\]"),
    "real": (LINKS.real, LayoutError, "expected complex numbers, found torch.float64"),
    "scaled": (LINKS * 1.001, VerificationError, r"at most 2e-05, found 0.002 and 0.003"),
    "one": (one_wrong(LINKS, lambda m: 1.001 * m), VerificationError, "found 0.002 and 0.003"),
    "phase": (one_wrong(LINKS, lambda m: 1j * m), VerificationError, "project_group"),
    "swapped": (one_wrong(LINKS, lambda m: m[[1, 0, 2]]), VerificationError, "found .* and 2 "),
    "nan": (one_wrong(LINKS, lambda m: m * np.nan), VerificationError, "found NaN or infinity"),
    "zero": (one_wrong(LINKS, lambda m: 0 * m), VerificationError, "found 1 and 1 "),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_field_is_refused_at_every_door(name):
    links, kind, found = WRONG[name]
    generator = lb.trajectory_generator(1, 0, 1)
    with pytest.raises(kind, match=found):
        check_field(links, WILSON)
    for kernel in KERNELS:
        good = kernel.init(LINKS)
        for enter in (lambda kernel: kernel.init(links),
                      lambda kernel: kernel.propose(links, generator),
                      lambda kernel, good=good: kernel.step(good._replace(links=links), generator)):
            with pytest.raises(kind, match=found) as caught:
                enter(kernel)
            assert isinstance(caught.value, lb.BridgeError)


def test_no_chain_and_what_is_no_number_are_refused_where_nothing_is_proposed():
    bath = HeatBath(WILSON)
    state = bath.init(LINKS)
    with pytest.raises(LayoutError, match="at least one chain"):
        bath.init(LINKS[:0])
    with pytest.raises(LayoutError, match="at least one chain"):
        bath.step(state._replace(links=LINKS[:0]), lb.trajectory_generator(1, 0, 1))
    with pytest.raises(lb.BridgeError, match="at least one chain"):
        NESTED.init(LINKS[:0])
    conjugate = one_wrong(LINKS, lambda m: m * np.nan).conj()
    with pytest.raises(VerificationError, match="found NaN"):
        check_field(conjugate, WILSON)
    check_field(LINKS.conj(), WILSON)


def test_a_host_is_not_called_for_what_is_no_field():
    called = []
    host = lb.HostAction(lambda links: called.append(1) or WILSON(links),
                         refresh=lambda links, generator: called.append(2))
    hosted = lb.Hosted(HMC(WILSON, 0.1, 2), host)
    with pytest.raises(VerificationError):
        hosted.propose(1.001 * LINKS, lb.trajectory_generator(1, 0, 1))
    assert not called
    hosted.propose(LINKS, lb.trajectory_generator(1, 0, 1))
    assert called == [2, 1, 1]


def test_rounding_is_no_reason_to_refuse():
    """Double and single precision, and single-precision numbers in a double field, as files are."""
    for links in (LINKS, LINKS.to(torch.complex64), LINKS.to(torch.complex64).to(LINKS)):
        check_field(links, WILSON)
        HMC(WILSON, 0.1, 2).init(links)
    check_field(one_wrong(LINKS, lambda m: m * (1 + 0.3 * GROUP_BOUND)), WILSON)
    check_field(torch.empty(LINKS.shape, dtype=LINKS.dtype, device="meta"), WILSON)


def test_fields_of_other_systems():
    angles, mixture = torch.zeros(1, 2, 4, 4, dtype=torch.float64), GaussianMixture()
    check_field(angles, U1Action(2.0))
    check_field(torch.zeros(3, 2, dtype=torch.float64), mixture)
    for field, action, found in (
        (angles[0], U1Action(2.0), "expected .Nb,2,Nt,Nx"), (LINKS, U1Action(2.0), "expected"),
        (angles[:0], U1Action(2.0), "one chain"), (torch.zeros(0, 2), mixture, "one chain"),
        (torch.zeros(()), mixture, "Nb,n"),
        (angles, mixture, r"expected \[Nb,n\]"), (angles.int(), U1Action(2.0), "real numbers"),
    ):
        with pytest.raises(LayoutError, match=found):
            check_field(field, action)
    for field, action in ((angles + np.nan, U1Action(2.0)),
                          (torch.full((3, 2), np.inf, dtype=torch.float64), mixture)):
        with pytest.raises(VerificationError, match="finite"):
            check_field(field, action)


def test_a_group_without_a_table_is_refused():
    with pytest.raises(ActionError, match="expected one of su3, u1, vector"):
        check_field(LINKS, GaugeAction(5.7, group="su2"))


def test_a_stream_does_not_check_what_it_made(monkeypatch):
    """Its path takes the state as it is; kernel.step, the public door, looks."""
    looked = []
    monkeypatch.setattr("l2hmc_bridge.sampling.hmc.check_field",
                        lambda links, action: looked.append(links))
    kernel, generator = HMC(WILSON, 0.1, 2), lb.trajectory_generator(1, 0, 1)
    state = kernel.init(LINKS)
    kernel.step(state, generator)
    assert len(looked) == 2
    markov.step(kernel, state, generator)
    assert len(looked) == 2
