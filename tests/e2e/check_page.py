"""The page in a browser: a person watches a world, steers it, branches it off, goes back, saves it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import inferix_serve

LONG = 60_000
NUM_WATCHED_FRAMES = 96
RED, BLUE = (225, 35, 40), (45, 80, 230)
NUMBERS_OF_PICTURES = """count => new Promise(resolve => {
  const numbers = [];
  document.querySelector(".pane").addEventListener("frame", ({ detail }) => {
    numbers.push(detail.number);
    if (numbers.length >= count) resolve(numbers);
  });
})"""
NUMBERS_OF_VIDEO = """async count => {
  const [track] = document.querySelector(".pane .video").srcObject.getVideoTracks();
  const reader = new MediaStreamTrackProcessor({ track: track.clone(), maxBufferSize: 60 }).readable.getReader();
  const numbers = [];
  while (numbers.length < count) {
    const { value: frame } = await reader.read();
    const rect = { x: 0, y: 0, width: 96, height: 4 };
    const bytes = new Uint8Array(frame.allocationSize({ rect }));
    const [{ offset, stride }] = await frame.copyTo(bytes, { rect });
    frame.close();
    let number = 0;
    for (let bit = 0; bit < 24; bit += 1) {
      let brightness = 0;
      for (const x of [1, 2]) for (const y of [1, 2]) brightness += bytes[offset + y * stride + bit * 4 + x];
      if (brightness > 512) number |= 1 << bit;
    }
    numbers.push(number);
  }
  return numbers;
}"""
COLOURED = """([pane, red, green, blue]) => {
  const canvas = document.querySelectorAll(".pane .picture")[pane];
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let count = 0, sum = 0;
  for (let place = 0; place < data.length; place += 4) {
    const near = Math.abs(data[place] - red) + Math.abs(data[place + 1] - green) + Math.abs(data[place + 2] - blue);
    if (near < 120) { count += 1; sum += (place / 4) % canvas.width; }
  }
  return { count, x: count ? sum / count : -1 };
}"""
Page = Any


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with inferix_serve(tmp_path_factory.mktemp("serve")) as found:
        yield found


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Page]]:
    """Opens pages; none of them may report an error of its own."""
    contexts, wrong = [], []

    def open_page(
        address: str, *, width: int = 1360, height: int = 900, scheme: str = "dark", scale: float = 1
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=scale
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(LONG)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def close_all(page: Page) -> None:
    """Leaves the server without worlds, so that the next page begins one."""
    page.evaluate(
        "async () => { for (const { id } of await (await fetch('/v1/worlds')).json())"
        " await fetch(`/v1/worlds/${id}`, { method: 'DELETE' }); }"
    )


def share_of(numbers: list[int]) -> float:
    """How much of what was sent was seen, where every number is larger than the one before."""
    fresh = sorted(set(numbers))
    assert numbers == sorted(numbers), "frames came out of their order"
    return len(fresh) / (fresh[-1] - fresh[0] + 1)


def coloured(page: Page, colour: tuple[int, int, int], pane: int = 0) -> dict[str, float]:
    """How many pixels of a colour a world's picture has, and their mean column."""
    found: dict[str, float] = page.evaluate(COLOURED, [pane, *colour])
    return found


def wait_for(page: Page, is_so: Callable[[], object], *, what: str, seconds: float = 60.0) -> None:
    for _ in range(round(seconds / 0.1)):
        if is_so():
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{what} did not happen within {seconds:g} s")


def block_of(page: Page, pane: int = 0) -> int:
    """How many blocks a world has, as the page says."""
    found = re.search(r"#(\d+)", page.locator(".pane .when").nth(pane).inner_text())
    return int(found[1]) if found else 0


def test_video_over_webrtc_shows_every_frame_in_its_order(
    tmp_path: Path, opened: Callable[..., Page], artifacts: Path
) -> None:
    with inferix_serve(tmp_path, "--set", "serve.mark_frames=true") as address:
        page = opened(address)
        page.wait_for_selector('.pane[data-transport="video"]')
        numbers = page.evaluate(NUMBERS_OF_VIDEO, NUM_WATCHED_FRAMES)
        print(f"WebRTC: {share_of(numbers):.1%} of {numbers[-1] - numbers[0] + 1} frames")
        page.screenshot(path=artifacts / "webrtc-marked.png")
        assert share_of(numbers) >= 0.95


def test_where_webrtc_cannot_connect_pictures_come_instead_and_the_page_says_so(
    address: str, opened: Callable[..., Page], artifacts: Path
) -> None:
    page = opened(f"{address}/login")  # any page of the server, to forbid WebRTC before the real one loads
    page.add_init_script("window.RTCPeerConnection = class { constructor() { throw new Error('forbidden here'); } }")
    page.goto(address)
    page.wait_for_selector('.pane[data-transport="pictures"]')
    wait_for(page, lambda: "cannot connect" in page.locator(".transport").get_attribute("title"), what="the notice")
    assert page.locator(".transport").inner_text() == "Pictures"
    numbers = page.evaluate(NUMBERS_OF_PICTURES, NUM_WATCHED_FRAMES)
    print(f"WebSocket: {share_of(numbers):.1%} of {numbers[-1] - numbers[0] + 1} frames")
    page.screenshot(path=artifacts / "fallback.png")
    assert share_of(numbers) >= 0.95
    close_all(page)


def test_a_person_steers_branches_goes_back_saves_and_comes_back(
    address: str, opened: Callable[..., Page], artifacts: Path
) -> None:
    page = opened(f"{address}/?transport=pictures")
    page.wait_for_selector(".pane")
    page.click("#new-world")
    page.fill("#start-prompt", "a red ball rests by day")
    page.keyboard.press("Enter")
    wait_for(page, lambda: block_of(page) >= 2 and coloured(page, RED)["count"] > 100, what="the red ball")
    page.evaluate("document.activeElement.blur()")

    start = coloured(page, RED)["x"]
    page.keyboard.down("ArrowLeft")
    wait_for(page, lambda: 0 < coloured(page, RED)["x"] < start - 8, what="the ball's going left")
    page.keyboard.up("ArrowLeft")
    wait_for(page, lambda: "p95" in page.locator("#latency").inner_text(), what="the measurement")

    red_until = block_of(page)
    page.keyboard.press("Slash")
    page.keyboard.type("a blue box rests at night")
    page.keyboard.press("Enter")
    said = page.locator("#said")
    wait_for(page, lambda: re.search("takes effect at block|On the screen", said.inner_text()), what="the answer")
    wait_for(page, lambda: coloured(page, BLUE)["count"] > 100 > coloured(page, RED)["count"], what="the blue box")
    page.screenshot(path=artifacts / "steered.png")

    page.click(".pane .fork")
    page.wait_for_selector(".pane:nth-child(2)")
    before = [block_of(page, 0), block_of(page, 1)]
    wait_for(page, lambda: block_of(page, 0) > before[0] and block_of(page, 1) > before[1], what="both playing")
    page.screenshot(path=artifacts / "forked.png")
    page.locator(".pane .shut").nth(1).click()
    page.wait_for_selector(".pane:nth-child(2)", state="detached")

    page.click(".pane .play")
    page.wait_for_selector('.pane[data-state="paused"]')
    newest = block_of(page)
    slider = page.locator(".pane .slider")
    slider.focus()
    for _ in range(newest - red_until):
        page.keyboard.press("ArrowLeft")
    wait_for(page, lambda: block_of(page) == red_until, what="the rewind")
    wait_for(
        page, lambda: coloured(page, RED)["count"] > 100 > coloured(page, BLUE)["count"], what="the red ball again"
    )
    page.screenshot(path=artifacts / "rewound.png")

    page.click(".pane .step")
    wait_for(page, lambda: block_of(page) == red_until + 1, what="one block")
    page.click(".pane .save")
    wait_for(page, lambda: said.inner_text().startswith("Saved"), what="the save")
    world = page.locator(".pane").get_attribute("data-world")

    page.reload()
    page.wait_for_selector(f'.pane[data-world="{world}"]')
    wait_for(page, lambda: block_of(page) == red_until + 1, what="the same world after a reload")
    page.click("#open-shelf")
    page.screenshot(path=artifacts / "worlds.png")
    page.click("#saved li >> nth=0 >> text=Load")
    page.wait_for_selector(".pane:nth-child(2)")
    loaded = page.locator(".pane").nth(1)
    assert loaded.get_attribute("data-world") != world
    wait_for(page, lambda: block_of(page, 1) == red_until + 1, what="the saved world")
    close_all(page)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("dark", {"scheme": "dark"}),
        ("light", {"scheme": "light"}),
        ("phone", {"scheme": "dark", "width": 390, "height": 844, "scale": 2}),
    ],
)
def test_the_page_fits_and_can_be_used_by_keyboard_in_every_form(
    address: str, opened: Callable[..., Page], artifacts: Path, name: str, size: dict[str, Any]
) -> None:
    page = opened(address, **size)
    page.wait_for_selector(".pane .thumbs img")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than the screen"
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, input, img')].filter(one => one.checkVisibility() && !one.alt"
        " && one.alt !== '' && !one.textContent.trim() && !one.ariaLabel && !one.labels?.length)"
        ".map(one => one.outerHTML)"
    )
    assert unnamed == []
    reached = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.className || document.activeElement.id"))
    assert {"button round play", "slider", "prompt"} <= reached
    page.evaluate("document.activeElement.blur(), scrollTo(0, 0)")
    page.wait_for_timeout(1500)
    page.screenshot(path=artifacts / f"page-{name}.png")


def test_a_server_with_a_token_asks_for_it_on_a_page(
    tmp_path: Path, opened: Callable[..., Page], artifacts: Path
) -> None:
    token = "a-token-that-nobody-guesses"
    with inferix_serve(tmp_path, "--token", token) as address:
        page = opened(address)
        page.fill("#token", "wrong")
        page.keyboard.press("Enter")
        page.wait_for_url("**/login#wrong")
        page.screenshot(path=artifacts / "login.png")
        page.fill("#token", token)
        page.keyboard.press("Enter")
        page.wait_for_selector(".pane .thumbs img")  # the WebSocket lets the session in too
        assert token not in page.url


def test_the_interface_is_described_for_people(address: str, opened: Callable[..., Page], artifacts: Path) -> None:
    page = opened(f"{address}/docs")
    page.wait_for_selector("#operations details")
    assert page.locator("#operations details").count() > 20
    page.locator("summary", has_text="/v1/worlds").first.click()
    page.screenshot(path=artifacts / "docs.png")
