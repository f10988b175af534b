"""What the pages show of runs, and the command that remakes it."""

import os

from research.runtime import devices

devices.settle_shell(os.environ)  # before matplotlib is imported
