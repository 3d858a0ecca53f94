"""`begin_stream` and `resume_stream` with every file format at hand."""

from pathlib import Path

from l2hmc_bridge.adapters.streams.stream_files import StreamFiles, asked_for
from l2hmc_bridge.ranks import stream as on_ranks
from l2hmc_bridge.stream import begin, resume
from l2hmc_bridge.stream.options import SampleOptions
from l2hmc_bridge.stream.outcome import Recorded
from l2hmc_bridge.stream.progress import Progress, Stop, never


def begin_stream(
    options: SampleOptions, progress: Progress | None = None, stop: Stop = never,
    ranks: str | None = None,
) -> Recorded:
    """Read, verify, thermalise, tune, prove, and record a new stream, as `sample` does.

        recorded = begin_stream(SampleOptions(inputs="cfg.ildg", out="stream", trajectories=100))
        recorded.summary["plaquette"]  # {"value", "error", "tau_int", "tau_int_error"}

    `progress` is told what goes on (nothing is printed); `stop()` is asked after every trajectory,
    and a reason it gives ends the run with everything saved. Raises BridgeError, with nothing
    written, where anything does not fit. ranks: one lattice over several processes, each of which
    calls this: how many along x, y, z, t ("1,1,1,2"), or "auto".
    """
    if ranks is not None:
        return on_ranks.begin_on_ranks(ranks, options, asked_for(options), progress, stop)
    return begin.begin_stream(options, asked_for(options), progress, stop)


def resume_stream(
    folder: Path | str, more: int | None = None, *, max_seconds: float | None = None,
    threads: int | None = None, device: str | None = None, progress: Progress | None = None,
    stop: Stop = never, ranks: str | None = None,
) -> Recorded:
    """Go on with the stream in `folder`, bit for bit as if it had never stopped.

    `more` trajectories are added to those that are done; without it, what was cut short is
    finished. threads and device: those it began with, if None; ranks as for `begin_stream`,
    whatever it ran on before. Raises StreamError, BundleError.
    """
    if ranks is not None:
        return on_ranks.resume_on_ranks(ranks, folder, StreamFiles(), more,
                                        max_seconds=max_seconds, threads=threads,
                                        device=device, progress=progress, stop=stop)
    return resume.resume_stream(folder, StreamFiles(), more, max_seconds=max_seconds,
                                threads=threads, device=device, progress=progress, stop=stop)
