"""Pictures of any size in frames of a model."""

import pytest
import torch
from inferix_core.contracts.model import Fit
from inferix_core.errors import ConfigError
from inferix_core.pictures import fitted_frames
from torch import Tensor


def halves(height: int, width: int) -> Tensor:
    """[1, height, width, 3]: black at the left, white at the right."""
    picture = torch.zeros(1, height, width, 3, dtype=torch.uint8)
    picture[:, :, width // 2 :] = 255
    return picture


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_picture_of_the_models_size_is_not_touched(fit: Fit) -> None:
    fitted = fitted_frames(halves(16, 24), height=16, width=24, fit=fit)
    assert torch.equal(fitted[0, :, :, :12], torch.full((3, 16, 12), -1.0))
    assert torch.equal(fitted[0, :, :, 12:], torch.full((3, 16, 12), 1.0))


def test_what_is_too_wide_is_cut_framed_or_stretched() -> None:
    wide = halves(16, 64)
    crop, pad, stretch = (fitted_frames(wide, height=16, width=32, fit=fit)[0, 0] for fit in ("crop", "pad", "stretch"))
    assert crop.shape == pad.shape == stretch.shape == (16, 32)
    white = [float((one > 0).float().mean()) for one in (crop, pad, stretch)]
    assert white == pytest.approx([0.5, 0.25, 0.5], abs=0.05), "half, half of the half that is no bar, half"
    seam = halves(16, 64)
    seam[:, :, :8] = 255  # a stripe at the edge, which cutting loses and stretching narrows
    assert float((fitted_frames(seam, height=16, width=32, fit="crop")[0, 0, :, 0]).mean()) == -1.0
    assert float((fitted_frames(seam, height=16, width=32, fit="stretch")[0, 0, :, 0]).mean()) > 0.9


@pytest.mark.parametrize(
    ("frames", "fit", "said"),
    [
        (torch.zeros(0, 4, 4, 3, dtype=torch.uint8), "crop", "with at least one frame"),
        (torch.zeros(1, 4, 4, 3), "crop", "given as float32"),
        (torch.zeros(4, 4, 3, dtype=torch.uint8), "crop", r"uint8 \[4, 4, 3\]"),
        (torch.zeros(1, 4, 4, 3, dtype=torch.uint8), "squeeze", "by 'squeeze': use 'crop'"),
    ],
)
def test_what_is_no_picture_or_no_fit_is_told(frames: Tensor, fit: Fit, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        fitted_frames(frames, height=4, width=4, fit=fit)
