"""What a world file says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferix_core.runtime.log import SignalRecord
from inferix_core.signals import Signal
from inferix_core.worldfile.records import check_records
from inferix_core.worldfile.world_file import opened

if TYPE_CHECKING:
    from inferix_core.replay.recording import Recording


@dataclass(frozen=True, slots=True)
class WorldFileSummary:
    """A saved world from its header, which was checked; its tensors were not read.

    `model` is the qualified name of the model, or the class of one that an engine was made of; `config` the
    configuration of the engine that saved the world, None if it was made of parts. `seed` is that of the noise to
    come. `signals` are those that blocks reflect, `waiting` those that none does yet. `versions` are those of the core
    and of the distributions of all chosen components. `num_page_bytes` is the share of keys and values in `num_bytes`.
    """

    path: Path
    num_bytes: int
    num_page_bytes: int
    format_version: int
    versions: Mapping[str, str]
    model: str
    codec: str | None
    dtype: str
    device: str
    config: Mapping[str, Any] | None
    seed: int
    horizon: int | None
    num_blocks: int
    num_frames: int
    fps: float
    signals: Sequence[SignalRecord]
    waiting: Sequence[Signal]

    @property
    def seconds(self) -> float:
        """How long the video is until now, the frames that a run left over included."""
        return self.num_frames / self.fps

    @property
    def prompt(self) -> str | None:
        """The prompt that holds now, or will from the next block on."""
        told = [*(record.signal for record in self.signals), *self.waiting]
        return next((signal.prompt for signal in reversed(told) if signal.prompt is not None), None)


def describe(path: str | Path) -> WorldFileSummary:
    """What the file says of itself. Raises `WorldFileError` for one that is none, or whose header is damaged."""
    with opened(Path(path)) as file:
        manifest = file.manifest
        state, identity = manifest.state, manifest.identity
        return WorldFileSummary(
            path=file.path,
            num_bytes=file.num_bytes,
            num_page_bytes=sum(one.num_bytes for one in manifest.tensors if one.name.startswith("pages.")),
            format_version=manifest.format_version,
            versions=manifest.engine.circumstances.versions,
            model=manifest.engine.model or identity.classes["model"],
            codec=None if manifest.codec is None else manifest.codec.use,
            dtype=identity.dtype,
            device=manifest.engine.circumstances.device,
            config=manifest.engine.config,
            seed=state.seed,
            horizon=state.horizon,
            num_blocks=state.num_finished,
            num_frames=state.num_frames,
            fps=identity.geometry.fps,
            signals=tuple(record for record in state.log if isinstance(record, SignalRecord)),
            waiting=state.pending,
        )


def recording_in(path: str | Path) -> Recording:
    """The log of the saved world, to be replayed, with the configuration that it began with.

    Reads and checks the whole file. Raises `WorldFileError`, and `UnsupportedError` for a world whose noise did not
    come from a seed when it began.
    """
    from inferix_core.contracts.model import Condition  # to describe a file needs neither
    from inferix_core.replay.recording import Recording, check_seeded

    with opened(Path(path)) as file:
        file.verify()
        check_records(file)
        check_seeded(file.manifest.state.log, f"The world in '{path}'")
        manifest = file.manifest
        prefix, table = manifest.state.prefix, manifest.state.condition_table
        if any(index >= len(table) for index in manifest.state.beginning.values()):
            raise file.damage("what it began with names a condition that is not there")
        beginning = {name: table[index] for name, index in manifest.state.beginning.items()}
        return Recording(
            model=manifest.origin.model,
            config=manifest.origin.config,
            horizon=manifest.state.horizon,
            prefix=None if prefix is None else file.tensor(prefix),
            circumstances=manifest.origin.circumstances,
            records=manifest.state.log,
            conditions={name: Condition(file.tensor(one.tokens), one.memo) for name, one in beginning.items()},
        )
