"""What the figures share: what they say of themselves, and where they go."""

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

NEVER = 1e-3  # mean acceptance below which a step is as good as refused


def heading(name, kernel, lattice):
    """Name, lattice and coupling of a bundle, for a title."""
    extents = "x".join(str(extent) for extent in lattice)
    beta = "" if kernel.action.group == "vector" else f", beta {kernel.action.beta:g}"
    return f"{name}, {extents}{beta}"


def warned(figure, acceptances):
    """Say on the figure and on the screen which steps never accept; {name: mean acceptance}."""
    never = [name for name, acceptance in acceptances.items() if not acceptance >= NEVER]
    if never:
        text = f"warning: acceptance below {NEVER:g}: {', '.join(never)}"
        figure.text(0.5, 0.005, text.replace("$", r"\$"), color="C3", ha="center", fontsize=8)
        print(text)


def save(figure, path):
    """Write the picture and say so."""
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
    print(f"wrote {path}")
