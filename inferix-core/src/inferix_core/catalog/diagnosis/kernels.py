"""Which attention kernels run here, and why the others do not."""

from __future__ import annotations

from collections.abc import Iterator

from inferix_core.catalog.catalog import Catalog
from inferix_core.catalog.diagnosis.finding import Finding
from inferix_core.specs import Kind

_DTYPE, _HEAD_DIM = "bfloat16", 128  # what the real models compute in


def findings(catalog: Catalog) -> Iterator[Finding]:
    """One finding for each attention backend."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    for component in catalog.components(Kind.ATTENTION):
        subject = f"{component.kind.noun} {component.qualified_name}"
        case = f"on {device} in {_DTYPE} with heads of {_HEAD_DIM}"
        try:
            backend = component.spec.load()(component.spec.config())
            probe = backend.probe(device=device, dtype=_DTYPE, head_dim=_HEAD_DIM)
        except Exception as error:  # foreign code
            yield Finding(subject, f"It cannot be asked: {type(error).__name__}: {error}", is_problem=True)
            continue
        yield Finding(subject, f"usable {case}" if probe.usable else f"not usable {case}: {probe.why_not}")
