"""Times of the hot functions, trajectories and training steps: `run` on CPUs, `gpu` on a GPU."""
