"""Live fields of host codes.

`gpt` and `gpt_fields`, `pyquda`, `lyncs`; `refuse` is what every live field must be.
"""
