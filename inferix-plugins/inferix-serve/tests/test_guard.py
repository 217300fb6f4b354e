import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from inferix_core.errors import ConfigError
from inferix_serve import Client
from inferix_serve.settings import settings_from
from inferix_serve.web.sessions import COOKIE, SESSION_SECONDS, Sessions
from pydantic import SecretStr
from serve_toys import quick_server
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

TOKEN = "a-token-that-nobody-guesses"
ROUTES = ["/", "/docs", "/v1/server", "/v1/worlds", "/v1/saved", "/v1/videos", "/v1/openapi.json", "/metrics"]
ROUTES += ["/static/js/main.js", "/static/theme.css", "/nothing"]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with quick_server(tmp_path_factory.mktemp("guarded"), token=TOKEN) as made:
        yield made


@pytest.fixture
def stranger(guarded: Client) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=guarded._address) as http:
        yield http


def socket_of(client: Client, **headers: str) -> None:
    world = client.create_world("a pond").id
    parts = urlsplit(client._address)
    with connect(f"ws://{parts.netloc}/v1/worlds/{world}/live", additional_headers=headers, proxy=None) as socket:
        assert json.loads(socket.recv())["type"] == "hello"


@pytest.mark.parametrize("path", ROUTES)
def test_no_route_is_open_without_the_token(stranger: httpx2.Client, path: str) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}, {"cookie": f"{COOKIE}=x"}):
        assert stranger.get(path, headers=headers).status_code == 401
    assert stranger.get(path, headers={"authorization": f"Bearer {TOKEN}"}).status_code in (200, 404)


def test_every_request_of_the_interface_needs_the_token(guarded: Client, stranger: httpx2.Client) -> None:
    described = guarded._asked("GET", "/v1/openapi.json")
    operations = [(method, path) for path, methods in described["paths"].items() for method in methods]
    assert len(operations) > 20
    for method, path in operations:
        assert stranger.request(method, path.replace("{", "").replace("}", "")).status_code == 401


def test_a_web_socket_needs_the_token_before_it_opens(guarded: Client) -> None:
    with pytest.raises(InvalidStatus) as refused:
        socket_of(guarded)
    assert refused.value.response.status_code == 403
    socket_of(guarded, authorization=f"Bearer {TOKEN}")


def test_a_login_gives_a_session_that_scripts_cannot_read_and_a_logout_ends_it(stranger: httpx2.Client) -> None:
    wrong = stranger.post("/login", data={"token": "wrong"})
    assert (wrong.status_code, wrong.headers["location"]) == (303, "/login#wrong")
    right = stranger.post("/login", data={"token": TOKEN})
    cookie = right.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in right.headers["set-cookie"]
    assert stranger.get("/v1/worlds").status_code == 200
    stranger.post("/logout")
    stranger.cookies.set(COOKIE, cookie.partition("=")[2].partition(";")[0])
    assert stranger.get("/v1/worlds").status_code == 401


def test_a_browser_without_a_session_is_led_to_the_login(stranger: httpx2.Client) -> None:
    led = stranger.get("/", headers={"accept": "text/html"})
    assert (led.status_code, led.headers["location"]) == (303, "/login?to=/")
    assert "Token" in stranger.get("/login").text


def test_sessions_end_by_themselves() -> None:
    now = [0.0]
    sessions = Sessions(SecretStr(TOKEN), now=lambda: now[0])
    headers = {"cookie": f"{COOKIE}={sessions.begin()}"}
    assert sessions.admits(headers)
    now[0] = SESSION_SECONDS + 1
    assert not sessions.admits(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_other_sites_can_neither_write_nor_open_a_web_socket(client: Client, headers: dict[str, str]) -> None:
    answer = client._http.post("/v1/worlds", json={"prompt": "a pond"}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin")
    with pytest.raises(InvalidStatus):
        socket_of(client, **headers)
    assert "access-control-allow-origin" not in client._http.get("/v1/worlds", headers=headers).headers


def test_the_page_itself_may(client: Client) -> None:
    headers = {"origin": client._address, "sec-fetch-site": "same-origin"}
    assert client._http.post("/v1/worlds", json={}, headers=headers).status_code == 201
    socket_of(client, origin=client._address)


def test_a_foreign_name_for_this_address_is_turned_away(tmp_path: Path) -> None:
    with quick_server(tmp_path, allowed_hosts=["worlds.example"]) as client:
        for host, status in (
            ("evil.example", 421),
            ("127.0.0.1.evil.example", 421),
            ("", 421),
            ("[", 421),
            ("worlds.example:8000", 200),
            ("localhost:8000", 200),
            ("[::1]:8000", 200),
        ):
            assert client._http.get("/v1/worlds", headers={"host": host}).status_code == status, host


def test_bodies_have_a_limit_whether_or_not_they_say_their_length(tmp_path: Path) -> None:
    with quick_server(tmp_path, limits={"max_body_bytes": 2048, "max_upload_bytes": 4096}) as client:
        for path, size in (("/v1/worlds", 2049), ("/v1/pictures", 4097), ("/login", 2049)):
            told = client._http.post(path, content=b"x" * size)
            untold = client._http.post(path, content=iter([b"x" * 1000] * 5))
            assert [told.status_code, untold.status_code] == [413, 413], path
            assert told.json()["error"]["code"] == "body_too_large"
        assert client._http.post("/v1/pictures", content=b"x" * 4096).status_code == 415


def test_every_answer_keeps_the_browser_careful(client: Client) -> None:
    for path in ("/", "/v1/worlds", "/static/js/main.js", "/nothing", "/docs"):
        headers = client._http.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"


def test_the_page_names_no_other_host(client: Client) -> None:
    folder = Path(__file__).parent.parent / "src" / "inferix_serve" / "static"
    namespaces = ("http://www.w3.org/",)
    for path in (path for path in folder.rglob("*") if path.is_file()):
        text = path.read_text(encoding="utf-8")
        for namespace in namespaces:
            text = text.replace(namespace, "")
        assert "http://" not in text, path
        assert "https://" not in text, path


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"host": "0.0.0.0"}, "needs a token"),
        ({"host": "192.168.1.4"}, "needs a token"),
        ({"token": "short"}, "at least 16"),
        ({"host": "0.0.0.0", "token": "short"}, "at least 16"),
        ({"ports": 1}, "serve.ports"),
        ({"limits": {"max_worlds": 0}}, "serve.limits.max_worlds"),
    ],
)
def test_settings_that_would_be_unsafe_or_are_wrong_are_refused(table: dict[str, object], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        settings_from(table)


def test_by_default_only_this_machine_is_let_in() -> None:
    assert settings_from({}).host == "127.0.0.1"
    assert not settings_from({}).is_public
    assert TOKEN not in repr(settings_from({"token": TOKEN}))
