"""What `train` begins with: configurations of others, and what is recorded of them."""

import platform
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from l2hmc_bridge.adapters.streams import theory as stream_theory
from l2hmc_bridge.cli.screen.options import reading_of
from l2hmc_bridge.cli.screen.voice import say
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.fields import su3
from l2hmc_bridge.systems.decision import decide


def starting_links(settings, inputs, options, provenance):
    """The given configurations, dealt out to the groups of chains; None without any.

    A file that states its beta starts the chains of that beta, if there are such. What is said of
    the files' theories goes into `provenance`, too.
    """
    if not inputs:
        return None
    fields = _fields(settings, inputs, options, provenance)
    found, chains = {}, settings.stages[0].chains
    for index, beta in enumerate(settings.betas_of(settings.stages[0])):
        fitting = [links for stated, links in fields if stated == beta]
        if not fitting:
            say(f"no --in states beta {beta:g}: its chains start from all")
            fitting = [links for _, links in fields]
        found[index] = torch.cat([fitting[(index + n) % len(fitting)] for n in range(chains)])
    return found


def _fields(settings, inputs, options, provenance):
    """(beta, links) of every file; ActionError for those of another theory than is trained."""
    if settings.group != "su3":
        raise ConfigError(f"--in: expected none with action {settings.action}: files hold SU(3)")
    reading = reading_of(options, mend=True)
    x, y, z, t = settings.stages[0].lattice
    fields, theories, warnings = [], {}, []
    for path in inputs:
        configuration = reading.read(path)
        warnings += [f"{path}: {told}" for told in configuration.meta["warnings"]]
        links = su3.project_group(configuration.links)
        if tuple(links.shape[2:6]) != (t, x, y, z):
            found = ",".join(str(links.shape[n]) for n in (3, 4, 5, 2))
            raise ConfigError(f"{path}: expected the first stage's lattice {x},{y},{z},{t}, "
                              f"found {found}")
        theories[str(path)] = stream_theory.of(Path(path), configuration.meta)
        fields.append((theories[str(path)].beta, links))
    decision = decide({name: replace(one, beta=None) for name, one in theories.items()},
                    settings.action, 0.0, options["quenched"], "theory" in options["accept"],
                    "action =")
    provenance["theory"] = dict(decision.record)
    for sentence in (*decision.said, *decision.warnings, *warnings):
        say(sentence)
    return fields


def provenance_of(inputs) -> dict:
    """What the record of a training run says of where and from what it was made."""
    return {"date": datetime.now(UTC).isoformat(timespec="seconds"), "torch": torch.__version__,
            "python": platform.python_version(), "inputs": [str(path) for path in inputs]}
