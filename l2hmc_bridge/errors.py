"""Every error this package raises on purpose; one root, so that a host can catch one name."""


class BridgeError(Exception):
    """Root of all errors; the message is one line: what, expected, found, and the way out."""


# The page that messages name to whoever has quarks; examples/two_flavour/README.md is its text.
QUARKS_PAGE = ("docs \"Streams with quarks\", how-to/streams-with-quarks, in the source "
               "examples/two_flavour/README.md")

# How torch says that it found no room for a field, in main memory or on a GPU.
_NO_MEMORY = ("allocate memory", "not enough memory", "out of memory")


def lacks_memory(error: RuntimeError) -> bool:
    """Whether torch raised this because a field does not fit into memory."""
    return any(words in str(error) for words in _NO_MEMORY)


class FormatError(BridgeError):
    """A file is not what its format asks for: magic, size, header, record or XML."""


class VerificationError(BridgeError):
    """A file was read, but a check (checksum, plaquette, determinant, ...) does not fit."""


class LayoutError(BridgeError):
    """A tensor or array has the wrong shape, dtype or axis order."""


class ActionError(BridgeError):
    """An action, coupling or group that the caller cannot serve."""


class BundleError(BridgeError):
    """A sampler bundle is missing something, altered, of an unknown version or unproved."""


class ConfigError(BridgeError):
    """A training or sampling configuration has an unknown key, a wrong type or value."""


class StreamError(BridgeError):
    """An output stream is locked, already there, incomplete or does not fit the request."""


class StatisticsError(BridgeError):
    """Too few or too correlated samples for the number asked for."""


class SolverError(BridgeError):
    """A host's solver did not converge: the trajectory that asked for it is rejected."""


class InversionError(BridgeError):
    """An inverse by iteration did not get to rounding within its bound."""
