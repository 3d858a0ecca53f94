"""The way out that a message names, if the verb that prints it has that way.

Messages of the library put hints into brackets, parts of them behind semicolons: "found none
(--beta states it)". A part with an option that the verb lacks is left out; a command in backticks,
`convert --index`, is another verb's.
"""

import re
from collections.abc import Collection

HINT = re.compile(r"\s*\(([^()]*)\)")
OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]*)")
COMMAND = re.compile(r"`[^`]*`")


def fitting(message: str, options: Collection[str]) -> str:
    """The message without parts of its hints that name other options than these."""

    def kept(found: re.Match[str]) -> str:
        parts = found[1].split("; ")
        usable = [part for part in parts if named(part) <= set(options)]
        if len(usable) == len(parts):
            return found[0]
        return f" ({'; '.join(usable)})" if usable else ""

    return HINT.sub(kept, message)


def here(message: str) -> str:
    """The message with the hints that the verb which runs now understands."""
    import click

    context = click.get_current_context(silent=True)
    if context is None:
        return message
    flags = [flag for each in context.command.params for flag in (*each.opts, *each.secondary_opts)]
    return fitting(message, {flag[2:] for flag in flags if flag.startswith("--")} | {"help"})


def named(text: str) -> set[str]:
    """The options in a text, those of other commands in backticks left out."""
    return set(OPTION.findall(COMMAND.sub("", text)))
