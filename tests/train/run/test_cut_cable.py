"""Two hosts with addresses of their own, as network namespaces, and a cable that is cut."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import Host, finish, start, wait_for_checkpoint

NAMES = ("stn-jax-0", "stn-jax-1")
"""Names of the namespaces, and of the end of the cable in each."""


def _ip(*arguments: str, check: bool = True) -> bool:
    command = ["ip", *arguments]
    return subprocess.run(command, capture_output=True, check=check).returncode == 0


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[list[Host]]:
    """Two hosts and a cable between them."""
    if shutil.which("ip") is None or not _ip("netns", "add", NAMES[0], check=False):
        pytest.skip("network namespaces are not permitted here")
    try:
        _ip("netns", "add", NAMES[1])
        ends = ["name", NAMES[0], "netns", NAMES[0], "type", "veth"]
        _ip("link", "add", *ends, "peer", "name", NAMES[1], "netns", NAMES[1])
        found = []
        for number, name in enumerate(NAMES):
            address = f"10.77.0.{number + 1}"
            _ip("-n", name, "address", "add", f"{address}/24", "dev", name)
            _ip("-n", name, "link", "set", name, "up")
            _ip("-n", name, "link", "set", "lo", "up")
            names = tmp_path / f"hosts-{number}"
            names.write_text(f"127.0.0.1 localhost\n{address} {socket.gethostname()}\n")
            script = f'mount --bind "{names}" /etc/hosts && exec "$@"'
            command = ["ip", "netns", "exec", name, "unshare", "--mount", "sh", "-c", script, "sh"]
            found.append(Host(address, command))
        yield found
    finally:
        for name in NAMES:
            _ip("netns", "delete", name, check=False)


@pytest.mark.slow
def test_both_hosts_end_with_a_sentence_when_the_cable_is_cut(
    hosts: list[Host], tiny_config: Path, compilation_cache: Path, tmp_path: Path
) -> None:
    workdir = tmp_path / "run"
    fit = ["fit", tiny_config, "--train.steps", "4000", "--workdir", workdir]
    started = start(fit, cache=compilation_cache, hosts=hosts)
    wait_for_checkpoint(workdir, 12, started)
    _ip("-n", NAMES[0], "link", "set", NAMES[0], "down")
    before = time.monotonic()
    ended = finish(started)
    assert time.monotonic() - before < 60
    for number, process in enumerate(ended):
        assert process.code == 1
        sentence = process.err.splitlines()[-1]
        assert sentence.startswith(f"error: process {1 - number} is lost")
