"""The page of the command line: what `--help` of every verb says."""

import click

from l2hmc_bridge.cli import VERBS, group

HEAD = """# Command line

What `l2hmc-bridge VERB --help` says. Exit status: 0, 1 for an error or a check that failed, 2 for
wrong usage. Options that a verb does not know, files that are not there and values out of range are
refused before any work. Errors are one line on standard error.

"""


def page() -> str:
    """A section for each verb, in the order of `--help`."""
    context = click.Context(group, info_name="l2hmc-bridge")
    parts = [HEAD]
    for verb in VERBS:
        command = group.get_command(context, verb)
        if command is None:
            continue
        with click.Context(command, info_name=verb, parent=context, max_content_width=88) as inner:
            parts.append(f"## {verb}\n\n{VERBS[verb]}\n\n```text\n{command.get_help(inner)}\n```\n")
    return "\n".join(parts)
