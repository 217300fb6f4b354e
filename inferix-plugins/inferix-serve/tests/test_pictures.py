import io

import numpy as np
import pytest
from inferix_serve.pictures import decoded
from inferix_serve.problems import RefusedError
from PIL import Image


def png(picture: Image.Image, **options: object) -> bytes:
    content = io.BytesIO()
    picture.save(content, "PNG", **options)
    return content.getvalue()


@pytest.mark.parametrize("side", [101, 20_000])
def test_a_small_file_that_would_be_a_large_picture_is_refused_by_its_size(side: int) -> None:
    with pytest.raises(RefusedError) as refused:
        decoded(png(Image.new("1", (side, side))), max_pixels=10_000)
    assert (refused.value.status, refused.value.details["limit"]) == (413, 10_000)


def test_a_picture_of_a_camera_that_was_held_upright_stands_upright() -> None:
    lying = Image.new("RGB", (30, 20))
    lying.paste((255, 255, 255), (0, 0, 10, 20))
    turned = Image.Exif()
    turned[0x0112] = 6  # Orientation: the first row is the right side
    frames = decoded(png(lying, exif=turned), max_pixels=10_000)
    assert frames.shape == (1, 30, 20, 3)
    assert np.array_equal(frames[0, :, :, 0].mean(axis=1) > 128, np.arange(30) < 10)
