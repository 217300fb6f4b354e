"""The weights commands know the file of TAEHV, which lies on GitHub."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from inferix_core.checkpoints import fetching
from inferix_core.checkpoints.github import GitHub
from inferix_core.checkpoints.hub import Hub, HubError, HuggingFaceHub
from inferix_core.cli.application import run
from inferix_core.errors import ConfigError
from inferix_wan.checkpoints.family import WAN
from inferix_wan.checkpoints.kinds import NETWORKS

REPOSITORY = "madebyollin/taehv"


def fetch(model: str, *, into: Path, hub: Hub, revision: str | None = None) -> Iterator[str]:
    return fetching.fetch(model, families=[WAN], into=into, hub=hub, revision=revision)


class Repository(BaseHTTPRequestHandler):
    """One repository with a file at two revisions, as GitHub answers."""

    contents: ClassVar = {"main": b"weights", "v1": b"old"}
    claimed_length = 0

    def do_GET(self) -> None:
        host = f"http://{self.headers['Host']}"
        if self.path.startswith("/raw/"):
            self.answer(self.contents[self.path.removeprefix("/raw/")])
        elif self.path.partition("?")[0] != f"/repos/{REPOSITORY}/contents":
            self.send_error(404)
        else:
            at = self.path.partition("?ref=")[2] or "main"
            if at not in self.contents:
                self.send_error(404)
                return
            size = self.claimed_length or len(self.contents[at])
            file = {"name": "taew2_1.pth", "type": "file", "size": size, "download_url": f"{host}/raw/{at}"}
            self.answer(json.dumps([file, {"name": "examples", "type": "dir"}]).encode())

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, *_: object) -> None:
        """Says nothing."""

    def log_error(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Repository)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield GitHub(api=f"http://127.0.0.1:{server.server_address[1]}")
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_file_is_fetched_once_and_nothing_else(github: GitHub, tmp_path: Path) -> None:
    lines = list(fetch("taehv", into=tmp_path, hub=github))
    assert any("tiny vae from madebyollin/taehv, licence: MIT" in line for line in lines)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("taew2_1.pth", b"weights")]
    (tmp_path / "taew2_1.pth").write_bytes(b"WEIGHTS")
    list(fetch("taehv", into=tmp_path, hub=github))
    assert (tmp_path / "taew2_1.pth").read_bytes() == b"WEIGHTS"
    list(fetch("taehv", into=tmp_path, hub=github, revision="v1"))
    assert (tmp_path / "taew2_1.pth").read_bytes() == b"old"


def test_a_revision_that_is_not_there_is_a_mistake(github: GitHub, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'madebyollin/taehv' at revision 'v9'"):
        list(fetch("taehv", into=tmp_path, hub=github, revision="v9"))


def test_a_file_that_is_broken_off_leaves_nothing(
    github: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Repository, "claimed_length", 99)
    with pytest.raises(HubError, match=r"broke off 'taew2_1.pth'(.|\n)*https://github.com/madebyollin/taehv"):
        list(fetch("taehv", into=tmp_path, hub=github))
    assert list(tmp_path.iterdir()) == []


def test_without_a_network_it_says_what_to_fetch_by_hand(tmp_path: Path) -> None:
    nobody = GitHub(api="http://127.0.0.1:9")
    with pytest.raises(HubError, match=r"cannot be reached(.|\n)*taew2_1.pth from https://github.com/madebyollin"):
        list(fetch("taehv", into=tmp_path, hub=nobody))


def test_each_name_has_its_hub() -> None:
    assert isinstance(fetching.hub_of("taehv", families=[WAN]), GitHub)
    assert isinstance(fetching.hub_of("self-forcing", families=[WAN]), HuggingFaceHub)


@pytest.mark.parametrize("network", ["taew2.1", "taew2.1-decoder"])
def test_the_file_is_recognised_with_its_encoder_or_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], network: str
) -> None:
    path = tmp_path / "taew2_1.pth"
    torch.save({name: torch.zeros(shape, dtype=torch.float16) for name, shape in NETWORKS[network]().items()}, path)
    for where in (path, tmp_path):
        assert run(["weights", "check", str(where)]) == 0
        said = capsys.readouterr().out
        assert "fits every model" in said
        assert f"the {network} tiny vae (base dim 64, latent channels 16)" in said
    assert run(["weights", "check", str(tmp_path), "--model", "taehv"]) == 0
    assert run(["weights", "check", str(tmp_path), "--model", "wan-t2v-1.3B"]) == 1


def test_another_taehv_is_not_taken_for_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shapes = {**NETWORKS["taew2.1"](), "decoder.1.weight": (256, 48, 3, 3), "decoder.22.weight": (12, 64, 3, 3)}
    torch.save({name: torch.zeros(shape, dtype=torch.float16) for name, shape in shapes.items()}, tmp_path / "t.pth")
    assert run(["weights", "check", str(tmp_path / "t.pth")]) == 1
    assert "a tiny vae of no released size (base dim 64, latent channels 48)" in capsys.readouterr().out


def test_what_is_missing_comes_from_github(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["weights", "check", str(tmp_path), "--model", "taehv"]) == 1
    assert "taew2_1.pth from https://github.com/madebyollin/taehv" in capsys.readouterr().out
