"""Everything that a world can be made again from, and what its bits depend on besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from inferix_core.contracts.model import Condition, Conditions
from inferix_core.errors import UnsupportedError
from inferix_core.runtime.log import BlockRecord, ChangeRecord, Record, SeedRecord, SignalRecord
from inferix_core.specs import Kind

if TYPE_CHECKING:
    from torch import Tensor

    from inferix_core.runtime.engine import Engine
    from inferix_core.runtime.world import World

CUT_INVARIANT = "cut-invariant"

_LABELS = {
    "torch": "torch",
    "device": "device",
    "dtype": "dtype",
    "num_threads": "network's threads",
    "num_decoder_threads": "decoder's threads",
    "cpu_capability": "CPU capability",
    "attention": "attention backend",
    "num_ranks": "ranks",
}
_OF_THE_MACHINE = {"device", "dtype", "seed", "num_threads", "num_decoder_threads"}
_OF_NO_EFFECT = {"profilers", "output", "world", "overlap_decode", "ranks"}


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the bits of frames depend on besides what was told to a world.

    `is_cut_invariant` says whether the attention backend gives the same bits however a store cuts the keys;
    `versions` are those of the core and of every distribution that a chosen component comes from. `cpu_capability` is
    torch's word for the vector instructions that it uses.
    """

    torch: str
    device: str
    dtype: str
    num_threads: int
    num_decoder_threads: int
    cpu_capability: str
    attention: str
    is_cut_invariant: bool
    versions: Mapping[str, str]
    num_ranks: int = 1

    def differences(self, present: Circumstances) -> list[str]:
        """What is not the same now, each as `what: then → now`."""
        found = [
            _difference(label, getattr(self, name), getattr(present, name))
            for name, label in _LABELS.items()
            if getattr(self, name) != getattr(present, name)
        ]
        for name in sorted({*self.versions, *present.versions}):
            then, now = self.versions.get(name, "absent"), present.versions.get(name, "absent")
            if then != now:
                found.append(_difference(name, then, now))
        return found


@dataclass(frozen=True, slots=True)
class Origin:
    """An engine, as far as bits depend on it.

    `model` is the qualified name of the model, `config` the effective configuration; both are None for an engine
    that was made of parts.
    """

    model: str | None
    config: Mapping[str, Any] | None
    circumstances: Circumstances

    def differences(self, engine: Engine) -> list[str]:
        """What is not the same in `engine` and may change bits, each as `what: then → now`.

        Where the KV store lies is left out if the attention backend is cut-invariant: it changes no bit then.
        """
        present = circumstances_of(engine)
        if self.config is None or engine.config is None:
            return self.circumstances.differences(present)
        then, now = flat(self.config), flat(engine.config.effective)
        is_store_free = self.circumstances.is_cut_invariant and present.is_cut_invariant
        before = self.circumstances
        if is_store_free and then.get("kv.store.use") != now.get("kv.store.use"):
            before, present = _in_both(before, present)
        found = before.differences(present)
        for key in sorted({*then, *now}):
            if key.partition(".")[0] in _OF_NO_EFFECT | _OF_THE_MACHINE or (
                is_store_free and key.startswith("kv.store.")
            ):
                continue
            if then.get(key) != now.get(key):
                found.append(_difference(key, then.get(key, "unset"), now.get(key, "unset")))
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A world's records with what it began with, and the configuration and circumstances of its first engine.

    `model`, `config` and `circumstances` are those of an `Origin`. `prefix` are clean latents `[L, C, h, w]` on the
    CPU; `conditions` are parts that the world was given when it began, e.g. what a model made of a picture, there too.
    """

    model: str | None
    config: Mapping[str, Any] | None
    horizon: int | None
    prefix: Tensor | None
    circumstances: Circumstances
    records: Sequence[Record]
    conditions: Conditions = field(default_factory=dict)

    @property
    def seed(self) -> int:
        """The seed that the world began with."""
        return next(one.seed for one in self.records if isinstance(one, SeedRecord))

    @property
    def digests(self) -> Sequence[str]:
        """The hash of each block, in the order of blocks."""
        return [one.digest for one in self.records if isinstance(one, BlockRecord)]

    @property
    def change(self) -> ChangeRecord | None:
        """Where the world first went on under other circumstances than it began with, None if it never did."""
        return next((one for one in self.records if isinstance(one, ChangeRecord)), None)

    @property
    def num_comparable(self) -> int:
        """How many blocks were made under the circumstances that the world began with."""
        return len(self.digests) if self.change is None else self.change.num_blocks

    @property
    def unreached(self) -> Sequence[SignalRecord]:
        """Signals for blocks that the log does not have, because its end was cut off."""
        last = max((place for place, one in enumerate(self.records) if isinstance(one, BlockRecord)), default=-1)
        return [one for one in self.records[last + 1 :] if isinstance(one, SignalRecord)]

    def differences(self, engine: Engine) -> list[str]:
        """What is not as it was when the world began; see `Origin.differences`."""
        return Origin(self.model, self.config, self.circumstances).differences(engine)


def recording_of(world: World) -> Recording:
    """What the world can be made again from: its log until now.

    Raises `UnsupportedError` for a world whose noise came from elsewhere than its seed.
    """
    engine, state = world.engine, world.state
    check_seeded(state.log.records, f"World '{world.id}'")
    origin = state.log.origin or origin_of(engine)
    return Recording(
        model=origin.model,
        config=origin.config,
        horizon=state.horizon,
        prefix=None if state.prefix is None else state.prefix.cpu(),
        circumstances=origin.circumstances,
        records=tuple(state.log.records),
        conditions={name: Condition(one.tokens.cpu(), one.memo) for name, one in state.beginning.items()},
    )


def check_seeded(records: Sequence[Record], what: str) -> None:
    """Raises `UnsupportedError` for the records of a world, called `what`, whose noise was no seed's at first."""
    first = next(iter(records), None)
    if not isinstance(first, SeedRecord) or first.num_blocks != 0:
        raise UnsupportedError(
            f"{what} draws noise that is not made from a seed, so its log cannot be replayed. "
            "Create it with seed and without noise."
        )


def origin_of(engine: Engine) -> Origin:
    """The engine, as far as the bits of its worlds depend on it, here and now."""
    config = engine.config
    return Origin(
        model=None if config is None else config.required(Kind.MODEL).component.qualified_name,
        config=None if config is None else rebuilding(config.effective),
        circumstances=circumstances_of(engine),
    )


def circumstances_of(engine: Engine) -> Circumstances:
    """What the bits of the engine's worlds depend on, here and now."""
    import torch  # the rest of this module reads logs without it

    from inferix_core import __version__

    versions, provides = {"inferix-core": __version__}, frozenset[str]()
    attention = type(engine.parts.backend).__name__
    if engine.config is not None:
        for selected in engine.config.selections.values():
            versions[selected.component.distribution] = selected.component.version
        component = engine.config.required(Kind.ATTENTION).component
        attention, provides = component.qualified_name, component.spec.provides
    device = engine.device
    return Circumstances(
        torch=torch.__version__,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        dtype=str(engine.dtype).removeprefix("torch."),
        num_threads=engine.threads.network or torch.get_num_threads(),
        num_decoder_threads=engine.threads.decoder or torch.get_num_threads(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        attention=attention,
        is_cut_invariant=CUT_INVARIANT in provides,
        versions=dict(sorted(versions.items())),
        num_ranks=1 if engine.parts.spread is None else engine.parts.spread.ranks.num_ranks,
    )


def rebuilding(config: Mapping[str, Any]) -> dict[str, Any]:
    """The tables that an engine is built from again: all but what measures and writes."""
    return {key: value for key, value in config.items() if key not in ("profilers", "output", "ranks")}


def flat(tables: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`path.to.key` to value of nested tables."""
    found: dict[str, Any] = {}
    for key, value in tables.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _in_both(one: Circumstances, other: Circumstances) -> tuple[Circumstances, Circumstances]:
    """The circumstances without distributions that are in one of them alone."""
    names = one.versions.keys() & other.versions.keys()
    first, second = (replace(each, versions={name: each.versions[name] for name in names}) for each in (one, other))
    return first, second


def _difference(what: str, then: object, now: object) -> str:
    return f"{what}: {then} → {now}"
