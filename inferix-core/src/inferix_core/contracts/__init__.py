"""The contracts: one Protocol for each kind of component. No module here imports torch at run time."""

from inferix_core.contracts.attention import AttentionBackend, Probe, Segment
from inferix_core.contracts.decoder import Columns, Decoder, FrameEncoder, SplitDecoder
from inferix_core.contracts.kv import KVCache, KVCodec, KVPolicy, KVStore, RelevancePolicy
from inferix_core.contracts.model import (
    Beginning,
    ChoosingLayerContext,
    CompressedLayerContext,
    Condition,
    Conditions,
    Layer,
    LayerContext,
    Model,
    PassInput,
    PrefixModel,
    Rotary,
)
from inferix_core.contracts.parallel import ParallelStrategy, Ranks, ShardedModel, ShardedRotary, Share, StagedModel
from inferix_core.contracts.profiler import Profiler
from inferix_core.contracts.quantizer import Quantizer
from inferix_core.contracts.scheduler import Planner, Solver
from inferix_core.contracts.streamer import Streamer, VideoFormat
from inferix_core.contracts.workload import CountedStrategy, EntryShape, Outline, PassShape, Workload

__all__ = [
    "AttentionBackend",
    "Beginning",
    "ChoosingLayerContext",
    "Columns",
    "CompressedLayerContext",
    "Condition",
    "Conditions",
    "CountedStrategy",
    "Decoder",
    "EntryShape",
    "FrameEncoder",
    "KVCache",
    "KVCodec",
    "KVPolicy",
    "KVStore",
    "Layer",
    "LayerContext",
    "Model",
    "Outline",
    "ParallelStrategy",
    "PassInput",
    "PassShape",
    "Planner",
    "PrefixModel",
    "Probe",
    "Profiler",
    "Quantizer",
    "Ranks",
    "RelevancePolicy",
    "Rotary",
    "Segment",
    "ShardedModel",
    "ShardedRotary",
    "Share",
    "Solver",
    "SplitDecoder",
    "StagedModel",
    "Streamer",
    "VideoFormat",
    "Workload",
]
