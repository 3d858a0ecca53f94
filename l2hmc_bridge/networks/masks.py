"""Masks of links as text: one bit a link, in hexadecimal digits."""

import torch
from torch import Tensor

from l2hmc_bridge.errors import ConfigError


def packed(mask: Tensor) -> str:
    """Hexadecimal digits of a mask, the first link in the highest bit."""
    bits = "".join("1" if bit else "0" for bit in mask.flatten().tolist())
    return f"{int(bits, 2):0{-(-len(bits) // 4)}x}"


def unpacked(digits: str, shape: tuple[int, ...]) -> Tensor:
    """The inverse of `packed`, bool [*shape]; ConfigError if it is no mask of that shape."""
    count = torch.Size(shape).numel()
    try:
        bits = f"{int(digits, 16):0{count}b}"
    except (TypeError, ValueError):
        bits = ""
    if len(bits) != count:
        raise ConfigError(f"masks: expected {count} bits in hexadecimal, found {digits!r}")
    return torch.tensor([bit == "1" for bit in bits]).reshape(shape)
