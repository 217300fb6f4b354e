"""Fetching takes what a model needs and no more, goes on where it stopped, and says plainly when it cannot."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from inferix_core.checkpoints import fetching
from inferix_core.checkpoints.hub import Hub, HubError
from inferix_core.cli.application import run
from inferix_core.errors import ConfigError, OutputError
from inferix_wan.checkpoints.family import WAN

SELF_FORCING = ["checkpoints/self_forcing_dmd.pt"]
SMALL = [
    "Wan2.1_VAE.pth",
    "google/umt5-xxl/spiece.model",
    "google/umt5-xxl/tokenizer.json",
    "models_t5_umt5-xxl-enc-bf16.pth",
]
BASE = ["config.json", "diffusion_pytorch_model.safetensors"]
UNWANTED = ["README.md", "assets/logo.png", "checkpoints/ode_init.pt"]


def fetch(model: str, *, into: Path, hub: Hub, revision: str | None = None) -> Iterator[str]:
    return fetching.fetch(model, families=[WAN], into=into, hub=hub, revision=revision)


class FolderHub:
    """A hub whose repositories are folders, and which counts what it hands out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.revisions: dict[str, str | None] = {}
        self.copied: list[str] = []

    def add(self, repository: str, names: Sequence[str]) -> None:
        for name in names:
            path = self.folder / repository / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())

    def sizes(self, repository: str, *, revision: str | None) -> Mapping[str, int]:
        self.revisions[repository] = revision
        root = self.folder / repository
        return {path.relative_to(root).as_posix(): path.stat().st_size for path in root.rglob("*") if path.is_file()}

    def download(self, repository: str, names: Sequence[str], *, into: Path, revision: str | None) -> None:
        for name in names:
            if not (into / name).is_file():
                (into / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.folder / repository / name, into / name)
                self.copied.append(name)


class UnreachableHub(FolderHub):
    def sizes(self, repository: str, *, revision: str | None) -> Mapping[str, int]:
        raise HubError("Hugging Face cannot be reached.")


@pytest.fixture
def hub(tmp_path: Path) -> FolderHub:
    made = FolderHub(tmp_path / "hub")
    made.add("gdhe17/Self-Forcing", [*SELF_FORCING, *UNWANTED])
    made.add("Wan-AI/Wan2.1-T2V-1.3B", [*SMALL, *BASE, *UNWANTED])
    return made


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_only_what_the_model_needs_is_fetched(hub: FolderHub, tmp_path: Path) -> None:
    lines = list(fetch("self-forcing", into=tmp_path / "sf", hub=hub, revision="v2"))
    assert files_in(tmp_path / "sf") == sorted([*SELF_FORCING, *SMALL])
    assert any("gdhe17/Self-Forcing, licence: Apache-2.0" in line for line in lines)
    assert hub.revisions == {"gdhe17/Self-Forcing": "v2", "Wan-AI/Wan2.1-T2V-1.3B": None}
    list(fetch("wan-t2v-1.3B", into=tmp_path / "base", hub=hub))
    assert files_in(tmp_path / "base") == sorted([*BASE, *SMALL])


def test_what_is_there_is_not_fetched_again(hub: FolderHub, tmp_path: Path) -> None:
    list(fetch("self-forcing", into=tmp_path / "sf", hub=hub))
    (tmp_path / "sf" / "Wan2.1_VAE.pth").unlink()
    hub.copied.clear()
    list(fetch("self-forcing", into=tmp_path / "sf", hub=hub))
    assert hub.copied == ["Wan2.1_VAE.pth"]


def test_nothing_is_fetched_onto_a_disk_without_room(
    hub: FolderHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=20))
    with pytest.raises(OutputError, match=r"has room for 0\.0 GB"):
        list(fetch("self-forcing", into=tmp_path / "sf", hub=hub))
    assert not (tmp_path / "sf").exists()


def test_without_the_hub_the_files_to_fetch_by_hand_are_listed(tmp_path: Path) -> None:
    with pytest.raises(HubError) as caught:
        list(fetch("causvid", into=tmp_path / "w", hub=UnreachableHub(tmp_path)))
    said = str(caught.value)
    assert "autoregressive_checkpoint/model.pt from https://huggingface.co/tianweiy/CausVid" in said
    assert "Wan2.1_VAE.pth from https://huggingface.co/Wan-AI/Wan2.1-T2V-1.3B" in said


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("wan-t2v", "several sizes: name one of wan-t2v-1.3B, wan-t2v-14B"),
        ("self-forcing-diffusion", "No official file of the transformer"),
        ("self-forcin", "Did you mean 'self-forcing'"),
    ],
)
def test_a_model_that_cannot_be_fetched_is_refused(hub: FolderHub, tmp_path: Path, model: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        list(fetch(model, into=tmp_path / "w", hub=hub))


def test_a_repository_that_lacks_a_file_is_named(hub: FolderHub, tmp_path: Path) -> None:
    (tmp_path / "hub" / "gdhe17" / "Self-Forcing" / "checkpoints" / "self_forcing_dmd.pt").unlink()
    with pytest.raises(ConfigError, match=r"'gdhe17/Self-Forcing' has no checkpoints/self_forcing_dmd\.pt, but"):
        list(fetch("self-forcing", into=tmp_path / "sf", hub=hub))


def test_offline_the_command_says_so_and_ends_with_1(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    code = "import sys; from inferix_core.cli.application import run; sys.exit(run(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "weights", "fetch", "wan-t2v-1.3B", "--into", str(tmp_path / "w")]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 1
    assert "Hugging Face cannot be reached" in result.stderr
    assert "diffusion_pytorch_model*.safetensors" in result.stderr
    assert "Traceback" not in result.stderr


class ToyPackage:
    """The two things that are asked of huggingface_hub, over folders."""

    class RevisionNotFoundError(OSError):
        pass

    def __init__(self, hub: FolderHub) -> None:
        self.hub = hub

    def HfApi(self) -> "ToyPackage":  # noqa: N802
        return self

    def model_info(self, repository: str, *, revision: str | None, files_metadata: bool) -> SimpleNamespace:
        if revision == "absent":
            raise self.RevisionNotFoundError("404")
        sizes = self.hub.sizes(repository, revision=revision)
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=name, size=size) for name, size in sizes.items()])

    def hf_hub_download(self, repository: str, name: str, *, revision: str | None, local_dir: Path) -> None:
        if name == "Wan2.1_VAE.pth" and self.hub.revisions.pop("is full", None):
            raise OSError(errno.ENOSPC, "No space left on device")
        self.hub.download(repository, [name], into=local_dir, revision=revision)


def test_the_command_fetches_through_the_package_and_a_check_follows(
    hub: FolderHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", ToyPackage(hub))
    command = ["weights", "fetch", "self-forcing", "--into", str(tmp_path / "w")]
    hub.revisions["is full"] = "yes"
    assert run(command) == 1
    assert "disk is full" in capsys.readouterr().err
    assert run(command) == 0
    assert files_in(tmp_path / "w") == sorted([*SELF_FORCING, *SMALL])
    assert "inferix weights check" in capsys.readouterr().out
    assert run([*command, "--revision", "absent"]) == 2
    assert "'gdhe17/Self-Forcing' at revision 'absent'" in capsys.readouterr().err


def test_without_the_package_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert run(["weights", "fetch", "wan-t2v-1.3B", "--into", str(tmp_path / "w")]) == 2
    assert "pip install 'inferix-core[fetch]'" in capsys.readouterr().err
