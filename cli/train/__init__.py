"""`l2hmc-bridge train`: `command` the options, `run` its phases."""
