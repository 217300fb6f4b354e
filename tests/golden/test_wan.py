"""The golden Wan cases agree with what our public classes make of them, and would not if a part were wrong."""

from pathlib import Path

import check
import pytest
import torch
import wan_rollout
from folder import Case, read_cases
from inferix_wan.solvers.config import UniPCSolverConfig
from outcome import Verdict

FOLDER = Path(__file__).parent / "wan"
CASES = {case.name: case for case in read_cases(FOLDER) if case.path.is_file() and not case.is_table}


def verdict(case: Case) -> Verdict:
    (result,) = check.run_cases([case])
    return result.verdict


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_case_agrees(name: str) -> None:
    (result,) = check.run_cases([CASES[name]])
    assert result.verdict is Verdict.PASSED, (result.reason, result.worst)


def test_the_cases_of_this_release_are_all_here() -> None:
    assert {
        "sf_causal_rollout_global",
        "sf_causal_rollout_window",
        "sf_causal_rollout_window_sink",
        "sf_causal_rollout_fpb1",
        "sf_causal_rollout_bf16",
        "sf_flowmatch_scheduler",
        "sf_pipe_t2v",
        "sf_pipe_t2v_batch2_nowarp",
        "sf_pipe_window_sink",
        "sf_pipe_extend",
        "sf_pipe_i2v",
        "sf_pipe_first_frame",
        "sf_vae_stream",
        "wan21_vae_d4z16",
        "wan21_vae_d4z4",
        "wan21_vae_eps",
        "sf_text_encoder",
        "wan21_umt5_d32",
        "wan21_umt5_eps",
        "wan21_clip_d32",
        "wan21_clip_eps",
        "wan21_t2v_d96h4",
        "wan21_t2v_d80h4",
        "wan21_i2v_d80h4",
        "wan21_eps_dit",
        "wan21_solvers",
        "sf_causal_block_masks",
        "sf_pipe_cfg_unipc",
        "sf_pipe_cfg_dpmpp_extend",
        "sf_pipe_bidir_cfg_unipc",
        "sf_pipe_bidir_fewstep",
        "sf_vae_demo_stream",
        "causvid_rollout",
        "causvid_rollout_b2_fpb1",
        "causvid_pipe",
        "causvid_pipe_warp4",
        "causvid_pipe_start_latents",
        "causvid_pipe_long",
        "causvid_pipe_bidir",
    } <= CASES.keys()


def test_a_case_without_its_sink_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = wan_rollout.policy_of
    monkeypatch.setattr(wan_rollout, "policy_of", lambda constructor: policy({**constructor, "sink_size": 0}))
    assert verdict(CASES["sf_causal_rollout_window_sink"]) is Verdict.FAILED


def test_a_case_with_one_other_weight_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    load = wan_rollout.WanTransformer.load_state_dict

    def load_damaged(self: torch.nn.Module, weights: dict[str, torch.Tensor], strict: bool) -> object:
        name = "blocks.1.cross_attn.norm_q.weight"
        return load(self, {**weights, name: weights[name] * 1.01}, strict=strict)

    monkeypatch.setattr(wan_rollout.WanTransformer, "load_state_dict", load_damaged)
    assert verdict(CASES["sf_pipe_t2v"]) is Verdict.FAILED


def test_a_case_without_its_negative_prompt_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    run = wan_rollout.run
    monkeypatch.setattr("wan_clips.run", lambda setup: run(wan_rollout.replace(setup, negative=setup.embeds[0])))
    assert verdict(CASES["sf_pipe_bidir_cfg_unipc"]) is Verdict.FAILED


def test_a_case_with_a_solver_of_another_order_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    first_order = UniPCSolverConfig(order=1)
    monkeypatch.setattr("wan_clips.UniPCSolverConfig", lambda: first_order)
    assert verdict(CASES["sf_pipe_cfg_unipc"]) is Verdict.FAILED


def test_a_case_that_carries_over_the_latent_itself_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inferix_wan.planners.overlap.replace", lambda op, from_anchor: op)
    assert verdict(CASES["causvid_pipe_long"]) is Verdict.FAILED


def test_a_case_with_other_clean_times_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    run = wan_rollout.run

    def run_with_default_clean_time(setup: wan_rollout.Setup) -> wan_rollout.Rollout:
        planner = setup.planner.model_copy(update={"clean_time": 0.0})
        return run(wan_rollout.replace(setup, planner=planner))

    monkeypatch.setattr("wan_cases.run", run_with_default_clean_time)
    assert verdict(CASES["sf_pipe_t2v_batch2_nowarp"]) is Verdict.FAILED
