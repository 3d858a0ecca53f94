"""Two flavours of (twisted-mass) Wilson quarks in torch, batched over chains, as a user's own host.

`dirac` has the operator, `solver` the conjugate gradient, `quarks` pseudofermion actions and their
forces, `pion` a correlator, `host` the terms by name, `stream` the program.
"""
