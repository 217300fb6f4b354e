"""What went over a network interface, as the system counts it."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from inferix_core.errors import UnsupportedError

LOOPBACK = "lo"
HEADER_BYTES = 52
"""Of each packet: 20 of IPv4, 20 of TCP, and 12 of TCP's timestamps, which Linux sends by default."""

_COUNTERS = Path("/proc/self/net/dev")
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 0x1
_INTO_NAMESPACE = ("unshare", "--map-root-user", "--net", "--")


@dataclass(frozen=True, slots=True)
class Sent:
    """Bytes and packets that an interface has sent; on the loopback these are what all processes sent."""

    num_bytes: int
    num_packets: int

    def since(self, earlier: Sent) -> Sent:
        """What was sent between two moments."""
        return Sent(self.num_bytes - earlier.num_bytes, self.num_packets - earlier.num_packets)

    @property
    def payload_bytes(self) -> int:
        """The bytes without the headers of IP and TCP; those of acknowledgements are headers alone."""
        return self.num_bytes - HEADER_BYTES * self.num_packets


def sent_by(interface: str) -> Sent:
    """What an interface of this process's network namespace has sent. Raises `UnsupportedError` where none says it."""
    lines = _COUNTERS.read_text().splitlines() if _COUNTERS.exists() else []
    for line in lines:
        name, _, numbers = line.partition(":")
        if name.strip() == interface:
            fields = numbers.split()  # 8 of what was received, then bytes and packets of what was sent
            return Sent(int(fields[8]), int(fields[9]))
    raise UnsupportedError(f"The system does not count what goes over '{interface}' in {_COUNTERS}: Linux does.")


def namespace_command() -> tuple[str, ...]:
    """What a command begins with to run in a network namespace of its own; nothing where the system refuses that."""
    try:
        done = subprocess.run([*_INTO_NAMESPACE, "true"], capture_output=True, check=False, timeout=10.0)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return _INTO_NAMESPACE if done.returncode == 0 else ()


def raise_loopback() -> None:
    """Turns the loopback on, which is off in a new namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anything:
        request = struct.pack("16sh14x", LOOPBACK.encode(), 0)
        _, flags = struct.unpack_from("16sh", fcntl.ioctl(anything, _GET_FLAGS, request))
        fcntl.ioctl(anything, _SET_FLAGS, struct.pack("16sh14x", LOOPBACK.encode(), flags | _UP))


def talk_over(interface: str) -> None:
    """Makes the ranks that this process starts talk over one interface, where nobody has a name."""
    os.environ["GLOO_SOCKET_IFNAME"] = interface
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # torch warns of each connection without a host's name
