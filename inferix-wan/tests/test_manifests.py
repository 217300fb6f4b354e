"""Every full-size network has the tensors of its official file and of the diffusers layout, and no other."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from inferix_core.checkpoints import LazyTensor
from inferix_core.checkpoints.diagnosis import differences
from inferix_wan.checkpoints.diffusers import official_tensors
from inferix_wan.checkpoints.kinds import NETWORKS, UNREAD, recognised
from inferix_wan.image import ClipConfig
from inferix_wan.image.clip import ClipNetwork
from inferix_wan.image.clip import network_name as clip_name
from inferix_wan.text import Umt5Config
from inferix_wan.text.umt5 import Umt5Network
from inferix_wan.text.umt5 import network_name as umt5_name
from inferix_wan.transformer.official import SELF_FORCING, WAN21_I2V_14B, WAN21_T2V_1_3B, WAN21_T2V_14B
from inferix_wan.transformer.transformer import WanTransformer
from inferix_wan.vae import VaeConfig
from inferix_wan.vae.model import WanVAE
from torch import Tensor, nn

Shapes = dict[str, tuple[int, ...]]

GOLDEN = Path(__file__).parents[2] / "tests" / "golden" / "wan"
DIFFUSERS = Path(__file__).parent / "diffusers_tensors.json.gz"
OFFICIAL: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "wan21_t2v_1_3B": ("t2v-1.3B", lambda: WanTransformer(WAN21_T2V_1_3B)),
    "wan21_t2v_14B": ("t2v-14B", lambda: WanTransformer(WAN21_T2V_14B)),
    "wan21_i2v_14B": ("i2v-14B", lambda: WanTransformer(WAN21_I2V_14B)),
    "self_forcing_generator": ("t2v-1.3B", lambda: WanTransformer(SELF_FORCING)),
    "causvid_generator": ("t2v-1.3B", lambda: WanTransformer(SELF_FORCING)),
    "wan21_vae": ("wan2.1-vae", lambda: WanVAE(VaeConfig())),
    "umt5_xxl_encoder": ("umt5-xxl", lambda: Umt5Network(Umt5Config())),
    "clip_xlm_roberta_vit_h_14": ("clip-vit-h-14", lambda: ClipNetwork(ClipConfig())),
}
LAYOUTS = {
    "WanTransformer3DModel t2v-1.3B": "t2v-1.3B",
    "WanTransformer3DModel i2v-14B": "i2v-14B",
    "AutoencoderKLWan": "wan2.1-vae",
    "CLIPVisionModel": "clip-vit-h-14",
    "CLIPVisionModelWithProjection": "clip-vit-h-14",
}
in_repository = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the manifests lie in the repository alone")


def manifest(name: str) -> Shapes:
    tensors = json.loads(gzip.decompress((GOLDEN / f"manifest_{name}.json.gz").read_bytes()))["tensors"]
    return {key.removeprefix("model."): tuple(shape) for key, (shape, _) in tensors.items()}


def lazy(shapes: Shapes) -> dict[str, LazyTensor]:
    def unread() -> Tensor:
        raise AssertionError("a tensor was read")

    return {name: LazyTensor(tuple(shape), "float32", unread) for name, shape in shapes.items()}


@in_repository
@pytest.mark.parametrize("name", OFFICIAL)
def test_a_network_has_the_tensors_of_its_official_file_and_no_other(name: str) -> None:
    if name.startswith("umt5"):
        pytest.importorskip("transformers")
    with torch.device("meta"):
        network = OFFICIAL[name][1]()
    ours = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    rename = {"umt5_xxl_encoder": umt5_name, "clip_xlm_roberta_vit_h_14": clip_name}.get(name, str)
    renamed = {rename(key): shape for key, shape in manifest(name).items()}
    renamed.pop(None, None)
    assert renamed == ours
    assert differences(ours, lazy(renamed)) == []


@in_repository
@pytest.mark.parametrize("name", OFFICIAL)
def test_what_a_file_is_and_that_it_is_whole_is_known_without_its_network(name: str) -> None:
    official = manifest(name)
    kind = recognised(official)
    assert kind is not None
    assert kind.network == OFFICIAL[name][0]
    assert NETWORKS[kind.network]() == {key: shape for key, shape in official.items() if not key.startswith(UNREAD)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_diffusers_layout_maps_onto_the_official_one_name_for_name(layout: str) -> None:
    theirs = json.loads(gzip.decompress(DIFFUSERS.read_bytes()))[layout]
    official = {name: value.shape for name, value in official_tensors(lazy(theirs)).items()}
    assert official == NETWORKS[LAYOUTS[layout]]()
    if "CLIP" not in layout:  # which lays queries, keys and values together and lets two tensors go
        assert len(official) == len(theirs)


def test_the_umt5_of_transformers_maps_onto_the_official_one_name_for_name() -> None:
    pytest.importorskip("transformers")
    with torch.device("meta"):
        state = Umt5Network(Umt5Config()).state_dict()
    state["shared.weight"] = state.pop("encoder.embed_tokens.weight")
    theirs = {name: tuple(value.shape) for name, value in state.items()}
    official = {name: value.shape for name, value in official_tensors(lazy(theirs)).items()}
    assert official == NETWORKS["umt5-xxl"]()
    assert len(official) == len(theirs)


def test_tensors_of_something_else_are_not_taken_for_a_wan_model() -> None:
    assert recognised({"model.embed_tokens.weight": (32000, 4096), "lm_head.weight": (32000, 4096)}) is None
    assert recognised({}) is None
