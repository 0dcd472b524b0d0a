"""The command line: ``python -m train fit|evaluate|predict|plot|compile``."""

import sys

try:
    from train.cli import main
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] in ("train", "stn_jax"):
        raise
    sys.exit(f"error: {error.name} is not installed; pip install 'stn-jax[train]', or '.[train]'.")

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
