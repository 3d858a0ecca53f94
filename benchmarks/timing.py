"""What every benchmark needs: the time of a call, the machine it ran on, a table on the screen."""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch

from l2hmc_bridge.fast.cpu import library


def best(function: Callable, budget: float = 1.0, least: int = 3) -> float:
    """Fastest call in seconds: at least `least` calls, more until `budget` is spent."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    if budget > 0:
        function()
    times, start = [], time.perf_counter()
    while len(times) < least or (time.perf_counter() - start < budget and len(times) < 200):
        begin = clock()
        function()
        times.append(clock() - begin)
    return min(times)


def machine() -> dict:
    """What this ran on."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().split("\n")
        names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
        model = names[0] if names else model
    return {"processor": model, "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2),
            "build": library.library().level, "torch": torch.__version__}


def show(title: str, table: list[dict]) -> None:
    """Print the rows with one column per key."""
    print(f"\n{title}")
    keys = list(dict.fromkeys(key for row in table for key in row))
    texts = [[_text(row.get(key)) for key in keys] for row in table]
    widths = [max(len(key), *(len(row[i]) for row in texts)) for i, key in enumerate(keys)]
    print("  ".join(key.ljust(width) for key, width in zip(keys, widths, strict=True)))
    for row in texts:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)))


def _text(value) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
