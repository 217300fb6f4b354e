"""The rules of attention backends, against softmax attention in float64.

Letters: B batch, N query tokens, M key tokens, H heads, D head dim.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from inferix_core.contracts.attention import AttentionBackend, Probe
from inferix_core.testing.suites.base import Suite, rule
from inferix_core.testing.suites.plain_data import copies_of, is_unchanged

CUT_INVARIANT = "cut-invariant"
SCALE = 0.3


class AttentionSuite(Suite):
    """Supply `backend`, and the dtype, device and tolerance at which it runs here."""

    dtype = torch.float32
    device = "cpu"
    head_dim = 8
    num_heads = 4
    tolerance = 1e-5

    def backend(self) -> AttentionBackend:
        """The backend."""
        raise NotImplementedError("Supply `backend`: return the attention backend that is to be tested.")

    @rule
    def test_one_segment_is_attended_as_the_formula_says(self) -> None:
        self._check(self._case((10,)))

    @rule
    def test_several_segments_are_attended_as_one(self) -> None:
        self._check(self._case((3, 1, 6)))

    @rule
    def test_a_segment_without_tokens_is_as_if_it_were_not_there(self) -> None:
        self._check(self._case((0, 4, 0, 3)))

    @rule
    def test_query_heads_share_fewer_key_heads(self) -> None:
        self._check(self._case((4, 5), num_kv_heads=self.num_heads // 2))

    @rule
    def test_large_scores_do_not_overflow(self) -> None:
        q, segments = self._case((4, 5))
        self._check((q * 60, segments))

    @rule
    def test_the_log_sum_exp_is_natural_and_float32_where_it_is_asked_for(self) -> None:
        q, segments = self._case((4, 5))
        expected, expected_lse = reference(q, segments)
        out, lse = self.backend().attend(q, segments, scale=SCALE, want_lse=True)
        assert lse is not None, "it was asked for"
        assert (lse.dtype, tuple(lse.shape)) == (torch.float32, tuple(q.shape[:3]))
        torch.testing.assert_close(out.double(), expected, atol=self.tolerance, rtol=self.tolerance)
        torch.testing.assert_close(lse.double(), expected_lse, atol=self.tolerance, rtol=self.tolerance)

    @rule
    def test_no_log_sum_exp_comes_unasked(self) -> None:
        q, segments = self._case((4, 5))
        assert self.backend().attend(q, segments, scale=SCALE)[1] is None

    @rule
    def test_the_result_has_the_shape_and_dtype_of_the_queries(self) -> None:
        q, segments = self._case((4, 5))
        out, _ = self.backend().attend(q, segments, scale=SCALE)
        assert (out.shape, out.dtype) == (q.shape, q.dtype)

    @rule
    def test_queries_and_segments_stay_as_they_are(self) -> None:
        q, segments = self._case((4, 5))
        copies = copies_of([q, segments])
        self.backend().attend(q, segments, scale=SCALE)
        assert is_unchanged([q, segments], copies)

    @rule
    def test_how_keys_are_cut_changes_no_bit_where_that_is_declared(self) -> None:
        if CUT_INVARIANT not in self.provides:
            return  # then nobody relies on it
        q, (whole,) = self._case((24,))
        expected, _ = self.backend().attend(q, [whole], scale=SCALE)
        for lengths in ((1, 23), (8, 8, 8), (5, 12, 7), (1,) * 24):
            parts = {name: torch.split(values, list(lengths), dim=1) for name, values in whole.items()}
            segments = [{name: parts[name][place] for name in parts} for place in range(len(lengths))]
            found, _ = self.backend().attend(q, segments, scale=SCALE)
            assert torch.equal(found, expected), f"cut into {lengths}, the bits differ"

    @rule
    def test_where_keys_lie_changes_no_bit_where_cutting_changes_none(self) -> None:
        if CUT_INVARIANT not in self.provides:
            return
        q, (whole,) = self._case((24,))
        expected, _ = self.backend().attend(q, [whole], scale=SCALE)
        for offset in (1, 3, 8):  # elements behind an aligned address, as pages in a pool may lie
            segment = {}
            for name, values in whole.items():
                room = torch.zeros(values.numel() + offset, dtype=values.dtype, device=values.device)
                segment[name] = room[offset:].view(values.shape).copy_(values)
            found, _ = self.backend().attend(q, [segment], scale=SCALE)
            assert torch.equal(found, expected), f"{offset} elements further on in memory, the bits differ"

    @rule
    def test_a_probe_never_raises_and_says_why_not(self) -> None:
        for device, dtype, head_dim in ((self.device, "float32", 8), ("nowhere", "complex32", 7), ("cuda", "int8", 0)):
            probe = self.backend().probe(device=device, dtype=dtype, head_dim=head_dim)
            assert isinstance(probe, Probe)
            assert probe.usable or probe.why_not, "a backend that cannot be used says why"

    def _check(self, case: tuple[Tensor, list[dict[str, Tensor]]]) -> None:
        q, segments = case
        expected, _ = reference(q, segments)
        out, _ = self.backend().attend(q, segments, scale=SCALE)
        torch.testing.assert_close(out.double(), expected, atol=self.tolerance, rtol=self.tolerance)

    def _case(
        self, lengths: Sequence[int], *, num_kv_heads: int | None = None
    ) -> tuple[Tensor, list[dict[str, Tensor]]]:
        """Random queries `[B, N, H, D]` and one segment of each length."""
        generator = torch.Generator().manual_seed(0)

        def random(num_tokens: int, num_heads: int) -> Tensor:
            values = torch.randn(2, num_tokens, num_heads, self.head_dim, generator=generator)
            return values.to(self.device, self.dtype)

        kv_heads = num_kv_heads or self.num_heads
        return random(5, self.num_heads), [{name: random(length, kv_heads) for name in "kv"} for length in lengths]


def reference(q: Tensor, segments: Sequence[dict[str, Tensor]]) -> tuple[Tensor, Tensor]:
    """Attention `[B, N, H, D]` and log-sum-exp `[B, N, H]` in float64, written out."""
    keys, values = (torch.cat([segment[name] for segment in segments], dim=1).double() for name in "kv")
    keys, values = (x.repeat_interleave(q.shape[2] // x.shape[2], dim=2) for x in (keys, values))
    scores = torch.einsum("bnhd,bmhd->bhnm", q.double(), keys) * SCALE
    return torch.einsum("bhnm,bmhd->bnhd", scores.softmax(-1), values), scores.logsumexp(-1).transpose(1, 2)
