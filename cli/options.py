"""Options that several verbs share, parsed in one place."""

import click


def parse_lattice(text: str) -> tuple[int, int, int, int]:
    """ "X,Y,Z,T" -> four positive integers; anything else is wrong usage."""
    parts = text.split(",")
    if len(parts) != 4 or not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        raise click.BadParameter(f"expected X,Y,Z,T, four positive integers, found {text!r}",
                                 param_hint="--lattice")
    return tuple(int(part) for part in parts)
