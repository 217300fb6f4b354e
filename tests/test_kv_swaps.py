"""Every store with every policy and every codec under the embedded world, chosen by configuration alone."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import pytest
import torch
from inferix_core import ConfigError, Engine
from inferix_core.catalog import Catalog
from inferix_core.specs import Kind
from torch import Tensor

NUM_BLOCKS = 4
STORES = ("dense", "ring", "paged", "offload")
POLICIES = {
    "full": "{use='full'}",
    "window": "{use='window',num_window_latents=6}",
    "sink-window": "{use='sink-window',num_sink_latents=3,num_window_latents=3}",
    "selective": "{use='selective',num_sink_latents=1,num_recent_latents=3,num_selected_latents=2,num_kept_latents=4}",
    "selective, all kept": "{use='selective',num_sink_latents=1,num_recent_latents=3,num_selected_latents=2}",
    "strided": "{use='strided',num_recent_latents=3,stride=2,num_memory_latents=2}",
}
UNBOUNDED = ("full", "selective, all kept")
CODECS = ("none", "int8", "fp8", "int4")


class FirstChannels:
    """Shows three channels of the latents, which is quicker than a VAE and hides nothing that these tests compare."""

    def decode(self, latents: Tensor, state: Any) -> tuple[Tensor, Any]:
        return latents[:, :3].float().tanh(), state


def settings(store: str, policy: str, codec: str) -> tuple[str, ...]:
    extra = ("kv.store.num_device_latents=4",) if store == "offload" else ()
    return (f"kv.store.use={store}", *extra, f"kv.policy={POLICIES[policy]}", f"kv.codec.use={codec}", "num_threads=1")


@cache
def frames(store: str, policy: str, codec: str) -> Tensor:
    engine = Engine.load("tinyworld", overrides=settings(store, policy, codec))
    shown = Engine(engine.parts, FirstChannels())
    with shown.create_world("a red ball bounces", seed=5) as world:
        made = torch.cat([world.step().frames for _ in range(NUM_BLOCKS)])
    assert shown.num_kv_bytes == 0, "nothing is left in the store when the world is closed"
    return made


@pytest.mark.parametrize(("store", "policy"), list(product(STORES, POLICIES)))
def test_stores_are_interchangeable_bit_for_bit_and_impossible_pairs_are_refused(store: str, policy: str) -> None:
    if store == "ring" and policy in UNBOUNDED:
        with pytest.raises(ConfigError, match="ring"):
            Engine.load("tinyworld", overrides=settings(store, policy, "none"))
    else:
        assert torch.equal(frames(store, policy, "none"), frames("dense", policy, "none"))


@pytest.mark.parametrize(("store", "policy", "codec"), list(product(STORES, POLICIES, CODECS[1:])))
def test_codecs_work_in_every_store_under_every_policy(store: str, policy: str, codec: str) -> None:
    if store == "ring" and policy in UNBOUNDED:
        with pytest.raises(ConfigError, match="ring"):
            Engine.load("tinyworld", overrides=settings(store, policy, codec))
        return
    coded, exact = frames(store, policy, codec), frames("dense", policy, "none")
    assert torch.equal(coded, frames("dense", policy, codec)), "a codec's bits do not depend on the store"
    assert torch.equal(coded[:3], exact[:3]), "the first block reads no page"
    difference = float((coded.float() - exact.float()).abs().mean())
    assert 0.0 < difference < 16.0, f"{difference} grey levels"


@pytest.mark.parametrize("policy", [name for name in POLICIES if name != "full"])
def test_a_policy_changes_what_is_seen(policy: str) -> None:
    assert not torch.equal(frames("dense", policy, "none"), frames("dense", "full", "none"))


def test_all_that_core_and_kvstore_bring_is_swapped_here() -> None:
    def names(kind: Kind) -> set[str]:
        components = Catalog.discover().components(kind)
        return {one.name for one in components if one.distribution in ("inferix-core", "inferix-kvstore")}

    assert names(Kind.KV_STORE) == set(STORES)
    assert names(Kind.KV_CODEC) == set(CODECS)
    assert names(Kind.KV_POLICY) == {name.split(",")[0] for name in POLICIES}


@pytest.mark.parametrize("kind", ["store", "policy", "codec"])
def test_a_name_alone_chooses(kind: str) -> None:
    """Whatever the model's preset says of another component, and without a key besides."""
    names = {"store": STORES, "policy": ("full", "window", "sink-window", "strided", "selective"), "codec": CODECS}
    for name in names[kind]:
        engine = Engine.load("tinyworld", overrides=(f"kv.{kind}.use={name}", "num_threads=1"))
        assert engine.config is not None
        assert engine.config.effective["kv"][kind]["use"] == name
