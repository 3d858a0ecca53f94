"""How a kernel learns.

`config` and `checks` read a training file, `start` makes the first fields, `loop` trains,
`losses`, `gauss_newton` and `precision` say how, `checkpoint`, `history` and `outcome` what is
kept, `parallel` spreads chains over processes, `efficiency` compares with the start.
"""
