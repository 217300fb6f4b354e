"""The machines of a run in numbers: how fast they multiply, how fast they talk, how much they hold. Free of torch."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inferix_core.errors import ConfigError, OutputError, nearest
from pydantic import BaseModel, ConfigDict, Field, ValidationError


@dataclass(frozen=True, slots=True)
class Link:
    """A message of n bytes takes `latency_seconds + n / bytes_per_second`."""

    latency_seconds: float
    bytes_per_second: float

    def seconds(self, num_bytes: float, *, num_messages: float = 1.0, num_sharing: int = 1) -> float:
        """What messages of so many bytes in all take where `num_sharing` ranks send at once."""
        if num_bytes <= 0:
            return 0.0
        return num_messages * self.latency_seconds + num_bytes * num_sharing / self.bytes_per_second


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """`num_ranks` ranks, as many on each of `num_machines` machines, numbered machine by machine.

    `within` is what one rank sends by to another of its machine; `between` what all ranks of a machine together send
    by to others. A rank multiplies at `flops_per_second` and has `memory_bytes` for weights, keys and values.
    `source` says where the numbers are from.
    """

    num_ranks: int
    num_machines: int = 1
    within: Link
    between: Link
    flops_per_second: float
    memory_bytes: float | None = None
    source: str = ""

    @property
    def ranks_per_machine(self) -> int:
        """How many ranks each machine has."""
        return -(-self.num_ranks // self.num_machines)

    def on(self, num_ranks: int) -> Topology:
        """The same machines with another number of ranks on as few of them as they fit on.

        Raises `ConfigError` where the machines have fewer.
        """
        if num_ranks > self.num_ranks:
            raise ConfigError(f"{num_ranks} ranks were asked for, but the topology has {self.num_ranks}.")
        num_machines = -(-num_ranks // self.ranks_per_machine)
        return replace(self, num_ranks=num_ranks, num_machines=num_machines)


class _Link(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    latency_us: float = Field(ge=0.0)
    gigabytes_per_second: float = Field(gt=0.0)

    def link(self) -> Link:
        return Link(self.latency_us * 1e-6, self.gigabytes_per_second * 1e9)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    machines: int = Field(default=1, ge=1)
    ranks_per_machine: int = Field(ge=1)
    tflops: float = Field(gt=0.0)
    memory_gib: float | None = Field(default=None, gt=0.0)
    within: _Link
    between: _Link | None = None


KNOWN: Mapping[str, Mapping[str, Any]] = {
    "nvlink": {
        "ranks_per_machine": 8,
        "tflops": 400.0,
        "memory_gib": 76.0,
        "within": {"latency_us": 20.0, "gigabytes_per_second": 300.0},
        "between": {"latency_us": 30.0, "gigabytes_per_second": 40.0},
    },
    "pcie": {
        "ranks_per_machine": 8,
        "tflops": 150.0,
        "memory_gib": 44.0,
        "within": {"latency_us": 30.0, "gigabytes_per_second": 20.0},
        "between": {"latency_us": 60.0, "gigabytes_per_second": 10.0},
    },
    "cpu": {
        "ranks_per_machine": 8,
        "tflops": 0.1,
        "within": {"latency_us": 100.0, "gigabytes_per_second": 1.5},
        "between": {"latency_us": 300.0, "gigabytes_per_second": 1.0},
    },
}
"""Machines in round numbers, to begin with: eight accelerators under NVLink, as many under PCIe, and CPUs over TCP."""


def named_topology(name: str, *, num_ranks: int) -> Topology:
    """A known topology, or that of a TOML file. Raises `ConfigError` for what is neither or has fewer ranks.

    A known one has as many machines as the ranks need.
    """
    if name in KNOWN:
        table = _File.model_validate(KNOWN[name])
        machines = -(-num_ranks // table.ranks_per_machine)
        return _topology(table.model_copy(update={"machines": machines}), source=f"'{name}', in round numbers").on(
            num_ranks
        )
    path = Path(name)
    if path.suffix != ".toml":
        raise ConfigError(
            f"There is no topology '{name}'.{nearest(name, KNOWN)} Known: {', '.join(KNOWN)}; or give a .toml file."
        )
    return read_topology(path).on(num_ranks)


def read_topology(path: Path) -> Topology:
    """What a TOML file says. Raises `ConfigError` that names the file and what is wrong in it."""
    try:
        table = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The topology '{path}' cannot be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The topology '{path}' is no TOML: {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        keys = "machines, ranks_per_machine, tflops, memory_gib, within and between (latency_us, gigabytes_per_second)"
        raise ConfigError(f"The topology '{path}': {where}: {first['msg']}. Its keys are {keys}.") from error
    if table.machines > 1 and table.between is None:
        raise ConfigError(f"The topology '{path}' has {table.machines} machines: say in [between] how they talk.")
    return _topology(table, source=f"'{path}'")


def write_topology(topology: Topology, path: Path) -> None:
    """Writes a file that `read_topology` reads. Raises `OutputError`."""
    lines = [f"machines = {topology.num_machines}", f"ranks_per_machine = {topology.ranks_per_machine}"]
    lines.append(f"tflops = {topology.flops_per_second / 1e12:.6g}")
    if topology.memory_bytes is not None:
        lines.append(f"memory_gib = {topology.memory_bytes / 2**30:.6g}")
    for name, link in (("within", topology.within), ("between", topology.between)):
        lines += ["", f"[{name}]", f"latency_us = {link.latency_seconds * 1e6:.6g}"]
        lines.append(f"gigabytes_per_second = {link.bytes_per_second / 1e9:.6g}")
    try:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"'{path}' cannot be written: {error.strerror}.") from error


def _topology(table: _File, *, source: str) -> Topology:
    return Topology(
        num_ranks=table.machines * table.ranks_per_machine,
        num_machines=table.machines,
        within=table.within.link(),
        between=(table.between or table.within).link(),
        flops_per_second=table.tflops * 1e12,
        memory_bytes=None if table.memory_gib is None else table.memory_gib * 2**30,
        source=source,
    )
