"""Malformed files: valid ones with flipped, cut, inserted and repeated bytes, or odd numbers."""

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Sequence

from hypothesis import strategies as st

NUMBERS = [
    *(b"\0", b"\xff", b"\x7f", b"\x80", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"),
    *(b"\xff\xff\xff\x7f", b"\0\0\xff\xff", b"\xff\xff\0\0", b"\xff" * 8, b"\0" * 64),
    *(b"99999999999999", b"-1", b"1e999", b"{", b"[", b'"', b"'", b"\n", b"None", b"\xe7\x8a\xac"),
]
"""What a careless reader takes for a length, a sign or the end of something."""


@st.composite
def mutated(draw: st.DrawFn, samples: Sequence[bytes]) -> bytes:
    """Draws one of some valid files with one to five edits."""
    content = bytearray(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(1, 5))):
        last = max(0, len(content) - 1)
        ends = st.integers(0, min(last, 200)) | st.integers(max(0, last - 200), last)
        at = draw(ends | st.integers(0, last))
        kind = draw(st.sampled_from(["flip", "number", "cut", "insert", "repeat", "truncate"]))
        length = draw(st.integers(1, 40))
        if kind == "flip" and content:
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "number":
            number = draw(st.sampled_from(NUMBERS))
            content[at : at + len(number)] = number
        elif kind == "cut":
            del content[at : at + length]
        elif kind == "insert":
            content[at:at] = draw(st.binary(max_size=40) | st.sampled_from(NUMBERS))
        elif kind == "repeat":
            content[at:at] = content[at : at + length] * draw(st.integers(1, 50))
        else:
            del content[at:]
    return bytes(content)


@st.composite
def mutated_zip(draw: st.DrawFn, members: dict[str, bytes]) -> bytes:
    """Draws a zip file, sound itself, one member of which is malformed, missing or twice there."""
    name = draw(st.sampled_from(sorted(members)))
    changed = dict(members)
    changed[name] = draw(mutated([members[name]]))
    if draw(st.integers(0, 9)) == 0:
        del changed[name]
    compression = draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
    return zip_of(changed, compression)


def zip_of(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Returns a zip file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


@st.composite
def sealed(draw: st.DrawFn, metadata: dict[str, object], program: bytes) -> bytes:
    """Draws an exported network whose checksum is right although a member is malformed."""
    if draw(st.booleans()):
        program = draw(mutated([program]))
    seal = hashlib.sha256(program).hexdigest()
    text = json.dumps(metadata | {"sha256": seal}).encode()
    if draw(st.booleans()):
        text = draw(mutated([text]))
    return zip_of({"metadata.json": text, "model.bin": program})


def deflated_zeros(count: int) -> bytes:
    """Returns a raw deflate stream of so many megabytes of zeros, a thousandth as long."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    part = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return part * count + packer.flush()
