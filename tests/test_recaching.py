"""A new prompt in the embedded world, with and without its past written anew."""

import torch
from inferix_core import Engine, Signal

ONE_THREAD = ("num_threads=1", "num_decoder_threads=1")


def frames(*overrides: str) -> torch.Tensor:
    engine = Engine.load("tinyworld", overrides=(*ONE_THREAD, *overrides))
    with engine.create_world("a red ball rests by day", seed=5) as world:
        made = [world.step().frames for _ in range(3)]
        made += [world.step(Signal(prompt="a blue ball rests at night")).frames, world.step().frames]
    return torch.cat(made).float()


def test_recaching_changes_the_blocks_after_a_prompt_and_none_before() -> None:
    plain, recached = frames(), frames("kv.recache=true")
    num_before = 9 + 2 * 12
    assert torch.equal(plain[:num_before], recached[:num_before])
    assert not torch.equal(plain[num_before:], recached[num_before:])
    sky = recached[-1, :20].mean((0, 1))
    assert float(sky.mean()) < float(recached[0, :20].mean()) / 2, "it is night"
