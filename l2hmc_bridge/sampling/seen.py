"""What an engine found at a field beside its force, handed on from trajectory to trajectory.

Blocked fields [Nb, ...] by a name that says what they are, so that an engine takes only what is its
own. Computed anew they are the same bit for bit: a state without them is slower and nothing else.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Seen = Mapping[str, Tensor]


def along(chosen: Tensor, field: Tensor) -> Tensor:
    """What is said of each chain [Nb], with axes so that it applies to a field [Nb, ...]."""
    return chosen.view(-1, *[1] * (field.ndim - 1))


def selected(accepted: Tensor, new: Seen | None, old: Seen | None) -> Seen | None:
    """`new` of the chains that accepted [Nb], `old` of the others; only what is known of all."""
    if new is None and old is None:
        return None
    if bool(accepted.all()):
        return new
    if not bool(accepted.any()):
        return old
    if new is None or old is None:
        return None
    return {name: torch.where(along(accepted, new[name]), new[name], old[name])
            for name in new if name in old}


def of_rows(seen: Seen | None, rows: Tensor) -> Seen | None:
    """That of these chains alone."""
    return None if seen is None else {name: field[rows] for name, field in seen.items()}


def joined(parts: Sequence[Seen | None], order: Tensor) -> Seen | None:
    """That of parts of a batch as that of the whole; only what is known of all."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    if len(known) == 1:
        return known[0]
    return {name: torch.cat([part[name] for part in known])[order] for name in known[0]
            if all(name in part for part in known)}
