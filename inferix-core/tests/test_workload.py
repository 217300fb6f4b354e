"""What blocks ask for, worked out from plan and policy, against what engines do."""

from collections.abc import Sequence

import pytest
from inferix_core.contracts.attention import Segment
from inferix_core.contracts.parallel import Share
from inferix_core.contracts.workload import EntryShape, PassShape, Workload, outline_of_layout
from inferix_core.defaults.full import FullPolicy
from inferix_core.defaults.sdpa import SdpaBackend
from inferix_core.errors import ConfigError, UnsupportedError
from inferix_core.plan import FieldShape, Geometry, KVLayout
from inferix_core.runtime.shapes import block_shapes, steady_block
from inferix_core.runtime.sight import Sight
from inferix_core.specs import ComponentConfig
from inferix_core.testing.grid_model import GridModel
from inferix_core.testing.toy_engine import toy_engine
from inferix_core.testing.toys import ToyPlanner, ToyStaggeredPlanner
from inferix_core.workload import configured_workload
from torch import Tensor

NUM_BLOCKS = 4


class LastTwo(FullPolicy):
    """Keeps the two latents before a block."""

    def retained(self, held: Sequence[int], upcoming: range) -> Sequence[int]:
        return [latent for latent in held if latent >= upcoming.start - 2]

    def capacity(self, num_block_latents: int) -> int | None:
        return num_block_latents + 2


class Watching(SdpaBackend):
    """Notes how many latents attend to how many, of the pages and drafts that are attended to."""

    def __init__(self, tokens_per_latent: int) -> None:
        super().__init__(ComponentConfig())
        self._size = tokens_per_latent
        self.seen: list[EntryShape] = []

    def attend(
        self, q: Tensor, segments: Sequence[Segment], *, scale: float, want_lse: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        num_keys = sum(segment["k"].shape[1] for segment in segments)
        if num_keys % self._size == 0:  # conditions have fewer tokens than a latent
            self.seen.append(EntryShape(q.shape[1] // self._size, num_keys // self._size))
        return super().attend(q, segments, scale=scale, want_lse=want_lse)


@pytest.mark.parametrize("planner", [ToyPlanner(), ToyStaggeredPlanner()], ids=["one block", "several in flight"])
@pytest.mark.parametrize("policy", [FullPolicy, LastTwo])
def test_shapes_are_those_of_the_passes_that_run(planner: ToyPlanner, policy: type[FullPolicy]) -> None:
    model = GridModel(num_layers=1)
    backend = Watching(model.layout.tokens_per_latent)
    chosen = policy(ComponentConfig())
    world = toy_engine(model=model, planner=planner, policy=chosen, backend=backend).create_world("a", seed=1)
    for _ in range(NUM_BLOCKS):
        world.step()
    shapes = block_shapes(planner, Sight(chosen), num_blocks=NUM_BLOCKS)
    assert [entry for block in shapes for one in block.passes for entry in one.entries] == backend.seen
    assert len(shapes) == NUM_BLOCKS


def test_a_steady_block_sees_a_full_window() -> None:
    block = steady_block(ToyPlanner(), Sight(LastTwo(ComponentConfig())))
    most = max(entry.num_visible_latents for one in block.passes for entry in one.entries)
    assert most == block.num_held_latents == ToyPlanner().num_block_latents + 2


def test_a_steady_block_is_not_the_one_that_begins_several() -> None:
    planner = ToyStaggeredPlanner()
    first, second = block_shapes(planner, Sight(LastTwo(ComponentConfig())), num_blocks=2)
    assert len(first.passes) > len(second.passes)
    assert len(steady_block(planner, Sight(LastTwo(ComponentConfig()))).passes) == len(second.passes)


def test_bytes_of_pages_and_of_what_is_gathered_are_those_of_their_values() -> None:
    layout = KVLayout(3, 10, {"k": FieldShape((2, 4)), "v": FieldShape((2, 4)), "scale": FieldShape((1,), "float32")})
    outline = outline_of_layout(Geometry((4, 5, 2), 10, 40, 16, 8.0), layout)
    asked = Workload(outline=outline, passes=(), num_held_latents=5, item_bytes=2)
    assert asked.page_bytes(layout) == 3 * 10 * (2 * 8 * 2 + 4)
    passed, layers = PassShape((EntryShape(3, 5),)), range(3)
    halves = [Share(range(6), range(6), layers), Share(range(6, 10), range(6, 10), layers)]
    assert asked.engine_bytes(passed, halves) == [3 * 6 * 4 * 2, 3 * 4 * 4 * 2]  # 4 values a token
    assert asked.engine_bytes(PassShape(passed.entries, predicts=False), halves) == [0, 0]
    staged = [Share(range(10), range(10), range(2)), Share(range(10), range(10), range(2, 3))]
    assert asked.engine_bytes(passed, staged) == [3 * 10 * outline.width * 2, 3 * 10 * 4 * 2]


def test_a_model_that_is_not_there_has_no_workload() -> None:
    with pytest.raises(ConfigError, match="nothing"):
        configured_workload("nothing")


def test_a_model_without_an_outline_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from inferix_core.configuration import ResolvedConfig
    from inferix_core.specs import ModelSpec
    from inferix_core.workload import outline_of

    spec = ModelSpec("bare", "A model that says nothing of itself.", "nowhere:Model")
    monkeypatch.setattr(ResolvedConfig, "model", spec)
    with pytest.raises(UnsupportedError, match="'bare' cannot be described without its weights"):
        outline_of(object.__new__(ResolvedConfig))
