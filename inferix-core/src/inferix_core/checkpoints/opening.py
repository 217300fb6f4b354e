"""A checkpoint opened without reading its weights, whatever it is packed in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from inferix_core.checkpoints.files import INDEX_SUFFIXES, TORCH_SUFFIXES, files_of, names_in_index
from inferix_core.checkpoints.safetensors_file import open_safetensors
from inferix_core.checkpoints.tensors import LazyTensor
from inferix_core.errors import CheckpointError

_WRAPPERS = ("_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_orig_mod.")
_PREFIXES = ("model.", "module.")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What an open checkpoint holds.

    `state_dict` is the one that the `tensors` are from, of `state_dicts` in the file: None for bare tensors.
    """

    files: tuple[Path, ...]
    tensors: Mapping[str, LazyTensor]
    state_dict: str | None = None
    state_dicts: tuple[str, ...] = ()


@contextmanager
def open_checkpoint(path: Path, *, places: Sequence[str] = (), state_dict: str | None = None) -> Iterator[Checkpoint]:
    """A checkpoint, whose tensors are readable inside the `with`.

    `path` is a file, an index or a folder; in a folder of several checkpoints `places` say which (see `files_of`). Of
    training checkpoints that nest several state dicts the averaged weights are taken (`generator_ema`, then
    `generator`, `model`, `state_dict`) unless `state_dict` names one. Names lose what wrappers put into them and a
    prefix that all share.

    Raises `CheckpointError` if there is no such file, or it is damaged or of no known kind.
    """
    files = files_of(path, places=places)
    with ExitStack() as stack:
        taken: str | None = None
        nests: list[str] = []
        if files[0].suffix in TORCH_SUFFIXES:
            from inferix_core.checkpoints.torch_file import open_torch  # loads torch, which safetensors do without

            tensors, taken, nests = open_torch(files[0], state_dict=state_dict)
            for file in files[1:]:
                tensors |= open_torch(file)[0]
        else:
            if state_dict is not None:
                raise CheckpointError(
                    f"'{path}' has no state dict '{state_dict}': safetensors hold one without a name. Leave it out."
                )
            tensors = {name: value for file in files for name, value in open_safetensors(file, stack).items()}
        if path.name.endswith(INDEX_SUFFIXES):
            _check_index(path, tensors)
        yield Checkpoint(files, _unwrapped(tensors, files[0]), taken, tuple(nests))


def _check_index(index: Path, tensors: Mapping[str, LazyTensor]) -> None:
    lost = [name for name in names_in_index(index) if name not in tensors]
    if lost:
        raise CheckpointError(f"'{index}' names {len(lost)} tensors that no shard holds, e.g. {', '.join(lost[:5])}.")


def _unwrapped(tensors: Mapping[str, LazyTensor], path: Path) -> dict[str, LazyTensor]:
    """The tensors without what training wrappers add to their names."""
    names = {name: _without_wrappers(name) for name in tensors}
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in names.values()):
            names = {name: short.removeprefix(prefix) for name, short in names.items()}
    if len(set(names.values())) < len(names):
        raise CheckpointError(
            f"'{path}' names some tensors twice, with and without a wrapper's prefix: export it anew."
        )
    return {short: tensors[name] for name, short in names.items()}


def _without_wrappers(name: str) -> str:
    for wrapper in _WRAPPERS:
        name = name.replace(wrapper, "")
    return name
