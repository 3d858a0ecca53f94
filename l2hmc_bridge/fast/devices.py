"""Which device a computation runs on, by its name."""

import torch

from l2hmc_bridge.errors import ConfigError


def device_of(name: str) -> torch.device:
    """The device called `name`, "cpu" or "cuda[:N]"; ConfigError if this machine has none."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split("\n")[0].split())
        raise ConfigError(f"--device {name}: expected a device of this machine, found none: "
                          f"{reason}") from error
    return device
