"""Live fields of host codes.

`gpt`, `gpt_fields`, `gpt_grid`, `pyquda`, `pyquda_fields`, `lyncs`; `refuse` is what every live
field must be, `cut` shares a lattice among the ranks of a host.
"""
