"""Every rule of the suite of weights families is broken by one family that keeps all others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from inferix_core.checkpoints import Family, LazyTensor, Release, Shape, Shapes, Source, Tokenizer
from inferix_core.checkpoints.family import Kind
from inferix_core.checkpoints.telling import axis_length
from inferix_core.testing.suites import WeightsSuite, broken_rules, rules_of

DIM = 6
BODY, PICTURES = "toy", "toy-vae"
OLD_NAMES = {"body.weight": "trunk.weight", "body.bias": "trunk.bias"}


def body() -> Shapes:
    return {"body.weight": (DIM, DIM), "body.bias": (DIM,)}


def pictures() -> Shapes:
    return {"pictures.weight": (DIM, 3)}


def recognised(shapes: Mapping[str, Shape]) -> Kind | None:
    for part, network in (("transformer", BODY), ("vae", PICTURES)):
        name = "body.weight" if network == BODY else "pictures.weight"
        if name in shapes:
            dim = axis_length(shapes, 0, name)
            return Kind(part, network if dim == DIM else None, (("dim", dim),))
    return None


def official(tensors: Mapping[str, LazyTensor]) -> Mapping[str, LazyTensor]:
    ours = {old: name for name, old in OLD_NAMES.items()}
    return {ours.get(name, name): value for name, value in tensors.items()}


SOURCES = tuple(Source(part, "them/toy", (f"{part}.*",), "MIT") for part in ("transformer", "vae"))
TRAINED = Release("toy", (BODY, PICTURES), ("transformer", "vae"), SOURCES, setting="size = 1", from_trainer=True)
PLAIN = Release("toy-plain", (BODY, PICTURES), ("transformer", "vae", "tokenizer"), SOURCES, setting='preset = "plain"')
SHOWN = Release("shown", (PICTURES,), ("vae",), SOURCES[1:])
TOY = Family(
    label="the toys",
    places={"transformer": ("transformer.*",), "vae": ("vae.*",)},
    networks={BODY: body, PICTURES: pictures},
    releases={"toy": TRAINED, "toy-plain": PLAIN},
    decoders={"shown": SHOWN},
    recognised=recognised,
    official=official,
    tokenizers=(Tokenizer("toy tokenizer", ("words",), ("words.json",)),),
    unread=("head.",),
    ambiguity="A bare body counts as a plain one.",
)


def changed(**fields: Any) -> Family:
    return replace(TOY, **fields)


def of_release(**fields: Any) -> Family:
    return changed(releases={"toy": replace(TRAINED, **fields), "toy-plain": PLAIN})


def mistakes_pictures(shapes: Mapping[str, Shape]) -> Kind | None:
    kind = recognised(shapes)
    return replace(kind, network=f"{kind.network}-2") if kind and kind.network == PICTURES else kind


def any_size(shapes: Mapping[str, Shape]) -> Kind | None:
    kind = recognised(shapes)
    return replace(kind, network=BODY) if kind and kind.part == "transformer" else kind


def takes_anything(shapes: Mapping[str, Shape]) -> Kind | None:
    return recognised(shapes) or Kind("transformer", None, ())


def trusts_shapes(shapes: Mapping[str, Shape]) -> Kind | None:
    return recognised(shapes) if shapes.get("body.weight", (1,))[0] else None


def drops_biases(tensors: Mapping[str, LazyTensor]) -> Mapping[str, LazyTensor]:
    return {name: value for name, value in official(tensors).items() if name != "body.bias" or "trunk.bias" in tensors}


def leaves_old_names(tensors: Mapping[str, LazyTensor]) -> Mapping[str, LazyTensor]:
    return tensors


def reads_weights(tensors: Mapping[str, LazyTensor]) -> Mapping[str, LazyTensor]:
    for value in tensors.values():
        value.read()
    return official(tensors)


def with_head() -> Shapes:
    return {**pictures(), "head.weight": (DIM,)}


def in_the_old_layout(network: Callable[[], Shapes]) -> Shapes:
    return {OLD_NAMES[name]: shape for name, shape in network().items()}


BROKEN: dict[str, Family] = {
    "test_every_network_is_recognised_as_what_it_is": changed(recognised=mistakes_pictures, releases={}, decoders={}),
    "test_a_network_of_another_size_is_not_taken_for_an_official_one": changed(recognised=any_size),
    "test_tensors_of_other_families_are_not_recognised": changed(recognised=takes_anything),
    "test_files_of_damaged_shapes_are_looked_at_without_an_error": changed(recognised=trusts_shapes),
    "test_official_tensors_stay_as_they_are": changed(official=drops_biases),
    "test_other_layouts_become_the_official_one": changed(official=leaves_old_names),
    "test_every_network_can_be_read_whole": changed(networks={BODY: body, PICTURES: with_head}),
    "test_every_release_takes_networks_that_are_its_parts": of_release(networks=(BODY,)),
    "test_names_of_releases_and_decoders_are_taken_once": changed(decoders={"toy": SHOWN}),
    "test_releases_of_one_model_say_how_each_is_asked_for": of_release(model="toy-plain", setting=""),
    "test_every_source_says_what_it_is_of_and_under_which_licence": of_release(
        sources=tuple(replace(source, licence="") for source in SOURCES)
    ),
    "test_every_part_has_a_place": changed(places={"vae": ("vae.*",)}),
    "test_tokenizers_can_be_told": changed(tokenizers=()),
    "test_dtypes_are_known_by_their_names": changed(dtypes=("BF16",)),
    "test_what_cannot_be_told_from_names_is_said": changed(ambiguity=""),
}


def broken(tested: Family, folder: Path, *, imports: str = "inferix_core.checkpoints") -> list[str]:
    """The broken rules of a family whose module imports `imports`."""
    (folder / "toy_family.py").write_text(
        f"import {imports}\n"
        "from inferix_core.checkpoints import Family\n"
        "def family(config):\n"
        "    return Family(label='', places={}, networks={}, releases={}, recognised=lambda shapes: None)\n"
    )

    class Cases(WeightsSuite):
        implementation = "toy_family:family"

        def family(self) -> Family:
            return tested

        def other_layouts(self) -> Mapping[str, Shapes]:
            return {BODY: in_the_old_layout(body)}

    return broken_rules(Cases(), folder)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_family_that_agrees_with_itself_breaks_no_rule(folder: Path) -> None:
    assert broken(TOY, folder) == []


LIGHTNESS = "test_describing_a_family_loads_no_tensor_library"


@pytest.mark.parametrize("name", [name for name in rules_of(WeightsSuite) if name != LIGHTNESS])
def test_the_family_that_breaks_a_rule_fails_it_and_no_other(name: str, folder: Path) -> None:
    assert broken(BROKEN[name], folder) == [name]


def test_a_family_that_loads_a_tensor_library_is_found_out(folder: Path) -> None:
    assert broken(TOY, folder, imports="safetensors") == [LIGHTNESS]


def test_a_family_that_reads_weights_to_know_them_is_found_out(folder: Path) -> None:
    assert broken(changed(official=reads_weights), folder) == [
        "test_official_tensors_stay_as_they_are",
        "test_other_layouts_become_the_official_one",
    ]
