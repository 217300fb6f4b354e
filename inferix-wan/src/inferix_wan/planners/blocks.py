"""Where blocks lie among the latents of a world, and which of them a prefix fills; free of torch."""

from __future__ import annotations

from dataclasses import dataclass

from inferix_core.errors import PlanError


@dataclass(frozen=True, slots=True)
class Blocks:
    """Blocks of `size` latents, one after another; the first may be a single latent."""

    size: int
    independent_first_latent: bool = False

    def latents(self, block: int) -> range:
        """The absolute latents of a block."""
        if not self.independent_first_latent:
            return range(block * self.size, (block + 1) * self.size)
        return range(1) if block == 0 else range(1 + (block - 1) * self.size, 1 + block * self.size)

    def is_given(self, block: int, *, num_prefix_latents: int) -> bool:
        """Whether a prefix fills the block. Raises `PlanError` for a prefix that ends inside it."""
        latents = self.latents(block)
        if latents.start >= num_prefix_latents:
            return False
        if latents.stop > num_prefix_latents:
            raise PlanError(self._message(num_prefix_latents))
        return True

    def _message(self, num_latents: int) -> str:
        first = 1 if self.independent_first_latent else 0
        below = num_latents - (num_latents - first) % self.size
        accepted = f"{below + self.size}" if below <= 0 else f"{below} or {below + self.size}"
        return (
            f"A prefix of {num_latents} latents was given, but blocks of {self.size} latents"
            f"{' after a first one of 1' if first else ''} cannot end there: give {accepted}."
        )
