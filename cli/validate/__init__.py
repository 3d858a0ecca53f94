"""`l2hmc-bridge validate`: `command` the options, `files` and `streams` what is compared."""
