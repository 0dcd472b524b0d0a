"""Files that were made to hurt: bombs, impossible sizes, pickles, programs."""

import gzip
import io
import json
import pickle
import struct
import zipfile
import zlib
from typing import Any

import numpy as np
from mutations import deflated_zeros, zip_of

HUGE = (10**12,), (2**32, 2**32), (2**63, 2), (-1, 5, 5), (1,) * 60, (10**12, 0), (10**9, 1, 1), ()


class Pickled:
    """Writes a file when it is unpickled."""

    def __reduce__(self) -> Any:
        return open, ("unpickled", "w")


def npy(descr: str, shape: str, values: bytes = b"", version: int = 1) -> bytes:
    """Returns an array in the npy format, with any header."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(text)) + text + values


def npys() -> list[bytes]:
    """Returns arrays in the npy format."""
    deep = "[" * 3000 + "]" * 3000
    return [
        *(npy(kind, str(shape), b"1234") for shape in HUGE for kind in ("'|u1'", "'|S0'", "'<U9'")),
        *(npy(kind, "(4,)") for kind in ("'|O'", "'<M8[s]'", "[('a', '|O')]", deep, "'<c16'")),
        npy("'|O'", "(1,)", pickle.dumps(Pickled())),
        npy("'|u1'", f"({'9' * 4000}, {'9' * 4000})"),
        npy("'|u1'", "(4L,)", b"1234"),
        b"\x93NUMPY\x02\0\xff\xff\xff\xff{}",
        b"\x93NUMPY\x09\0\0\0",
    ]


def npzs(members: dict[str, bytes]) -> list[bytes]:
    """Returns archives with one hostile array, bombs and strange directories."""
    return [
        *(zip_of(members | {"x_train.npy": array}) for array in npys()),
        *(zip_of(members | {"y_train.npy": array}) for array in npys()),
        *(zip_of(members | {"class_names.npy": array}) for array in npys()),
        zip_of(members | {"../../x_train.npy": b""}),
        zip_of({f"{i}.npy": b"" for i in range(20_000)}),
        zip_of(members, zipfile.ZIP_LZMA),
        bomb("x_train.npy", npy("'|u1'", "(3000000000,)"), claims=3 * 10**9 + 200),
        bomb("x_train.npy", npy("'|u1'", "(40,)"), claims=100),
        bomb("y_train.npy", npy("'|S1'", "(3000000000,)"), claims=3 * 10**9 + 200),
        pickle.dumps(Pickled()),
    ]


def bomb(name: str, head: bytes, claims: int) -> bytes:
    """Returns an archive with a member that unpacks to 3 GB, whatever it claims."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    data = start + deflated_zeros(3000)
    encoded = name.encode()
    sizes = struct.pack("<LLL", 0, len(data), claims)
    local = b"PK\3\4" + struct.pack("<5H", 20, 0, 8, 0, 0) + sizes
    local += struct.pack("<HH", len(encoded), 0) + encoded + data
    entry = b"PK\1\2" + struct.pack("<6H", 20, 20, 0, 8, 0, 0) + sizes
    entry += struct.pack("<5HLL", len(encoded), 0, 0, 0, 0, 0, 0) + encoded
    end = b"PK\5\6" + struct.pack("<4HLLH", 0, 0, 1, 1, len(entry), len(local), 0)
    return local + entry + end


def idx_files() -> list[bytes]:
    """Returns packed idx files: wrong lengths, many axes, a bomb of 3 GB."""
    header = b"\0\0\x08"
    stream = b"\x1f\x8b\x08" + bytes(6) + b"\xff" + deflated_zeros(3000)
    plain = [
        *(header + b"\1" + struct.pack(">I", count) + b"123" for count in (0, 4, 2**31, 2**32 - 1)),
        header + b"\xff" + b"\0" * 2000,
        header + b"\3" + b"\xff" * 12,
        header,
        b"",
    ]
    return [*map(gzip.compress, plain), stream, b"\x1f\x8b"]


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """Returns a PNG file of any size with right checksums, without the pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(bytes(10))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def images() -> list[bytes]:
    """Returns image files that claim to be huge, hold bombs, or are PostScript."""
    text = b"Comment\0\0" + zlib.compress(bytes(1 << 28))
    riff = struct.pack("<4sI4s", b"RIFF", 40, b"WEBP") + b"VP8X" + struct.pack("<I", 10)
    return [
        *(png(*size) for size in ((60_000, 60_000), (2**31 - 1, 1), (0, 0), (7000, 7000), (5, 5))),
        png(5, 5, (b"zTXt", text)),
        png(5, 5, (b"iCCP", text)),
        b"P6 100000 100000 255\n1234",
        b"P3 3000 3000 255\n" + b"1 " * 1000,
        b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + bytes(6) + b"," + bytes(9),
        b"BM" + struct.pack("<LHHLLiiHHLLiiLL", 99, 0, 0, 54, 40, 40000, 40000, 1, 24, *[0] * 6),
        b"II*\0" + struct.pack("<L", 8) + struct.pack("<H", 65535) + b"\xff" * 400,
        riff + struct.pack("<L", 0) + b"\xff\x3f\0\xff\x3f\0" + bytes(14),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(unpicked) (w) file closefile\n",
        b"",
    ]


def jsons() -> list[bytes]:
    """Returns JSON files: deep, long, of the wrong types."""
    return [
        *(
            b"[" * 10**6,
            b'{"a":' * 10**5,
            b'{"train": ' + b"9" * 10**5 + b"}",
            b"\xff\xfe",
            b"null",
        ),
        *(b"null", b"{}", b"[]", b'{"model": {"class": "os.system"}}', b'{"model": {"class": ""}}'),
        b'{"model": {"class": "subprocess.Popen", "args": ["touch", "unpickled"]}}',
        b'{"task": {"loss": {"function": "..os"}}}',
        b'{"model": {"class": 5}}',
        b'{"train": {"steps": NaN}}',
        json.dumps(dict.fromkeys(("name", "counts", "arrays", "info", "crc32"), 5)).encode(),
        b'{"name": "x", "counts": {"train": -1}, "arrays": {"images": [[1e9], "O"]}, "info": {}, '
        b'"crc32": ""}',
        b" " * (40 << 20),
        *(b'{"a":' * depth + b"1" + b"}" * depth for depth in (500, 900, 980)),
    ]


def configs() -> list[bytes]:
    """Returns config files, which are Python: the wrong type, and what its parser dislikes."""
    return [
        *(b"", b"\0", b"\xff\xfe", b"(" * 10**5, b"def get_config(): return 5", b"get_config = 3"),
        b"def get_config(): return get_config()",
        b"import no_such_module",
        b"x = " + b"-" * 10**5 + b"1",
        b"raise MemoryError",
    ]


def array(values: Any) -> bytes:
    """Returns an array in the npy format, as NumPy writes it."""
    file = io.BytesIO()
    np.save(file, np.asarray(values))
    return file.getvalue()
