"""The authors' configuration files are used as they are, and what cannot be used of one is named."""

import json
from pathlib import Path
from typing import Any

import pytest
from inferix_core.catalog import Catalog
from inferix_core.configuration import resolve
from inferix_core.errors import ConfigError
from inferix_core.specs import Kind
from inferix_magi.config import MagiModelConfig, MagiPlannerConfig, MagiRangesConfig
from inferix_magi.official_config import IGNORED, translated


def official(**changes: Any) -> dict[str, Any]:
    """What example/24B/24B_base_config.json holds, with changes by `section__field`."""
    tables: dict[str, Any] = {
        "model_config": {
            "model_name": "videodit_ardf", "num_layers": 48, "hidden_size": 6144, "ffn_hidden_size": 16384,
            "num_attention_heads": 48, "num_query_groups": 8, "kv_channels": 128, "layernorm_epsilon": 1e-06,
            "apply_layernorm_1p": True, "x_rescale_factor": 0.1, "half_channel_vae": True,
            "params_dtype": "torch.bfloat16", "patch_size": 2, "t_patch_size": 1, "in_channels": 32, "out_channels": 32,
            "cond_hidden_ratio": 0.25, "caption_channels": 4096, "caption_max_length": 800,
            "xattn_cond_hidden_ratio": 1.0, "cond_gating_ratio": 1.0, "gated_linear_unit": True,
        },
        "runtime_config": {
            "cfg_number": 3, "cfg_t_range": [0.0, 0.0217, 0.1, 0.3, 0.999],
            "prev_chunk_scales": [1.5, 1.5, 1.5, 1.0, 1.0], "text_scales": [7.5, 7.5, 7.5, 0.0, 0.0],
            "noise2clean_kvrange": [5, 4, 3, 2], "clean_chunk_kvrange": 1, "clean_t": 0.9999, "seed": 1234,
            "num_frames": 96, "video_size_h": 720, "video_size_w": 1280, "num_steps": 32, "window_size": 4, "fps": 24,
            "chunk_width": 6, "load": "./downloads/24B_base", "t5_pretrained": "./downloads/t5_pretrained",
            "t5_device": "cuda", "vae_pretrained": "./downloads/vae", "scale_factor": 0.18215,
            "temporal_downsample_factor": 4,
        },
        "engine_config": {
            "distributed_backend": "nccl", "distributed_timeout_minutes": 15, "pp_size": 1, "cp_size": 8,
            "cp_strategy": "cp_ulysses", "ulysses_overlap_degree": 1, "fp8_quant": False,
            "distill_nearly_clean_chunk_threshold": 0.3, "shortcut_mode": "8,16,16", "distill": False,
            "kv_offload": True, "enable_cuda_graph": False,
        },
    }  # fmt: skip
    for name, value in changes.items():
        section, _, field = name.partition("__")
        tables[section][field] = value
    return tables


def write(folder: Path, tables: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(tables))
    return path


def test_a_file_stands_for_model_planner_policy_and_files_under_what_is_set_beside_it(tmp_path: Path) -> None:
    path = write(tmp_path, official(runtime_config__clean_chunk_kvrange=-1, runtime_config__num_steps=64))
    table = {"use": "magi", "preset": "4.5B", "official_config": str(path), "width": 640, "text": {"duration": False}}
    resolved = resolve({"model": table, "seed": 5}, Catalog.discover())
    model, planner = resolved.required(Kind.MODEL).config, resolved.required(Kind.PLANNER).config
    policy, decoder = resolved.required(Kind.KV_POLICY).config, resolved.required(Kind.DECODER).config
    assert isinstance(model, MagiModelConfig)
    assert isinstance(planner, MagiPlannerConfig)
    assert isinstance(policy, MagiRangesConfig)
    assert (model.size, model.height, model.width, model.distilled) == ("24B", 720, 640, False)
    assert model.checkpoint == "./downloads/24B_base"
    assert (model.text.checkpoint, model.text.device, model.text.duration) == (
        "./downloads/t5_pretrained",
        "cuda",
        False,
    )
    assert (planner.num_steps, planner.guidance, planner.num_blocks_in_flight) == (64, "three-way", 4)
    assert policy.num_visible_blocks_clean is None
    assert decoder.model_dump()["checkpoint"] == "./downloads/vae"
    assert (resolved.run.dtype, resolved.run.seed) == ("bfloat16", 5)
    assert resolved.selected(Kind.QUANTIZER) is None


def test_a_distilled_quantised_file_brings_its_guidance_and_the_quantizer(tmp_path: Path) -> None:
    changes = {"engine_config__distill": True, "engine_config__fp8_quant": True, "runtime_config__cfg_number": 1}
    tables = translated(write(tmp_path, official(**changes)))
    assert tables["planner"]["guidance"] == "distilled"
    assert tables["model"]["distilled"] is True
    assert tables["quantizer"] == {"use": "magi-fp8"}


def test_every_field_of_the_authors_is_used_or_ignored_with_a_reason() -> None:
    ignored = {f"{section}.{name}" for section, names in IGNORED.items() for name in names}
    assert ignored == {
        "runtime_config.num_frames", "engine_config.distributed_backend", "engine_config.distributed_timeout_minutes",
        "engine_config.pp_size", "engine_config.cp_size", "engine_config.cp_strategy",
        "engine_config.ulysses_overlap_degree", "engine_config.kv_offload", "engine_config.enable_cuda_graph",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"runtime_config__num_step": 3}, r"runtime_config has no field 'num_step'\. Did you mean 'num_steps'\?"),
        ({"model_config__num_layers": 47}, r"is of no size .*; from 24B it differs in num_layers 47 \(there 48\)"),
        ({"model_config__out_channels": 16}, r"out_channels, which differ from in_channels"),
        ({"model_config__model_name": "other"}, r"model_name is other, but only videodit_ardf is built"),
        ({"model_config__params_dtype": "torch.int8"}, r"params_dtype is torch\.int8, but it may be torch\.bfloat16"),
        ({"runtime_config__cfg_number": 1}, r"cfg_number is 1, but base models take 3"),
        ({"runtime_config__scale_factor": 1.0}, r"scale_factor is 1\.0, but only 0\.18215 is built"),
        ({"model_config__num_query_groups": 5}, r"cannot be built: 48 heads cannot share 5"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        translated(write(tmp_path, official(**changes)))


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    tables = official(runtime_config__speed=3) | {"extra_config": {}}
    del tables["model_config"]["num_layers"]
    with pytest.raises(ConfigError) as caught:
        translated(write(tmp_path, tables))
    for words in ("no table 'extra_config'", "no field 'speed'", "model_config lacks num_layers"):
        assert words in str(caught.value)


def test_a_file_that_is_absent_no_json_or_another_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        translated(tmp_path / "absent.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ConfigError, match="is no JSON"):
        translated(tmp_path / "broken.json")
    with pytest.raises(ConfigError, match="is no configuration of MAGI-1, which has the tables model_config"):
        translated(write(tmp_path, {"a": 1}))
