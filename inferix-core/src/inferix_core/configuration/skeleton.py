"""The skeleton of a run's configuration: the sections there are, before any plugin is asked about its keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from inferix_core.specs import Kind

SECTIONS: Mapping[Kind, tuple[str, ...]] = {
    Kind.MODEL: ("model",),
    Kind.PLANNER: ("planner",),
    Kind.SOLVER: ("solver",),
    Kind.KV_STORE: ("kv", "store"),
    Kind.KV_POLICY: ("kv", "policy"),
    Kind.KV_CODEC: ("kv", "codec"),
    Kind.ATTENTION: ("attention",),
    Kind.DECODER: ("decoder",),
    Kind.QUANTIZER: ("quantizer",),
    Kind.PARALLEL: ("parallel",),
}
"""Where each kind that is chosen once has its table. Profilers are a list, streamers are chosen by their target."""

PROFILERS = "profilers"
_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)


class Section(BaseModel):
    """One component's table: `use` names the component, every other key is its own."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    use: str | None = Field(default=None, description="The component's name, bare or `distribution:name`.")


class ModelSection(Section):
    """The model's table."""

    preset: str | None = Field(default=None, description="One of the model's named presets.")


class KVSection(BaseModel):
    """The tables of the KV cache."""

    model_config = _STRICT

    store: Section = Field(default_factory=Section, description="Where pages lie.")
    policy: Section = Field(default_factory=Section, description="Which latents stay and which are visible.")
    codec: Section = Field(default_factory=Section, description="In which precision pages are kept.")
    positions: Literal["absolute", "window-relative"] = Field(
        default="absolute",
        description="Rotary positions of keys: absolute is rotated when written; window-relative is rotated when read, "
        "by the place among what is seen, so that positions stay small however long a world lives.",
    )
    recache: bool = Field(
        default=False,
        description="Whether a new prompt rewrites the pages that a world holds, so that the old one leaves no trace "
        "in them; it costs a clean pass over each block that is held, and their room twice while it lasts.",
    )


class WorldSection(BaseModel):
    """What every world of a run has."""

    model_config = _STRICT

    num_rewind_blocks: int = Field(
        default=0,
        ge=0,
        description="How many blocks a world can be rewound by. Each keeps the pages that were given up since; "
        "a store that does not share pages copies all of them for each block.",
    )


class RanksSection(BaseModel):
    """The processes that one world is spread over, where `parallel` says how."""

    model_config = _STRICT

    count: int | None = Field(
        default=None, ge=1, description="How many ranks there are; without it as many as torchrun has started."
    )
    backend: Literal["auto", "gloo", "nccl"] = Field(
        default="auto", description="What carries tensors between ranks; auto is nccl on CUDA, gloo elsewhere."
    )
    decode: Literal["first", "width", "tiles"] = Field(
        default="first",
        description="Who decodes: the first rank; all, by columns (the same frames, where the decoder can); all, by "
        "tiles that overlap and are blended (any decoder, but frames differ a little where tiles meet).",
    )
    num_overlap_columns: int = Field(
        default=4, ge=1, description="How many columns of latents a tile shares with each neighbour."
    )
    timeout_seconds: float = Field(
        default=30.0, ge=1.0, description="After how many seconds without a sign of life a rank counts as gone."
    )
    join_timeout_seconds: float = Field(
        default=300.0, gt=0.0, description="How many seconds ranks wait for one another at the start."
    )
    collective_timeout_seconds: float = Field(
        default=600.0, gt=0.0, description="How many seconds an exchange of tensors may take."
    )


class RunSettings(BaseModel):
    """What belongs to a run and to no component."""

    model_config = _STRICT

    seed: int = Field(default=0, ge=0, le=2**64 - 1, description="The seed of worlds that are given none of their own.")
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = Field(
        default="auto", description="Where the model runs: auto, cpu, mps, cuda or cuda:N."
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="The precision the model runs in; auto is what is fastest on the device."
    )
    num_threads: int | None = Field(
        default=None, ge=1, description="CPU threads for the network; the default is torch's own."
    )
    num_decoder_threads: int | None = Field(
        default=None, ge=1, description="CPU threads for the decoder; the default is torch's own."
    )
    overlap_decode: bool | Literal["auto"] = Field(
        default="auto",
        description="Whether a run decodes a block while it denoises the next one, on CUDA on a stream and on a CPU in "
        "a thread of its own; a store must provide 'fork', and pages of one more block are kept. The frames are the "
        "same. auto does where it pays: with a store whose forks share pages, on CUDA, or on a CPU where "
        "num_threads and num_decoder_threads are set and together are no more than its cores.",
    )
    kv: KVSection = Field(default_factory=KVSection, description="The KV cache.")
    world: WorldSection = Field(default_factory=WorldSection, description="What every world has.")
    ranks: RanksSection = Field(default_factory=RanksSection, description="The processes of the run.")


class RunConfig(RunSettings):
    """Everything a configuration file may hold."""

    model: ModelSection = Field(default_factory=ModelSection, description="The world model.")
    planner: Section = Field(default_factory=Section, description="In which order blocks are passed, at which levels.")
    solver: Section = Field(default_factory=Section, description="How a prediction updates the latents.")
    attention: Section = Field(default_factory=Section, description="The attention kernel.")
    decoder: Section = Field(default_factory=Section, description="How latents become frames.")
    quantizer: Section = Field(default_factory=Section, description="How weights are packed.")
    parallel: Section = Field(default_factory=Section, description="How a world is spread over ranks.")
    output: dict[str, Any] = Field(
        default_factory=dict,
        description="Options of the streamer that the output's suffix chooses, e.g. crf of an mp4.",
    )
    profilers: tuple[Section, ...] = Field(default=(), description="What measures the run.", strict=False)
