"""What numbers are worth: errors, autocorrelations, comparisons.

`statistics` is the Gamma method, `series` a measured series, `check` one row of a table of checks,
`estimates`, `comparison` and `validation` what analyze and validate compute, `references` published
numbers, `plots` and `report` what people look at.
"""
