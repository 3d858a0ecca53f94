"""What numbers of a stream may be, whoever says them: options, a state, a log."""

LARGEST_SEED, MOST_CHAINS, MOST_THREADS, MOST_STEPS = 2**63 - 1, 1024, 1024, 10**5
MOST_UNRECORDED = 2**19 - 1  # trajectories of a tuning or a thermalisation
LONGEST_STEP, MOST_SWEEPS = 100.0, 1000
MOST_LEVELS = 8  # of nested steps
LARGEST_FACTOR = 1e12  # on all steps
LONGEST_LENGTH = 1000.0  # MD time of a trajectory
MOST_ACCEPTED = 0.99  # that a tuning can aim at
LARGEST_NUMBER = 10**15  # of a trajectory
LONGEST_FLOW, MOST_TIMES = 1000.0, 10_001  # flow time; points of a flow
