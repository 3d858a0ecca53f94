"""What the processes that share a lattice settle together: what failed in any, what one raised.

All of them call these alike. A process that shares its field with nobody agrees with itself.
"""

from collections.abc import Callable
from typing import TypeVar, cast

import torch
from torch import Tensor

from l2hmc_bridge.errors import ActionError, BridgeError
from l2hmc_bridge.fields import part as parts
from l2hmc_bridge.fields.part import Part

Told = TypeVar("Told")
APART = 1e-9  # of 1 + |S|: rounding of sums that each process has made


def sharing(field: Tensor) -> Part | None:
    """The part that `field` is one of, if other processes hold the rest of the lattice."""
    held = parts.of(field)
    return held if held is not None and held.cut else None


def failed(error: Exception | None, chains: Tensor, field: Tensor) -> Tensor:
    """Which chains, bool [Nb], failed in any process; what one raised is raised in all of them."""
    refused = torch.tensor([error is not None])
    found = anywhere(torch.cat((refused, chains.cpu())), field)
    if found[0]:
        held = sharing(field)
        if held is not None:
            held.network.agreed(error)
        elif error is not None:
            raise error
    return found[1:].to(chains.device)


def attempted(
    who: str, ask: Callable[[], Told], lost: Told, field: Tensor
) -> tuple[Told, BridgeError | None]:
    """(what `ask` returns, or `lost`; the error of this package that it raised).

    If several processes share the lattice, any other error becomes an ActionError: the others must
    hear of it. Of one process it is raised as it is.
    """
    try:
        return ask(), None
    except BridgeError as error:
        return lost, error
    except Exception as error:
        if sharing(field) is None:
            raise
        said = " ".join(str(error).split())[:200]
        named = ActionError(f"{who}: expected a value, found {type(error).__name__}: {said}")
        named.__cause__ = error
        return lost, named


def settled(who: str, ask: Callable[[], Told], field: Tensor) -> Told:
    """What `ask` returns in this process; what it raises in one is raised in all."""
    if sharing(field) is None:
        return ask()
    value, error = attempted(who, ask, None, field)
    failed(error, torch.zeros(0, dtype=torch.bool), field)
    return cast(Told, value)


def anywhere(flags: Tensor, field: Tensor) -> Tensor:
    """Which flags, bool, are set in any process."""
    held = sharing(field)
    if held is None:
        return flags
    return held.network.largest(flags.double().cpu()).to(flags.device) > 0


def everywhere_finite(field: Tensor) -> bool:
    """Whether the numbers of a field are finite in all processes."""
    numbers = field.detach().resolve_conj()
    spoiled = ~(torch.view_as_real(numbers) if numbers.is_complex() else numbers).isfinite().all()
    return not bool(anywhere(spoiled, field))


def of_first(value: Told) -> Told:
    """What the first process has, if several share a lattice now."""
    held = parts.current()
    return held.network.made(lambda: value) if held is not None and held.cut else value


def of_all(sums: Tensor, field: Tensor) -> Tensor:
    """Sums over all processes, [Nb], that a host has made in each: one of them, the same in all.

    Raises ActionError, in all, where they differ by more than rounding: a sum over the sites of
    one process is none over the lattice.
    """
    held = sharing(field)
    if held is None:
        return sums
    most, least = held.network.largest(torch.stack((sums, -sums)).cpu())
    apart = float(((most + least) / (1 + most.abs())).nan_to_num(0.0).max())
    if apart > APART:
        raise ActionError(f"expected one S in all processes, the sum over all of them, found a "
                          f"difference of {apart:.1e} of it between them (each has summed over "
                          "its own sites alone?)")
    return most.to(sums.device)


def own(field: Tensor) -> Tensor:
    """The sites of this process alone."""
    held = sharing(field)
    return field if held is None else held.kept(field)


def with_copies(part: Part, own: Tensor) -> Tensor:
    """The field of a part from its own sites [Nb,4,...,3,3], and those of others beside them."""
    held = own.new_empty((*own.shape[:2], *part.held, *own.shape[6:]))
    part.kept(held).copy_(own)
    parts.renew(part, held)
    return held


def completed(own: Tensor, like: Tensor) -> Tensor:
    """A field like `like` from the sites of this process."""
    held = sharing(like)
    return own if held is None else with_copies(held, own)
