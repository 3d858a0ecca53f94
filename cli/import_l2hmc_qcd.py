"""`l2hmc-bridge import-l2hmc-qcd`: a U(1) checkpoint of l2hmc-qcd as a bundle, if it is exact."""

import click

from l2hmc_bridge.cli.screen.options import Computing, Number, parse_any_lattice

ACTIVATIONS = ("leaky_relu", "relu", "tanh", "elu", "swish")


class Three(click.ParamType):
    """Weights of s, t and q: three finite numbers."""

    name = "s,t,q"

    def convert(self, value, param, context):
        """The numbers; wrong usage if there are not three."""
        if isinstance(value, tuple):
            return value
        parts = value.split(",")
        if len(parts) != 3:
            self.fail(f"expected three numbers S,T,Q, found {value!r}", param, context)
        return tuple(Number().convert(part, param, context) for part in parts)


@click.command("import-l2hmc-qcd", cls=Computing)
@click.argument("path", metavar="CKPT", type=click.Path(dir_okay=False))
@click.option("--out", required=True, type=click.Path(dir_okay=False), help="The bundle to write.")
@click.option("--lattice", required=True, metavar="X,T",
              help="Lattice of the run (its latvolume is T,X).")
@click.option("--beta", required=True, type=Number(min=0), help="Coupling it was trained for.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Seed of the run, for its masks.")
@click.option("--rank", type=click.IntRange(0), default=0, show_default=True,
              help="Rank that wrote the checkpoint; l2hmc-qcd writes on rank 0 alone.")
@click.option("--local-rank", type=click.IntRange(0),
              help="Its rank within its node; --rank by default.")
@click.option("--masks", type=click.Path(dir_okay=False), metavar="NPY",
              help="The masks themselves, [layers, 2 T X] of 0 and 1, in place of a seed.")
@click.option("--activation", type=click.Choice(ACTIVATIONS), default=ACTIVATIONS[0],
              show_default=True, help="network.activation_fn of the run.")
@click.option("--xnet-weights", type=Three(), default="1,1,1", show_default=True, metavar="S,T,Q",
              help="net_weights.x of the run.")
@click.option("--vnet-weights", type=Three(), default="1,1,1", show_default=True, metavar="S,T,Q",
              help="net_weights.v of the run.")
@click.option("--merge-directions/--no-merge-directions", default=True, show_default=True,
              help="dynamics.merge_directions: forward, flip, backward; or one of the two by lot.")
@click.option("--use-ncp/--no-use-ncp", default=True, show_default=True,
              help="dynamics.use_ncp: angles are scaled by their tangent; without, none is exact.")
@click.option("-n", "--trajectories", type=click.IntRange(50), default=400, show_default=True,
              help="Trajectories of each chain in the gate.")
@click.option("--gate/--no-gate", "gated", default=True, show_default=True,
              help="Run the gate; the bundle is written only if every row passes.")
@click.option("--force", is_flag=True, help="Overwrite OUT.")
def command(path, out, lattice, beta, seed, rank, local_rank, masks, trajectories, gated, force,
            **run):
    """Make a bundle of CKPT, a checkpoint (ckpt-*.tar) of l2hmc-qcd for U(1) in 2D.

    The bundle has the same forward map: the same networks (without dropout, in float64), masks and
    step sizes eps/(1 + eps). Its backward map is the exact inverse of that, which l2hmc-qcd's own
    is not, so it samples the right distribution and its acceptance can differ. The gate proves it.

    A checkpoint tells neither lattice, beta and activation nor masks; the options do, with the
    defaults of l2hmc-qcd. Masks are drawn again from the seed, in the order of its constructor.
    Where training left their trace in the weights (networks of their own for both halves of each
    drift: the default) a wrong seed is refused, and none is needed for a run of one process. Where
    it did not, nothing but results of the original run could tell a wrong seed: any mask is exact.

    SU(3) checkpoints are refused: masks on matrix elements leave the group.
    """
    from pathlib import Path

    from l2hmc_bridge.adapters.l2hmc_qcd import checkpoint as l2hmc_qcd, kernel as l2hmc_qcd_kernel
    from l2hmc_bridge.storage import atomic

    if masks is not None and seed is not None:
        raise click.UsageError("--seed and --masks both say the masks; give one")
    extents = parse_any_lattice(lattice)
    if len(extents) != 2:
        raise click.BadParameter(f"expected X,T, found {lattice!r}", param_hint="--lattice")
    atomic.refuse_existing(Path(out), force)
    checkpoint = l2hmc_qcd.read(path)
    settled = _masks(checkpoint, seed, rank, rank if local_rank is None else local_rank, masks)
    settings = l2hmc_qcd_kernel.Settings(
        extents, beta, run["activation"], run["vnet_weights"], run["xnet_weights"],
        run["merge_directions"], run["use_ncp"])
    kernel = l2hmc_qcd_kernel.build(checkpoint, settings, settled.frozen)
    found = l2hmc_qcd_kernel.described(checkpoint, settings, settled, kernel)
    _show(path, found)
    _write(Path(out), kernel, {"source": "l2hmc-qcd", "checkpoint": found, **_circumstances(path)},
           extents, trajectories, gated, force)


def _masks(checkpoint, seed, rank, local_rank, path):
    from l2hmc_bridge.adapters.l2hmc_qcd import masks

    size = (checkpoint.layers, checkpoint.links)
    if path is not None:
        return masks.settle(checkpoint, masks.read(path, *size), str(path))
    if seed is not None:
        source = f"seed {seed}, rank {rank}, local rank {local_rank}"
        return masks.settle(checkpoint, masks.drawn(seed, rank, local_rank, *size), source)
    return masks.settle(checkpoint, None, "")


def _show(path, found) -> None:
    """What was found and assumed, as a table."""
    from l2hmc_bridge.cli.screen.tables import present

    present(("quantity", "value"), (
        (name, ", ".join(f"{one:.6g}" for one in value) if isinstance(value, list) else str(value))
        for name, value in found.items()), str(path), prose=("quantity", "value"))


def _write(out, kernel, provenance, extents, trajectories, gated, force) -> None:
    """The bundle, under its name only once the gate passed; exit status 1 if it did not."""
    from l2hmc_bridge.bundle import file as bundle
    from l2hmc_bridge.cli.screen.progress import spinner
    from l2hmc_bridge.cli.screen.tables import show_checks
    from l2hmc_bridge.gate.report import check_bundle
    from l2hmc_bridge.storage import atomic

    beta = kernel.action.beta
    with atomic.temporary_path(out, force) as temporary:
        bundle.save(temporary, kernel, provenance, (beta, beta))
        if gated:
            with spinner("gate") as say:
                checks, report = check_bundle(temporary, extents, trajectories=trajectories,
                                                   progress=say)
            show_checks(checks, f"{out}  hash {report['hash'][:12]}")
            failed = [check for check in checks if not check.passed]
            if failed:
                _refuse(out, failed)
            bundle.write_gate(temporary, report)
    click.echo(f"wrote {out}" + ("" if gated else ", not gated"))


def _refuse(out, failed) -> None:
    """Say which rows failed and what that means; exit status 1."""
    click.echo(f"l2hmc-bridge: {out}: not written, the gate failed: "
               + "; ".join(check.name for check in failed), err=True)
    if all(check.source == "stated bound" for check in failed):
        click.echo("l2hmc-bridge: a standard error above its bound proves nothing: more "
                   "trajectories (-n) lower it; a step that hardly ever accepts cannot be proved",
                   err=True)
    click.get_current_context().exit(1)


def _circumstances(path) -> dict:
    """Digest and name of the checkpoint, date and versions."""
    import hashlib
    from datetime import UTC, datetime
    from pathlib import Path

    import torch

    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"file": Path(path).name, "sha256": digest, "torch": torch.__version__,
            "date": datetime.now(UTC).isoformat(timespec="seconds")}
