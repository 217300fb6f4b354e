"""One world over two machines: two network namespaces with a cable between them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NAMES = ("inferix-a", "inferix-b")
ADDRESSES = ("10.77.0.1", "10.77.0.2")
LINKS = ("inferix-va", "inferix-vb")
SCRIPT = """
import sys, torch
from inferix_core import Engine
settings = ["model.preset=tiny-random", "dtype=float32", "device=cpu", "ranks.join_timeout_seconds=60"]
engine = Engine.load("self-forcing", overrides=[*settings, *sys.argv[2:]])
if engine.follows:
    engine.follow()
else:
    world = engine.create_world("a red ball", seed=5)
    world.step()
    torch.save(torch.stack(list(world.state.committed.values())), sys.argv[1])
    engine.close()
"""


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@contextmanager
def two_machines() -> Iterator[None]:
    """The namespaces; skips where the system does not allow them."""
    if shutil.which("ip") is None:
        pytest.skip("no `ip` here: install iproute2")
    try:
        ip("netns", "add", NAMES[0])
        ip("netns", "add", NAMES[1])
        ip("link", "add", LINKS[0], "type", "veth", "peer", "name", LINKS[1])
    except subprocess.CalledProcessError as error:
        for name in NAMES:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
        pytest.skip(f"network namespaces are not allowed here: {error.stderr.strip()}")
    try:
        for name, link, address in zip(NAMES, LINKS, ADDRESSES, strict=True):
            ip("link", "set", link, "netns", name)
            ip("-n", name, "address", "add", f"{address}/24", "dev", link)
            ip("-n", name, "link", "set", link, "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield
    finally:
        for name in NAMES:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def start(machine: int, script: Path, *arguments: str) -> subprocess.Popen[str]:
    launcher = ["-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--node-rank", str(machine)]
    meeting = ["--master-addr", ADDRESSES[0], "--master-port", "29533"]
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": LINKS[machine], "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        ["ip", "netns", "exec", NAMES[machine], sys.executable, *launcher, *meeting, str(script), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def bytes_sent(machine: int) -> int:
    """What has left a machine over the cable, by the interface's own counter."""
    path = f"/sys/class/net/{LINKS[machine]}/statistics/tx_bytes"
    done = subprocess.run(
        ["ip", "netns", "exec", NAMES[machine], "cat", path], check=True, capture_output=True, text=True
    )
    return int(done.stdout)


def test_a_world_over_two_machines_begins_as_on_one(tmp_path: Path) -> None:
    import torch

    script = tmp_path / "world.py"
    script.write_text(SCRIPT)
    with two_machines():
        together = [start(machine, script, str(tmp_path / "two.pt"), "parallel.use=ring") for machine in (0, 1)]
        try:
            told = [process.communicate(timeout=150)[0] for process in together]
        finally:
            for process in together:
                process.kill()
        assert [process.returncode for process in together] == [0, 0], "\n".join(told)
        assert bytes_sent(0) > 100_000
    alone = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "one.pt")],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert alone.returncode == 0, alone.stderr
    one, two = (torch.load(tmp_path / name) for name in ("one.pt", "two.pt"))
    torch.testing.assert_close(two, one, atol=1e-4, rtol=0.0)
