"""What theory a file or a side file says it belongs to: one code a module, `table` asks all.

The answer is the core's `systems.theory.Theory`, in our normalisation.
"""
