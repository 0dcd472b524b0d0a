"""The command line: ``python -m train fit|evaluate|predict|export|plot|compile``."""

import sys

try:
    from train.cli import main
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] in ("train", "stn_jax"):
        raise
    print(f"error: training needs {error.name}: pip install -e '.[train]'", file=sys.stderr)
    sys.exit(2)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
