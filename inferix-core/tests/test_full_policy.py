"""The policy that keeps everything."""

from __future__ import annotations

from inferix_core.defaults.full import FullPolicy
from inferix_core.plan import Entry, Level
from inferix_core.specs import ComponentConfig


def test_everything_stays_and_is_visible_without_a_bound() -> None:
    policy = FullPolicy(ComponentConfig())
    entry = Entry(block=3, latents=range(9, 12), first_position=9, level=Level(0, 1000.0, 1.0))
    assert policy.retained([0, 1, 5], range(9, 12)) == [0, 1, 5]
    assert policy.visible(entry, [0, 5, 9, 10, 11]) == [0, 5, 9, 10, 11]
    assert policy.capacity(3) is None
