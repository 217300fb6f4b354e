"""Every rule of the attention suite is broken by one backend that keeps all others."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from pathlib import Path

import pytest
import torch
from inferix_core.contracts.attention import Probe, Segment
from inferix_core.testing.suites import AttentionSuite, broken_rules, rules_of
from torch import Tensor

Result = tuple[Tensor, Tensor | None]


class Plain:
    """Joins the segments and writes the formula out, so that no cut changes a bit."""

    def probe(self, *, device: str, dtype: str, head_dim: int) -> Probe:
        return Probe(usable=device == "cpu", why_not="" if device == "cpu" else "It runs on a CPU alone.")

    def joined(self, segments: Sequence[Segment], num_heads: int) -> list[Tensor]:
        both = [torch.cat([segment[name] for segment in segments], dim=1) for name in "kv"]
        return [x.repeat_interleave(num_heads // x.shape[2], dim=2) for x in both]

    def softmax(self, scores: Tensor) -> Tensor:
        return scores.softmax(-1)

    def attend(self, q: Tensor, segments: Sequence[Segment], *, scale: float, want_lse: bool = False) -> Result:
        keys, values = self.joined(segments, q.shape[2])
        scores = torch.einsum("bnhd,bmhd->bhnm", q, keys) * scale
        out = torch.einsum("bhnm,bmhd->bnhd", self.softmax(scores), values)
        return out, scores.logsumexp(-1).transpose(1, 2) if want_lse else None


class WrongForOne(Plain):
    def attend(self, q: Tensor, segments: Sequence[Segment], *, scale: float, want_lse: bool = False) -> Result:
        return super().attend(q, segments, scale=2 * scale if len(segments) == 1 else scale, want_lse=want_lse)


class ForgetsTheThird(Plain):
    def joined(self, segments: Sequence[Segment], num_heads: int) -> list[Tensor]:
        return super().joined(segments[:2] if len(segments) == 3 else segments, num_heads)


class NeedsTokens(Plain):
    def joined(self, segments: Sequence[Segment], num_heads: int) -> list[Tensor]:
        assert all(segment["k"].shape[1] for segment in segments)
        return super().joined(segments, num_heads)


class GroupsWrongly(Plain):
    def joined(self, segments: Sequence[Segment], num_heads: int) -> list[Tensor]:
        both = [torch.cat([segment[name] for segment in segments], dim=1) for name in "kv"]
        return [x.repeat(1, 1, num_heads // x.shape[2], 1) for x in both]


class Overflows(Plain):
    def softmax(self, scores: Tensor) -> Tensor:
        return scores.exp() / scores.exp().sum(-1, keepdim=True)


class CountsInBits(Plain):
    def attend(self, q: Tensor, segments: Sequence[Segment], *, scale: float, want_lse: bool = False) -> Result:
        out, lse = super().attend(q, segments, scale=scale, want_lse=want_lse)
        return out, None if lse is None else lse / log(2)


class AlwaysWithLse(Plain):
    def attend(self, q: Tensor, segments: Sequence[Segment], *, scale: float, want_lse: bool = False) -> Result:
        return super().attend(q, segments, scale=scale, want_lse=True)


class Widens(Plain):
    def attend(self, q: Tensor, segments: Sequence[Segment], *, scale: float, want_lse: bool = False) -> Result:
        out, lse = super().attend(q, segments, scale=scale, want_lse=want_lse)
        return out.double(), lse


class WritesIntoValues(Plain):
    def attend(self, q: Tensor, segments: Sequence[Segment], *, scale: float, want_lse: bool = False) -> Result:
        result = super().attend(q, segments, scale=scale, want_lse=want_lse)
        if not want_lse and len(segments) == 2:
            segments[1]["v"].zero_()
        return result


class MergesSegments(Plain):
    """Attends to each segment alone and merges by log-sum-exp, which rounds at every cut."""

    def attend(self, q: Tensor, segments: Sequence[Segment], *, scale: float, want_lse: bool = False) -> Result:
        filled = [segment for segment in segments if segment["k"].shape[1]]
        parts = [super(MergesSegments, self).attend(q, [one], scale=scale, want_lse=True) for one in filled]
        lses = torch.stack([lse for _, lse in parts if lse is not None])
        lse = lses.logsumexp(0)
        out = sum(part * (own - lse).exp().unsqueeze(-1) for (part, _), own in zip(parts, lses, strict=True))
        assert isinstance(out, Tensor)
        return out, lse if want_lse else None


class FeelsWhereKeysLie(Plain):
    def attend(self, q: Tensor, segments: Sequence[Segment], *, scale: float, want_lse: bool = False) -> Result:
        out, lse = super().attend(q, segments, scale=scale, want_lse=want_lse)
        is_aligned = len(segments) > 1 or segments[0]["k"].data_ptr() % 64 == 0
        return (out if is_aligned else out * (1.0 + 1e-6)), lse


class Chokes(Plain):
    def probe(self, *, device: str, dtype: str, head_dim: int) -> Probe:
        torch.device(device)
        return super().probe(device=device, dtype=dtype, head_dim=head_dim)


BROKEN: dict[str, type[Plain]] = {
    "test_one_segment_is_attended_as_the_formula_says": WrongForOne,
    "test_several_segments_are_attended_as_one": ForgetsTheThird,
    "test_a_segment_without_tokens_is_as_if_it_were_not_there": NeedsTokens,
    "test_query_heads_share_fewer_key_heads": GroupsWrongly,
    "test_large_scores_do_not_overflow": Overflows,
    "test_the_log_sum_exp_is_natural_and_float32_where_it_is_asked_for": CountsInBits,
    "test_no_log_sum_exp_comes_unasked": AlwaysWithLse,
    "test_the_result_has_the_shape_and_dtype_of_the_queries": Widens,
    "test_queries_and_segments_stay_as_they_are": WritesIntoValues,
    "test_how_keys_are_cut_changes_no_bit_where_that_is_declared": MergesSegments,
    "test_where_keys_lie_changes_no_bit_where_cutting_changes_none": FeelsWhereKeysLie,
    "test_a_probe_never_raises_and_says_why_not": Chokes,
}
CUT_RULES = (
    "test_how_keys_are_cut_changes_no_bit_where_that_is_declared",
    "test_where_keys_lie_changes_no_bit_where_cutting_changes_none",
)


def suite_of(backend: Plain, *, provides: frozenset[str]) -> AttentionSuite:
    class Cases(AttentionSuite):
        def backend(self) -> Plain:
            return backend

    Cases.provides = provides
    return Cases()


class TestPlain(AttentionSuite):
    provides = frozenset({"cut-invariant"})

    def backend(self) -> Plain:
        return Plain()


@pytest.mark.parametrize("name", rules_of(AttentionSuite))
def test_the_backend_that_breaks_a_rule_fails_it_and_no_other(name: str, tmp_path: Path) -> None:
    provides = frozenset({"cut-invariant"} if name in CUT_RULES else ())
    assert broken_rules(suite_of(BROKEN[name](), provides=provides), tmp_path) == [name]


def test_bits_are_not_asked_of_a_backend_that_does_not_declare_them(tmp_path: Path) -> None:
    assert broken_rules(suite_of(MergesSegments(), provides=frozenset()), tmp_path) == []
