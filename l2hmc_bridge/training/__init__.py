"""How a kernel learns.

`config` is a training configuration, `read` and `checks` make one of a file, `start` makes the
first fields, `loop` trains, `losses`, `gauss_newton` and `precision` say how, `checkpoint`,
`history` and `outcome` what is kept, `parallel` spreads chains over processes, `efficiency`
compares with the start.
"""
