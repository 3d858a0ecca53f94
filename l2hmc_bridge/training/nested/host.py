"""The host that a training file names, and the step around its terms that training starts from."""

import importlib
import inspect
import math
from collections.abc import Callable

from l2hmc_bridge import models
from l2hmc_bridge.bundle import architecture, file as bundle, nested as nested_bundle
from l2hmc_bridge.errors import ConfigError
from l2hmc_bridge.l2hmc.kernel import L2HMC
from l2hmc_bridge.sampling.integrators import schedule
from l2hmc_bridge.sampling.levels import Level
from l2hmc_bridge.sampling.nested import Nested
from l2hmc_bridge.sampling.terms import Host
from l2hmc_bridge.systems.actions import gauge_action
from l2hmc_bridge.training.nested.config import NestedConfig


def find(config: NestedConfig) -> Host:
    """What the function `config.host` ("package.module:factory") returns for lattice, parameters.

    Raises ConfigError for a module or function that is not there, arguments that it does not take,
    whatever it raises itself, parameters of the host that are not numbers (a bundle could not hold
    them), and terms that the levels do not name, or name in vain.
    """
    host = _called(_factory(config.host), config)
    if not isinstance(host, Host):
        raise ConfigError(f"host: expected {config.host} to return a Host(name, parameters, "
                          f"terms), found {type(host).__name__}")
    nested_bundle.require_host(host)
    wanted = sorted(name for level in config.levels for name in level.terms)
    there = sorted(term.name for term in host.terms)
    if wanted != there:
        raise ConfigError(f"level.terms: expected those of {host.name!r}, {there}, each in one "
                          f"level, found {wanted}")
    return host


def start(config: NestedConfig, host: Host) -> Nested:
    """The nested step of the configuration before it is trained.

    Raises ConfigError for more steps than a bundle may have.
    """
    levels: list[Level] = []
    longest = config.levels[-1].length
    for number in range(len(config.levels) - 1, -1, -1):  # from the outside: how long each runs
        one = config.levels[number]
        plan = schedule(one.integrator, longest / one.steps, one.steps)
        repeats = tuple(max(1, math.ceil(abs(drift) / one.inside - 1e-9)) for drift in plan.drifts)
        levels.insert(0, Level("+".join(one.terms), tuple(map(host.term, one.terms)), plan,
                               repeats))
        longest = max(abs(drift) / count for drift, count in zip(plan.drifts, repeats, strict=True))
    kernel = Nested(_inner(config), tuple(levels))
    nested_bundle.require_few_steps(kernel)
    return kernel


def _inner(config: NestedConfig) -> L2HMC:
    """The gauge step: a bundle's, or an integrator as a palindrome of unit length."""
    given = config.inner
    if given.bundle:
        path = models.located(given.bundle)
        loaded = bundle.load(path, config.beta)
        bundle.require_action(loaded, gauge_action(config.action, config.beta))
        inner = loaded.kernel
    else:
        inner = architecture.untrained(gauge_action(config.action, config.beta), given.integrator,
                                       0.5 / given.steps, given.steps)
    for parameter in inner.steps.parameters():
        parameter.requires_grad_(given.train)
    inner.steps.length.requires_grad_(False)
    return inner


def _called(factory: Callable[..., Host], config: NestedConfig) -> Host:
    """What the factory returns; ConfigError for arguments it does not take, and what it raises."""
    try:
        inspect.signature(factory).bind(config.extents, **config.parameters)
    except (TypeError, ValueError) as error:  # ValueError: a factory that tells no signature
        raise ConfigError(f"parameters: expected those of {config.host}, found {error}") from error
    try:
        return factory(config.extents, **config.parameters)
    except Exception as error:
        given = ", ".join(f"{name} = {value!r}" for name, value in config.parameters.items())
        raise ConfigError(f"host: expected {config.host} to make its terms of {given or 'nothing'} "
                          f"on the lattice {config.lattice}, found that it raises "
                          f"{_said(error)}") from error


def _said(error: Exception) -> str:
    """Type and words of an exception, on one line."""
    words = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _factory(name: str) -> Callable[..., Host]:
    module, _, function = name.partition(":")
    if not module or not function:
        raise ConfigError(f"host: expected package.module:factory, found {name!r}")
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(f"host: expected a module {module} that imports (from here: {error}); "
                          "run where it is found, or put its folder on PYTHONPATH") from error
    except Exception as error:
        raise ConfigError(f"host: expected a module {module} that imports, found that it raises "
                          f"{_said(error)}") from error
    factory = vars(found).get(function)
    if not callable(factory):
        raise ConfigError(f"host: expected a function {function} in {module}, found "
                          f"{type(factory).__name__}")
    return factory
