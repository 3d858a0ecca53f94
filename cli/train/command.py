"""`l2hmc-bridge train`: train an update, write it as a bundle, gate it."""

from typing import Any

import click

from l2hmc_bridge.cli.screen.options import ACCEPTABLE, Computing, reading
from l2hmc_bridge.cli.screen.voice import speaking


@click.command(cls=Computing)
@click.argument("config", type=click.Path(dir_okay=False))
@click.option("--out", required=True, type=click.Path(dir_okay=False), help="The bundle to write.")
@click.option("--in", "inputs", multiple=True, type=click.Path(dir_okay=False),
              help="Configurations to start the chains from, of the first stage's lattice; each "
              "beta takes those that state it, or all where none does.")
@reading("--format", accept=(*ACCEPTABLE, "theory"))
@click.option("--quenched", is_flag=True,
              help="Take configurations that tell of quarks for those of the gauge action alone.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint OUT.checkpoint.")
@click.option("--force", is_flag=True, help="Overwrite OUT and its checkpoint.")
@click.option("--tensorboard", type=click.Path(file_okay=False), metavar="FOLDER",
              help="Also write loss, acceptance, jumps and steps for TensorBoard, if installed.")
@click.option("--gate/--no-gate", "gated", default=True, show_default=True,
              help="Run the gate at the end and store its report.")
@click.option("--gate-lattice", metavar="X,Y,Z,T",
              help="Lattice of the gate; that of the last stage, or 4,4,4,4 for SU(3) networks "
              "that fit any lattice.")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda[:N].")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1),
              help="In place of the configuration's seed: another model of the same kind.")
@speaking
def command(**options: Any) -> None:
    """Train the update that CONFIG (TOML) describes, by backpropagation through whole proposals.

    SU(3) in 4D (the actions by name), U(1) in 2D (action "u1"), Gaussian mixtures ("mixture"). The
    history of the run goes to OUT.history.h5; bundles after the iterations of its key `snapshots`
    lie beside OUT (my.iteration100.safetensors). Under torchrun every process takes a part of the
    chains; the result is that of one process.

    The bundle holds the configuration, seed, versions and the validation against its starting
    point on chains that training never saw; if that is not beaten, the start is kept.
    """
    from l2hmc_bridge.cli.train.run import train

    kept = ("lattice", "source", "accept", "quenched")
    inputs = {name: options.pop(name) for name in kept}
    train(**options, reading=inputs)
