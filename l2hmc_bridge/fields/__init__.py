"""What a field is: its axes, its groups, and the products of links around loops.

`axes` names every axis; `layout` converts any array to links by these names; `configuration` is a
field with what its file said; `su3`, `u1`, `vectors` are the groups; `loops` has staples,
plaquettes and clovers in torch; `part` is what a process holds of a lattice, `agreement` what those
that share one settle together.
"""
