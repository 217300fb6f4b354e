"""Programs that the checks against real servers and browsers need: installs them where that is allowed.

On Debian or Ubuntu, as root, `python tests/e2e/needs.py` installs what is missing with apt; elsewhere it names it.
Checks whose program is missing are skipped by name; where the variable CI is set, a missing one is a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

MODULE_FOLDERS = (Path("/usr/lib/nginx/modules"), Path("/usr/share/nginx/modules"), Path("/usr/lib64/nginx/modules"))


@dataclass(frozen=True)
class Need:
    """Something to be found on this machine, and the Debian packages that bring it."""

    what: str
    packages: tuple[str, ...]
    programs: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()

    @property
    def is_there(self) -> bool:
        """Whether one of the programs, and each of nginx's modules, can be found."""
        return (not self.programs or any(map(program, self.programs))) and all(map(nginx_module, self.modules))


NEEDS = (
    Need("nginx with the RTMP module", ("nginx-light", "libnginx-mod-rtmp"), ("nginx",), ("ngx_rtmp_module.so",)),
    Need("Chromium", ("chromium",), ("chromium", "chromium-browser", "google-chrome")),
)


def program(name: str) -> str | None:
    """Where a program lies, also one for administrators."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")


def nginx_module(name: str) -> Path | None:
    """Where a loadable module of nginx lies."""
    return next((folder / name for folder in MODULE_FOLDERS if (folder / name).exists()), None)


def main() -> int:
    """Installs what is missing, or says what is. That fails in CI alone: elsewhere the checks say what they skip."""
    missing = [need for need in NEEDS if not need.is_there]
    packages = [package for need in missing for package in need.packages]
    if packages and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
            subprocess.run(["apt-get", *command], env=environment, check=False, stdout=subprocess.DEVNULL)
        missing = [need for need in missing if not need.is_there]
    for need in missing:
        print(f"Missing: {need.what}. On Debian: apt-get install {' '.join(need.packages)}", file=sys.stderr)
    return int(bool(missing and os.environ.get("CI")))


if __name__ == "__main__":
    sys.exit(main())
