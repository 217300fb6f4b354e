"""What makes an engine one that a saved world can go on in.

The model, its geometry, layout and dtypes, the planner, the solver, the decoder and a quantizer with all that is set
of them must be the same: pages, latents in flight and the decoder's state mean nothing to others. The KV store, the
attention backend, the device and the threads are free. The KV policy is free too: a world that was saved under another
goes on with the pages that were kept, and sees of them what the present one shows.

Weights are known by what is set: a key called checkpoint counts as the fingerprint of the file or folder that it
names, so that the same weights may lie elsewhere. Engines that were made of parts are compared by the classes of the
parts, which says nothing of their weights: whoever makes them vouches for these.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferix_core.replay.recording import flat
from inferix_core.runtime.coded import CodedStore
from inferix_core.specs import Kind
from inferix_core.worldfile.manifest import CodecEntry, ComponentEntry, Identity

if TYPE_CHECKING:
    from inferix_core.configuration import Selected
    from inferix_core.runtime.engine import Engine

_KINDS = (Kind.MODEL, Kind.PLANNER, Kind.SOLVER, Kind.DECODER, Kind.QUANTIZER)
_NUM_SAMPLES = 64
_SAMPLE_SIZE = 4096


def identity_of(engine: Engine) -> Identity:
    """What the engine's worlds can be loaded into."""
    parts, model = engine.parts, engine.parts.model
    named = {"model": model, "planner": parts.planner, "solver": parts.solver, "decoder": engine.decoder}
    components = None
    if (config := engine.config) is not None:
        chosen = {kind: config.selected(kind) for kind in _KINDS}
        components = {
            kind.slug: ComponentEntry(use=selected.component.qualified_name, config=settings_of(selected))
            for kind, selected in chosen.items()
            if selected is not None
        }
    return Identity(
        geometry=model.geometry,
        layout=model.layout,
        dtype=str(model.dtype).removeprefix("torch."),
        latent_dtype=str(model.latent_dtype).removeprefix("torch."),
        window_relative=parts.window_relative,
        classes={name: _class_of(part) for name, part in named.items()},
        components=components,
    )


def codec_of(engine: Engine) -> CodecEntry | None:
    """The codec of the engine's pages, None where they are kept as they are."""
    store = engine.parts.store
    if not isinstance(store, CodedStore):
        return None
    codec = engine.parts.whole_codec or store.codec
    selected = None if engine.config is None else engine.config.selected(Kind.KV_CODEC)
    return CodecEntry(
        use=_class_of(codec) if selected is None else selected.component.qualified_name,
        config=None if selected is None else selected.config.model_dump(mode="json"),
        layout=codec.layout,
        num_exact_sink_latents=codec.num_exact_sink_latents,
        num_exact_recent_latents=codec.num_exact_recent_latents,
    )


def differences(saved: Identity, present: Identity) -> list[str]:
    """What is not the same, each as `what is … in the file and … here`."""
    then, now = saved.model_dump(), present.model_dump()
    left_out = "components" if saved.components is None or present.components is None else "classes"
    del then[left_out], now[left_out]
    then, now = flat(then), flat(now)
    return [
        f"{key.removeprefix('components.')} is {then.get(key, 'unset')} in the file and {now.get(key, 'unset')} here"
        for key in sorted({*then, *now})
        if then.get(key) != now.get(key)
    ]


def fingerprint(path: Path) -> str:
    """A short hash of a file's size and of samples spread evenly over it; of a folder, that of all files in it.

    Weights that were trained differ everywhere, so that samples tell them apart without reading gigabytes.
    """
    digest = hashlib.sha256()
    if path.is_dir():
        for part in sorted(one for one in path.rglob("*") if one.is_file()):
            digest.update(f"{part.relative_to(path).as_posix()} {fingerprint(part)} ".encode())
        return digest.hexdigest()[:32]
    size = path.stat().st_size
    digest.update(f"{size} ".encode())
    with path.open("rb") as file:
        for sample in range(_NUM_SAMPLES):
            file.seek(max(0, size - _SAMPLE_SIZE) * sample // (_NUM_SAMPLES - 1))
            digest.update(file.read(_SAMPLE_SIZE))
    return digest.hexdigest()[:32]


def settings_of(selected: Selected) -> dict[str, Any]:
    """A component's configuration, its checkpoints as fingerprints where they name something that is there."""
    settings = selected.config.model_dump(mode="json")
    for key, value in settings.items():
        if key.endswith("checkpoint") and isinstance(value, str) and Path(value).exists():
            settings[key] = f"fingerprint {fingerprint(Path(value))}"
    return settings


def _class_of(part: object) -> str:
    return f"{type(part).__module__}.{type(part).__qualname__}"
