"""Multi-head latent attention over a cache equals the equations without one, and keeps as many bytes as computed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
import torch
from inferix_core.contracts.kv import KVCache, KVStore
from inferix_core.defaults.configuration import DenseConfig
from inferix_core.defaults.dense import DenseStore
from inferix_core.defaults.full import FullPolicy
from inferix_core.defaults.sdpa import SdpaBackend
from inferix_core.plan import Entry, FieldShape, KVLayout, Level, Pass
from inferix_core.runtime.context import PassContext
from inferix_core.runtime.sight import Sight
from inferix_core.specs import ComponentConfig
from inferix_core.testing.toy_store import ToyStore
from inferix_core.testing.toys import ToyRotary
from inferix_kvstore.mla import MultiHeadLatentAttention, mla_layout
from inferix_kvstore.policies.configuration import SinkWindowConfig
from inferix_kvstore.policies.window import SinkWindowPolicy
from torch import Tensor

WIDTH, HEADS, HEAD_DIM, RANK, ROPE_DIM = 24, 4, 6, 10, 4
NUM_LAYERS, TOKENS, BLOCK_LATENTS, NUM_BLOCKS = 2, 3, 2, 4
NUM_TOKENS = TOKENS * BLOCK_LATENTS * NUM_BLOCKS
LAYOUT = mla_layout(num_layers=NUM_LAYERS, tokens_per_latent=TOKENS, rank=RANK, rope_dim=ROPE_DIM)
CLEAN = Level(2, 0.0, 0.0)
SEES_ALL = FullPolicy(ComponentConfig())

STORES: dict[str, Callable[[], KVStore]] = {
    "toy": ToyStore,
    "dense": lambda: DenseStore(
        DenseConfig(), layout=LAYOUT, capacity=None, device=torch.device("cpu"), dtype=torch.float32
    ),
}


def layers() -> list[MultiHeadLatentAttention]:
    torch.manual_seed(0)
    sizes = {"num_heads": HEADS, "head_dim": HEAD_DIM, "rank": RANK, "rope_dim": ROPE_DIM}
    return [MultiHeadLatentAttention(WIDTH, **sizes, rotary=ToyRotary()).eval() for _ in range(NUM_LAYERS)]


def tokens() -> Tensor:
    return torch.randn(1, NUM_TOKENS, WIDTH, generator=torch.Generator().manual_seed(1))


@dataclass
class Rollout:
    """Two layers, run block by block over one cache."""

    cache: KVCache
    policy: FullPolicy | SinkWindowPolicy = SEES_ALL
    layers: Sequence[MultiHeadLatentAttention] = field(default_factory=layers)

    def run(self, x: Tensor, *, absorbed: bool) -> Tensor:
        parts = x.split(TOKENS * BLOCK_LATENTS, dim=1)
        return torch.cat([self.block(index, part, absorbed=absorbed) for index, part in enumerate(parts)], dim=1)

    @torch.no_grad()
    def block(self, index: int, x: Tensor, *, absorbed: bool) -> Tensor:
        latents = range(index * BLOCK_LATENTS, (index + 1) * BLOCK_LATENTS)
        kept = set(self.policy.retained(self.cache.held, latents))
        self.cache.drop([latent for latent in self.cache.held if latent not in kept])
        self.cache.reserve(latents)
        context = PassContext(
            [Pass((Entry(index, latents, latents.start, CLEAN),), commits=(index,))],
            caches=[self.cache],
            conditions=[[{}]],
            sight=Sight(self.policy),
            backend=SdpaBackend(ComponentConfig()),
            tokens_per_latent=TOKENS,
        )
        for number, layer in enumerate(self.layers):
            x = x + layer(x, context.positions, context.at(number), absorbed=absorbed)
        self.cache.commit(latents)
        return x


@torch.no_grad()
def uncached(x: Tensor, *, sees: Tensor) -> Tensor:
    """Equations 9–19 of the paper for one token and head after the other; `sees[n, m]` says what token n sees."""
    positions = [list(range(NUM_BLOCKS * BLOCK_LATENTS))]
    for layer in layers():
        weights = {name: parameter.detach() for name, parameter in layer.named_parameters()}
        down_latent, down_rope = weights["down.weight"].split([RANK, ROPE_DIM])
        heads = weights["up.weight"].view(HEADS, 2 * HEAD_DIM, RANK)
        queries = weights["query.weight"].view(HEADS, HEAD_DIM + ROPE_DIM, WIDTH)
        latent = x[0] @ down_latent.T
        rope_key = ToyRotary().rotate((x @ down_rope.T).unsqueeze(2), positions)[0, :, 0]
        outputs = []
        for head in range(HEADS):
            up_key, up_value = heads[head].split(HEAD_DIM)
            query, rope_query = (x[0] @ queries[head].T).split([HEAD_DIM, ROPE_DIM], dim=-1)
            rope_query = ToyRotary().rotate(rope_query[None, :, None], positions)[0, :, 0]
            scores = query @ (latent @ up_key.T).T + rope_query @ rope_key.T
            scores = (scores / (HEAD_DIM + ROPE_DIM) ** 0.5).masked_fill(~sees, -torch.inf)
            outputs.append(scores.softmax(-1) @ (latent @ up_value.T))
        x = x + (torch.cat(outputs, dim=-1) @ weights["out.weight"].T)[None]
    return x


def blocks_before_and_own() -> Tensor:
    block = torch.arange(NUM_TOKENS) // (TOKENS * BLOCK_LATENTS)
    return block[:, None] >= block[None, :]


@pytest.mark.parametrize("absorbed", [False, True], ids=["expanded", "absorbed"])
@pytest.mark.parametrize("store", STORES)
def test_block_by_block_over_a_cache_gives_what_the_equations_give_at_once(store: str, absorbed: bool) -> None:
    cached = Rollout(STORES[store]().create()).run(tokens(), absorbed=absorbed)
    torch.testing.assert_close(cached, uncached(tokens(), sees=blocks_before_and_own()), atol=1e-5, rtol=0)


@pytest.mark.parametrize("absorbed", [False, True], ids=["expanded", "absorbed"])
def test_a_window_leaves_out_what_it_left_out_of_the_cache(absorbed: bool) -> None:
    policy = SinkWindowPolicy(SinkWindowConfig(num_sink_latents=1, num_window_latents=3))
    windowed = Rollout(ToyStore().create(), policy).run(tokens(), absorbed=absorbed)
    latent = torch.arange(NUM_TOKENS) // TOKENS
    end = (latent // BLOCK_LATENTS + 1) * BLOCK_LATENTS
    in_sight = (latent[None, :] < 1) | (latent[None, :] >= end[:, None] - 3)
    expected = uncached(tokens(), sees=blocks_before_and_own() & in_sight)
    torch.testing.assert_close(windowed, expected, atol=1e-5, rtol=0)


def test_absorbed_and_expanded_agree_and_keep_the_same() -> None:
    caches = [ToyStore().create(), ToyStore().create()]
    expanded, absorbed = (Rollout(cache).run(tokens(), absorbed=i == 1) for i, cache in enumerate(caches))
    torch.testing.assert_close(absorbed, expanded, atol=1e-5, rtol=0)
    assert not torch.equal(absorbed, expanded), "they are two ways to compute it"
    first, second = (cache.segments(0, [range(BLOCK_LATENTS)])[0] for cache in caches)
    assert all(torch.equal(first[name], second[name]) for name in LAYOUT.fields)


def test_a_cache_of_latents_is_as_large_as_computed_and_smaller_than_one_of_heads() -> None:
    cache = ToyStore().create()
    Rollout(cache).run(tokens(), absorbed=True)
    num_latents = NUM_BLOCKS * BLOCK_LATENTS
    bytes_per_latent = NUM_LAYERS * TOKENS * (RANK + ROPE_DIM) * 4
    assert cache.num_bytes == num_latents * bytes_per_latent
    heads = FieldShape((HEADS, HEAD_DIM))
    of_heads = bytes_of_latent(KVLayout(NUM_LAYERS, TOKENS, {"k": heads, "v": heads}))
    assert bytes_of_latent(LAYOUT) / of_heads == (RANK + ROPE_DIM) / (2 * HEADS * HEAD_DIM)
    assert of_heads > 3 * bytes_per_latent


def bytes_of_latent(layout: KVLayout) -> int:
    pages = (torch.empty(layout.page_shape(name)) for name in layout.fields)
    return layout.num_layers * sum(page.nbytes for page in pages)
