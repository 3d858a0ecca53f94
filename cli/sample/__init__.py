"""`l2hmc-bridge sample`: `command` the options, `start` where a stream begins, `run` its phases,
`continue_stream` a host's own stream.
"""
