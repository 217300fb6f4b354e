"""What divides, and what the errors say of what does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inferix_core.errors import ConfigError
from inferix_core.plan import FieldShape, KVLayout
from inferix_parallel.degrees import Degrees, Heads, hybrid_degrees


def layout(num_heads: int, *, num_tokens: int = 64) -> KVLayout:
    field = FieldShape((num_heads, 8))
    return KVLayout(2, num_tokens, {"k": field, "v": field})


def check(degrees: Degrees, whole: KVLayout, num_heads: int | None) -> None:
    degrees.check(whole, Heads.of(whole, num_heads))


def test_heads_that_do_not_divide_are_told_with_numbers_that_would() -> None:
    with pytest.raises(ConfigError, match=r"12 heads cannot be split over 5 ranks; 1, 2, 3, 4, 6 or 12 would work"):
        check(Degrees(ulysses=5), layout(12), 12)


def test_fewer_key_heads_are_held_by_several_ranks() -> None:
    whole = layout(2)
    check(Degrees(ulysses=8), whole, 8)
    assert [list(share.heads(2)) for share in Degrees(ulysses=8).shares(whole)] == [[0]] * 4 + [[1]] * 4
    with pytest.raises(ConfigError, match="8 query heads over 2 key heads cannot be split over 3 ranks; 1, 2, 4 or 8"):
        check(Degrees(ulysses=3), whole, 8)


def test_without_the_number_of_query_heads_key_heads_must_divide() -> None:
    with pytest.raises(ConfigError, match="2 heads cannot be split over 4 ranks; 1 or 2 would work"):
        check(Degrees(ulysses=4), layout(2), None)


def test_a_latent_of_fewer_tokens_than_ranks_is_told() -> None:
    with pytest.raises(ConfigError, match="3 tokens of a latent cannot be cut into 4 shards"):
        check(Degrees(ring=4), layout(4, num_tokens=3), 4)


def test_hybrid_takes_the_largest_part_of_the_heads_that_fits() -> None:
    assert hybrid_degrees(8, Heads(12, 12), ring=None, ulysses=None) == Degrees(ring=2, ulysses=4)
    assert hybrid_degrees(1, Heads(12, 12), ring=2, ulysses=4) == Degrees()
    assert hybrid_degrees(4, Heads(3, 3), ring=None, ulysses=None) == Degrees(ring=4)
    assert hybrid_degrees(6, Heads(12, 12), ring=3, ulysses=None) == Degrees(ring=3, ulysses=2)
    with pytest.raises(ConfigError, match=r"ring 2 times ulysses 2 are 4 ranks, but there are 8.*2 x 4"):
        hybrid_degrees(8, Heads(12, 12), ring=2, ulysses=2)


@given(ring=st.integers(1, 4), ulysses=st.sampled_from([1, 2, 3, 4, 6]), num_tokens=st.integers(24, 99))
def test_shares_are_all_tokens_once_and_all_heads_of_every_token(ring: int, ulysses: int, num_tokens: int) -> None:
    whole = layout(12, num_tokens=num_tokens)
    shares = Degrees(ring, ulysses).shares(whole)
    assert [token for share in shares for token in share.tokens] == list(range(num_tokens))
    kept = [(token, head) for share in shares for token in share.kept_tokens for head in share.heads(12)]
    assert sorted(kept) == [(token, head) for token in range(num_tokens) for head in range(12)]
    sizes = {len(share.tokens) for share in shares}
    assert max(sizes) - min(sizes) <= 1
