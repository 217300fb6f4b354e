"""Where the weights that come with the package lie; free of torch."""

from __future__ import annotations

from pathlib import Path

from inferix_core.errors import CheckpointError

from inferix_tinyworld.config import EMBEDDED

FOLDER = Path(__file__).parent / "weights"
NETWORK = "dit.safetensors"
VAE = "vae.safetensors"


def weights_path(checkpoint: str, *, embedded: str) -> Path:
    """The file that a config's `checkpoint` means. Raises `CheckpointError` if the package came without weights."""
    if checkpoint != EMBEDDED:
        return Path(checkpoint)
    path = FOLDER / embedded
    if not path.is_file():
        raise CheckpointError(
            f"The embedded weights '{embedded}' were asked for, but this installation of inferix-tinyworld has none. "
            "Reinstall the package, or train them with `python -m inferix_tinyworld.train all`."
        )
    return path
