"""Hugging Face, as far as fetching needs it; free of torch."""

from __future__ import annotations

import errno
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from inferix_core.errors import ConfigError, InferixError, UnsupportedError, WriteError

_MISTAKES = ("RepositoryNotFoundError", "RevisionNotFoundError", "GatedRepoError", "HFValidationError")


class HubError(InferixError):
    """Files that could not be had from the hub, for a reason that asking otherwise does not mend."""


class Hub(Protocol):
    """Where repositories of files are.

    Both methods raise `HubError` if it cannot be reached, and `ConfigError` if there is no such repository or revision.
    """

    def sizes(self, repository: str, *, revision: str | None) -> Mapping[str, int]:
        """Bytes of every file of the repository by name."""

    def download(self, repository: str, names: Sequence[str], *, into: Path, revision: str | None) -> None:
        """Puts files into a folder under their names in the repository; what is there and the same stays.

        Raises `WriteError` if the disk is full.
        """


class HuggingFaceHub:
    """The hub through the package huggingface_hub, which resumes what was broken off.

    Raises `UnsupportedError` if the package is not installed, when first used.
    """

    def sizes(self, repository: str, *, revision: str | None) -> Mapping[str, int]:
        """See `Hub.sizes`."""
        package = _package()
        try:
            info = package.HfApi().model_info(repository, revision=revision, files_metadata=True)
        except Exception as error:  # the HTTP library below, and so its errors, differs from version to version
            raise _translated(error, repository=repository, revision=revision) from error
        return {sibling.rfilename: sibling.size or 0 for sibling in info.siblings}

    def download(self, repository: str, names: Sequence[str], *, into: Path, revision: str | None) -> None:
        """See `Hub.download`."""
        package = _package()
        try:
            for name in names:
                package.hf_hub_download(repository, name, revision=revision, local_dir=into)
        except Exception as error:  # the HTTP library below, and so its errors, differs from version to version
            raise _translated(error, repository=repository, revision=revision) from error


def _translated(error: Exception, *, repository: str, revision: str | None) -> InferixError:
    """What the package raised, told apart by the names that its errors have had in all versions."""
    reason = (str(error).strip().splitlines() or [""])[0]
    if any(kind.__name__ in _MISTAKES for kind in type(error).__mro__):
        at = f" at revision '{revision}'" if revision else ""
        return ConfigError(f"Hugging Face does not give out '{repository}'{at}: {reason}")
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return WriteError(f"The disk is full ({error}). Make room and run the command again: it goes on from there.")
    return HubError(f"Hugging Face cannot be reached, or broke off ({type(error).__name__}: {reason}).")


def _package() -> Any:
    try:
        return importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise UnsupportedError(
            f"Fetching needs the package huggingface_hub, which cannot be imported ({error}). "
            "Try: pip install 'inferix-core[fetch]'."
        ) from error
