"""What is measured on a field.

`standard` is the table of observables, `topology` charges, `flow` the gradient flow, `scales` t0
and w0, `plan` what is measured together.
"""
