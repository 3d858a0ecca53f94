import sys

from l2hmc_bridge.cli import main

sys.exit(main())
