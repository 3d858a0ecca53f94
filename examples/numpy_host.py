"""A host in plain numpy with its own action and accept/reject, and an L2HMC step in its loop.

    python examples/numpy_host.py

The host: links U[mu, t, x, y, z] (mu = t,x,y,z), Wilson's action by np.roll, Metropolis hits on
single links, its own random numbers. Now and then it asks for a proposal instead, and judges it by

    h0 = S_host(U),   h1 = S_host(U') + (dK - log|J|)

since only the proposal knows its momenta and Jacobian. Here S_host = S_Wilson + mu sum Re tr U, a
term that breaks gauge symmetry and that the proposal knows nothing of: exact all the same.
"""

from pathlib import Path

import numpy as np
import torch

from l2hmc_bridge import models
from l2hmc_bridge.adapters.files.table import read
from l2hmc_bridge.bundle import file as bundle
from l2hmc_bridge.fields.layout import DIRECTIONS, from_links, to_links

AXES = ("direction", "t", "x", "y", "z", "row", "column")


def trace(matrices):
    """Re tr, summed over all sites."""
    return float(np.einsum("...aa->...", matrices).real.sum())


def plaquettes(links):
    """Sum of Re tr P over sites and planes."""
    total = 0.0
    for mu in range(4):
        for nu in range(mu + 1, 4):
            ahead_mu = np.roll(links[nu], -1, axis=mu)
            ahead_nu = np.roll(links[mu], -1, axis=nu)
            total += trace(links[mu] @ ahead_mu @ ahead_nu.conj().swapaxes(-1, -2)
                           @ links[nu].conj().swapaxes(-1, -2))
    return total


def action(links, beta, extra):
    """S = -(beta/3) sum Re tr P - extra sum Re tr U."""
    return -beta / 3 * plaquettes(links) - extra * trace(links)


def metropolis_hit(links, beta, extra, chance, width=0.3):
    """The host's own update: one random link turned by a random SU(3) matrix near 1."""
    hermitian = width * (chance.normal(size=(3, 3)) + 1j * chance.normal(size=(3, 3)))
    hermitian = hermitian + hermitian.conj().T
    values, vectors = np.linalg.eigh(hermitian - np.trace(hermitian) / 3 * np.eye(3))
    turn = (vectors * np.exp(1j * values)) @ vectors.conj().T
    site = tuple(int(chance.integers(n)) for n in links.shape[:5])
    moved = links.copy()
    moved[site] = turn @ moved[site]
    accepted = chance.random() < np.exp(min(0.0, action(links, beta, extra)
                                            - action(moved, beta, extra)))
    return (moved if accepted else links), bool(accepted)


def l2hmc_step(links, beta, extra, kernel, generator, chance):
    """The kernel's proposal in the host's accept/reject: (links, accepted, h1 - h0)."""
    proposal, _, info = kernel.propose(to_links(links, AXES, DIRECTIONS), generator)
    moved = from_links(proposal, AXES, DIRECTIONS)
    h0 = action(links, beta, extra)
    h1 = action(moved, beta, extra) + float(info.delta_proposal[0])
    accepted = chance.random() < np.exp(min(0.0, h0 - h1))  # NaN: not accepted
    return (moved if accepted else links), bool(accepted), h1 - h0


def stream(links, beta, extra, rounds, kernel, seed=1, hits=20):
    """Rows (plaquette, link trace, L2HMC accepted, h1 - h0); each round: hits, then one step.

    Starts from `links`; two generators, the host's and the proposal's.
    """
    chance, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    sites, rows = int(np.prod(links.shape[1:5])), []
    for _ in range(rounds):
        for _ in range(hits):
            links, _ = metropolis_hit(links, beta, extra, chance)
        links, accepted, difference = l2hmc_step(links, beta, extra, kernel, generator, chance)
        rows.append((plaquettes(links) / (18 * sites), trace(links) / (12 * sites), accepted,
                     difference))
    return rows


def main():
    """Twenty rounds from a configuration at beta 6 with the kernel that ships."""
    configuration = read(Path(__file__).parent / "data" / "milc_l4x6x8x10_b6.0.ildg")
    kernel = bundle.load(models.default(), beta=6.0).kernel
    links = from_links(configuration.links, AXES, DIRECTIONS)
    rows = stream(links, 6.0, 0.01, 20, kernel, hits=5)
    print("plaquette  link trace  accepted  h1 - h0")
    for row in rows:
        print("{:9.5f}  {:10.5f}  {!s:8}  {:+.3f}".format(*row))
    print(f"acceptance {sum(row[2] for row in rows) / len(rows):.2f}")


if __name__ == "__main__":
    main()
