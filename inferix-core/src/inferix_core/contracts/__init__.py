"""The contracts: one Protocol for each kind of component. No module here imports torch at run time."""

from inferix_core.contracts.attention import AttentionBackend, Probe, Segment
from inferix_core.contracts.decoder import Decoder, FrameEncoder
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
from inferix_core.contracts.parallel import ParallelStrategy
from inferix_core.contracts.profiler import Profiler
from inferix_core.contracts.quantizer import Quantizer
from inferix_core.contracts.scheduler import Planner, Solver
from inferix_core.contracts.streamer import Streamer, VideoFormat

__all__ = [
    "AttentionBackend",
    "Beginning",
    "ChoosingLayerContext",
    "CompressedLayerContext",
    "Condition",
    "Conditions",
    "Decoder",
    "FrameEncoder",
    "KVCache",
    "KVCodec",
    "KVPolicy",
    "KVStore",
    "Layer",
    "LayerContext",
    "Model",
    "ParallelStrategy",
    "PassInput",
    "Planner",
    "PrefixModel",
    "Probe",
    "Profiler",
    "Quantizer",
    "RelevancePolicy",
    "Rotary",
    "Segment",
    "Solver",
    "Streamer",
    "VideoFormat",
]
