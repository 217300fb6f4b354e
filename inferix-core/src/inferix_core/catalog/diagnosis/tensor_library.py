"""Which torch there is, what it computes on, and what beside it would not work with it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import importlib_metadata
from packaging.requirements import Requirement

from inferix_core.catalog.diagnosis.finding import Finding

_TORCH = "torch"
_COMPANIONS = ("torchvision", "torchaudio", "torchao")


def findings() -> Iterator[Finding]:
    """The build of torch; problems are a machine's accelerator that it cannot use, and companions built for another."""
    try:
        import torch
    except Exception as error:  # a broken install raises whatever it raises
        yield Finding(
            _TORCH, f"It cannot be imported ({type(error).__name__}: {error}). Reinstall it.", is_problem=True
        )
        return
    if torch.cuda.is_available():
        names = {torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())}
        place = f"{torch.cuda.device_count()} CUDA device(s): {', '.join(sorted(names))}"
    else:
        place = f"no CUDA device, {torch.get_num_threads()} CPU thread(s)"
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU"
    yield Finding(_TORCH, f"{torch.__version__}, built for {build}; {place}")
    if shutil.which("nvidia-smi") and not torch.cuda.is_available():
        message = (
            f"This machine has an NVIDIA driver, but torch {torch.__version__} does not use it: install a CUDA build."
        )
        yield Finding(_TORCH, message, is_problem=True)
    yield from _mismatched_companions(torch.__version__)


def _mismatched_companions(torch_version: str) -> Iterator[Finding]:
    """Packages that work with one torch alone; another one makes `import` fail, here or in a library that probes."""
    for name in _COMPANIONS:
        try:
            requires = importlib_metadata.requires(name) or []
        except importlib_metadata.PackageNotFoundError:
            continue
        for line in requires:
            wanted = Requirement(line)
            public = torch_version.partition("+")[0]
            if wanted.name == _TORCH and not wanted.specifier.contains(public, prereleases=True):
                message = f"It needs torch{wanted.specifier}, and {torch_version} is installed: pip uninstall {name}"
                yield Finding(name, message, is_problem=True)
