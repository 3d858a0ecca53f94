"""Which systems there are: actions, the groups they live on, exact answers.

`actions` has the gauge actions, `mixtures` the toy in R^n, `groups` and `table` what a kernel, a
bundle and a file must know of each; `u1_exact` sums the 2D theory.
"""
