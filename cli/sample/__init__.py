"""`l2hmc-bridge sample`: `command` the options and what contradicts what, `run` what is shown."""
