"""Files of repositories on GitHub, as far as fetching needs it; free of torch."""

from __future__ import annotations

import errno
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote

from inferix_core.checkpoints.hub import HubError
from inferix_core.errors import ConfigError, InferixError, WriteError

_TIMEOUT_SECONDS = 30.0
_NOT_THERE = 404


class GitHub:
    """The files in the top folder of public repositories. Implements `Hub`."""

    def __init__(self, *, api: str = "https://api.github.com") -> None:
        self._api = api

    def sizes(self, repository: str, *, revision: str | None) -> Mapping[str, int]:
        """See `Hub.sizes`."""
        return {name: entry["size"] for name, entry in self._listed(repository, revision).items()}

    def download(self, repository: str, names: Sequence[str], *, into: Path, revision: str | None) -> None:
        """See `Hub.download`. A file that is broken off is begun again."""
        listed = self._listed(repository, revision)
        for name in names:
            path, entry = into / name, listed[name]
            if path.is_file() and path.stat().st_size == entry["size"]:
                continue
            self._fetch(entry["download_url"], path, size=entry["size"], repository=repository, revision=revision)

    def _listed(self, repository: str, revision: str | None) -> Mapping[str, Mapping[str, Any]]:
        at = f"?ref={quote(revision, safe='')}" if revision else ""
        try:
            with _opened(f"{self._api}/repos/{repository}/contents{at}") as answer:
                return {entry["name"]: entry for entry in json.load(answer) if entry["type"] == "file"}
        except (OSError, ValueError, HTTPException) as error:
            raise _translated(error, repository, revision) from error

    @staticmethod
    def _fetch(address: str, path: Path, *, size: int, repository: str, revision: str | None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.part")
        try:
            with _opened(address) as answer, partial.open("wb") as file:
                shutil.copyfileobj(answer, file)
            if partial.stat().st_size != size:
                raise HubError(
                    f"GitHub broke off '{path.name}' of '{repository}' after {partial.stat().st_size} bytes."
                )
            partial.replace(path)
        except (OSError, HTTPException) as error:
            raise _translated(error, repository, revision) from error
        finally:
            partial.unlink(missing_ok=True)


def _opened(address: str) -> Any:
    return urllib.request.urlopen(address, timeout=_TIMEOUT_SECONDS)


def _translated(error: Exception, repository: str, revision: str | None) -> InferixError:
    if isinstance(error, urllib.error.HTTPError) and error.code == _NOT_THERE:
        at = f" at revision '{revision}'" if revision else ""
        return ConfigError(f"GitHub does not give out '{repository}'{at}: {error}")
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return WriteError(f"The disk is full ({error}). Make room and run the command again.")
    return HubError(f"GitHub cannot be reached, or broke off ({type(error).__name__}: {error}).")
