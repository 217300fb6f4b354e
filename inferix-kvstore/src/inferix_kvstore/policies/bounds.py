"""What every policy with a bound asks of its configuration."""

from __future__ import annotations

from inferix_core.errors import ConfigError


def check_block_fits(option: str, num_latents: int, *, num_block_latents: int) -> None:
    """Raises `ConfigError` if a block is larger than the last latents that a policy keeps, set by `option`."""
    if num_block_latents > num_latents:
        raise ConfigError(
            f"The KV policy has {option} = {num_latents}, but {num_block_latents} latents are made at once, and they "
            f"are among those. Use at least {num_block_latents}; a sink is not counted."
        )
