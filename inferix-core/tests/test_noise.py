import numpy as np
import pytest
import torch
from inferix_core.runtime.noise import CounterNoise

# The vector that every later version must reproduce: seed 7, latent 3, level 2.
STORED = [
    0.7120276093482971,
    0.798403263092041,
    0.8655613660812378,
    -0.4480840861797333,
    0.8067097067832947,
    -0.9433227777481079,
    -0.4413679242134094,
    -1.2759195566177368,
]


def draw(seed: int, latent: int, level: int, shape: tuple[int, ...] = (2, 3)) -> torch.Tensor:
    return CounterNoise(seed).draw(range(latent, latent + 1), level=level, shape=shape)[0]


def test_the_stored_vector_is_reproduced() -> None:
    assert torch.equal(draw(7, 3, 2, (8,)), torch.tensor(STORED))


def test_latents_drawn_together_are_those_drawn_one_by_one() -> None:
    together = CounterNoise(1).draw(range(4, 7), level=1, shape=(2, 5))
    assert torch.equal(together, torch.stack([draw(1, latent, 1, (2, 5)) for latent in range(4, 7)]))


@pytest.mark.parametrize("other", [(8, 3, 2), (7, 4, 2), (7, 3, 1)])
def test_every_part_of_the_key_matters(other: tuple[int, int, int]) -> None:
    assert not torch.equal(draw(7, 3, 2), draw(*other))


def test_the_noise_is_standard_normal() -> None:
    values = CounterNoise(2**64 - 1).draw(range(10**9, 10**9 + 4), level=0, shape=(16, 32, 32)).numpy()
    assert abs(values.mean()) < 0.01
    assert abs(values.std() - 1.0) < 0.01
    assert abs(np.mean(values**4) - 3.0) < 0.1
    assert values.dtype == np.float32
