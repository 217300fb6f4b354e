import pytest
import torch
from inferix_core.errors import CapacityError
from inferix_core.plan import FieldShape, KVLayout
from inferix_core.slabs import empty_slabs, num_page_bytes

LAYOUT = KVLayout(
    num_layers=2,
    tokens_per_latent=3,
    fields={"codes": FieldShape((1, 2), dtype="uint8"), "scales": FieldShape((4,), num_rows=1), "k": FieldShape((2,))},
)


def make_slabs(num_latents: int) -> dict[str, torch.Tensor]:
    return empty_slabs(LAYOUT, num_latents, device=torch.device("cpu"), dtype=torch.bfloat16)


def test_every_field_has_its_own_rows_and_dtype() -> None:
    slabs = make_slabs(5)
    assert {name: tuple(slab.shape) for name, slab in slabs.items()} == {
        "codes": (2, 5, 3, 1, 2),
        "scales": (2, 5, 1, 4),
        "k": (2, 5, 3, 2),
    }
    assert [slab.dtype for slab in slabs.values()] == [torch.uint8, torch.bfloat16, torch.bfloat16]


def test_the_bytes_of_a_page_are_those_of_all_layers_and_fields() -> None:
    assert 5 * num_page_bytes(LAYOUT, dtype=torch.bfloat16) == sum(slab.nbytes for slab in make_slabs(5).values())


def test_memory_that_is_not_there_is_a_capacity_error_that_says_how_much_was_asked_for() -> None:
    with pytest.raises(CapacityError, match=r"No memory for 1099511627776 latents .* on cpu: 54525952 MiB"):
        make_slabs(2**40)


def test_another_error_of_torch_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="overflow") as caught:
        make_slabs(2**62)
    assert not isinstance(caught.value, CapacityError)
