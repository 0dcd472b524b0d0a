"""The command line: ``python -m train fit|evaluate|predict|plot|compile``."""

import sys

from train.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
