import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from inferix_core import Signal
from inferix_core.errors import SignalError, UnsupportedError
from inferix_core.hookspecs import hookimpl
from inferix_core.relay import Relay
from inferix_core.testing.toys import ToyModel
from inferix_serve.hall.events import Event, Made
from inferix_serve.hall.hall import Hall
from inferix_serve.problems import RefusedError
from serve_toys import BLOCK_SECONDS, quick_engine, quick_hall, wait_until


def watched(hall: Hall, prompt: str = "a pond", **options: object) -> str:
    name = str(hall.create(prompt, seed=1, **options).result()["id"])  # type: ignore[arg-type]
    hall.watch(name).result()
    return name


def collected(hall: Hall) -> list[tuple[str, Made]]:
    found: list[tuple[str, Made]] = []

    def remember(name: str, event: Event) -> None:
        if isinstance(event, Made):
            found.append((name, event))

    hall.listen(remember)
    return found


def test_a_watched_world_keeps_its_frame_rate(hall: Hall) -> None:
    made = collected(hall)
    watched(hall)
    time.sleep(10 * BLOCK_SECONDS)
    numbers = [number for _, one in made for number in range(one.first_frame, one.first_frame + len(one.frames))]
    assert numbers == list(range(len(numbers)))
    assert 5 <= len(made) <= 13  # never faster than the clock; a busy machine may make fewer


def test_blocks_are_made_shortly_before_their_deadline_and_no_earlier(hall: Hall) -> None:
    made = collected(hall)
    watched(hall)
    wait_until(lambda: len(made) > 20)
    later = [one.slack for _, one in made[12:] if one.slack is not None]
    assert max(later) < BLOCK_SECONDS


def test_an_acknowledgement_names_the_block_that_carries_the_signals_id(hall: Hall) -> None:
    made = collected(hall)
    name = watched(hall)
    wait_until(lambda: len(made) > 3)
    acknowledged = hall.signal(name, Signal(action="left", id="mine")).result()
    wait_until(lambda: any(one.inputs for _, one in made))
    (reflecting,) = [one for _, one in made if one.inputs]
    assert (acknowledged["block"], acknowledged["signal"]) == (reflecting.index, reflecting.inputs[0].id)
    assert reflecting.inputs[0].id == "mine"


def test_a_signal_changes_the_frames_from_its_block_on(tmp_path: Path) -> None:
    frames = []
    for action in (None, "left"):
        with quick_hall(tmp_path / str(action)) as hall:
            made = collected(hall)
            name = str(hall.create("a pond", seed=1, is_paused=True).result()["id"])
            hall.step(name, 2).result()
            if action is not None:
                assert hall.signal(name, Signal(action=action)).result()["block"] == 2
            hall.step(name).result()
            frames.append([one.frames for _, one in made])
    same = [np.array_equal(*pair) for pair in zip(*frames, strict=True)]
    assert same == [True, True, False]


def test_a_held_action_reaches_every_block_until_it_is_let_go(tmp_path: Path) -> None:
    class Remembering(ToyModel):
        def __init__(self) -> None:
            super().__init__()
            self.heard: list[str | None] = []

        def encode(self, signal, previous):  # type: ignore[no-untyped-def]
            self.heard.append(signal.action)
            return super().encode(signal, previous)

    model = Remembering()
    with quick_hall(tmp_path, engine=quick_engine(model=model)) as hall:
        name = str(hall.create("a pond", is_paused=True).result()["id"])
        hall.hold(name, "left").result()
        hall.step(name, 3).result()
        hall.hold(name, None).result()
        model.heard.clear()
        hall.step(name, 2).result()
        assert "left" not in model.heard
        hall.hold(name, "right").result()
        model.heard.clear()
        hall.step(name, 3).result()
        assert model.heard.count("right") >= 2


def test_worlds_share_the_engine_fairly(hall: Hall) -> None:
    made = collected(hall)
    names = [watched(hall) for _ in range(3)]
    wait_until(lambda: len(made) >= 30)
    counts = Counter(name for name, _ in made)
    assert set(counts) == set(names)
    assert max(counts.values()) - min(counts.values()) <= 2


def test_a_world_that_is_rewound_all_the_time_starves_no_other(hall: Hall) -> None:
    made = collected(hall)
    restless, other = watched(hall), watched(hall)
    end = time.monotonic() + 20.0
    while Counter(name for name, _ in made)[other] < 5:
        assert time.monotonic() < end
        view = hall.view(restless)
        if view["num_blocks"] > view["oldest_reachable"]:
            hall.rewind(restless, view["oldest_reachable"]).result()


def test_a_paused_world_makes_no_block_but_those_it_is_stepped_by(hall: Hall) -> None:
    made = collected(hall)
    name = watched(hall)
    wait_until(lambda: made)
    hall.pause(name).result()
    before = len(made)
    time.sleep(3 * BLOCK_SECONDS)
    assert len(made) == before
    first = hall.step(name, 2).result()["block"]
    assert [one.index for _, one in made[before:]] == [first, first + 1]
    hall.resume(name).result()
    wait_until(lambda: len(made) > before + 3)
    assert all(one.late < 2 * BLOCK_SECONDS for _, one in made)  # the pause is no lateness


def test_stepping_one_world_by_many_blocks_lets_another_play_on(hall: Hall) -> None:
    made = collected(hall)
    playing, stepped = watched(hall), str(hall.create("a pond", is_paused=True).result()["id"])
    wait_until(lambda: len(made) > 3)
    num_stepped = 0

    def between() -> list[str]:
        names = [name for name, _ in made]
        return names[names.index(stepped) : len(names) - names[::-1].index(stepped)] if stepped in names else []

    end = time.monotonic() + 20.0
    while between().count(playing) < 2 and time.monotonic() < end:
        assert hall.step(stepped, 16).result()["world"] == stepped
        num_stepped += 16
    assert between().count(playing) >= 2  # it goes on however long another is stepped
    assert between().count(stepped) == num_stepped


def test_a_playing_world_cannot_be_stepped(hall: Hall) -> None:
    with pytest.raises(RefusedError, match="Pause it") as refused:
        hall.step(watched(hall)).result()
    assert refused.value.status == 409


def test_a_rewound_world_makes_the_same_frames_again_under_new_numbers(hall: Hall) -> None:
    made = collected(hall)
    name = str(hall.create("a pond", seed=3, is_paused=True).result()["id"])
    hall.step(name, 4).result()
    assert hall.rewind(name, 2).result()["block"] == 2
    hall.step(name, 2).result()
    (_, first), (_, again) = made[2], made[4]
    assert first.index == again.index == 2
    assert np.array_equal(first.frames, again.frames)
    assert again.first_frame > made[3][1].first_frame
    with pytest.raises(UnsupportedError, match="Rewind to 4 or fewer"):
        hall.rewind(name, 99).result()


def test_forks_go_on_from_the_same_moment_beside_each_other(hall: Hall) -> None:
    made = collected(hall)
    name = str(hall.create("a pond", seed=3, is_paused=True).result()["id"])
    hall.step(name, 2).result()
    child = str(hall.fork(name).result()["child"]["id"])
    other = str(hall.fork(name, seed=9).result()["child"]["id"])
    for one in (name, child, other):
        hall.step(one).result()
    frames = {owner: block.frames for owner, block in made[2:]}
    assert np.array_equal(frames[name], frames[child])
    assert not np.array_equal(frames[name], frames[other])


def test_a_saved_world_goes_on_as_a_new_one(hall: Hall) -> None:
    made = collected(hall)
    name = str(hall.create("a pond", seed=3, is_paused=True).result()["id"])
    hall.step(name, 2).result()
    saved = str(hall.save(name).result()["saved"])
    loaded = hall.load(saved).result()
    hall.step(name).result()
    hall.step(str(loaded["id"])).result()
    assert loaded["id"] != name
    assert (loaded["num_blocks"], loaded["prompt"], loaded["parent"]) == (2, "a pond", name)
    assert np.array_equal(made[-1][1].frames, made[-2][1].frames)


def test_a_new_seed_changes_what_is_to_come(hall: Hall) -> None:
    made = collected(hall)
    names = [str(hall.create("a pond", seed=3, is_paused=True).result()["id"]) for _ in range(2)]
    hall.step(names[0]).result()
    hall.step(names[1]).result()
    hall.signal(names[1], Signal(), seed=5).result()
    hall.step(names[0]).result()
    hall.step(names[1]).result()
    assert np.array_equal(made[0][1].frames, made[1][1].frames)
    assert not np.array_equal(made[2][1].frames, made[3][1].frames)
    assert hall.view(names[1])["seed"] == 5


def test_what_the_model_does_not_understand_changes_nothing(hall: Hall) -> None:
    name = str(hall.create("a pond", seed=3, is_paused=True).result()["id"])
    with pytest.raises(SignalError, match="no action"):
        hall.signal(name, Signal(action="fly"), seed=5).result()
    assert hall.view(name)["seed"] == 3


def test_a_world_that_nobody_watches_stands_still_and_goes_on_when_somebody_does(tmp_path: Path) -> None:
    with quick_hall(tmp_path, pause_after_seconds=0.2) as hall:
        made = collected(hall)
        name = watched(hall)
        hall.unwatch(name)
        wait_until(lambda: hall.view(name)["state"] == "waiting")
        before = len(made)
        time.sleep(3 * BLOCK_SECONDS)
        assert len(made) == before
        hall.watch(name).result()
        wait_until(lambda: len(made) > before + 2)
        assert all(one.late < 2 * BLOCK_SECONDS for _, one in made)


def test_a_world_that_nobody_watches_for_long_sleeps_on_the_disk_and_comes_back(tmp_path: Path) -> None:
    with quick_hall(tmp_path, pause_after_seconds=0.1, sleep_after_seconds=0.3) as hall:
        name = str(hall.create("a pond", seed=3).result()["id"])
        wait_until(lambda: hall.view(name)["state"] == "asleep")
        assert hall.engine.num_kv_bytes == 0
        num_blocks = hall.view(name)["num_blocks"]
        woken = hall.watch(name).result()
        assert (woken["state"], woken["prompt"]) == ("playing", "a pond")
        assert num_blocks <= woken["num_blocks"] <= num_blocks + 1


def test_a_failing_world_stops_alone_says_why_and_can_be_resumed(tmp_path: Path) -> None:
    class Fragile(ToyModel):
        is_broken = False

        def head(self, state):  # type: ignore[no-untyped-def]
            if self.is_broken:
                raise ZeroDivisionError("a plugin's mistake")
            return super().head(state)

    model = Fragile()
    with quick_hall(tmp_path, engine=quick_engine(model=model)) as hall:
        made = collected(hall)
        bad = watched(hall)
        wait_until(lambda: made)
        model.is_broken = True
        wait_until(lambda: hall.view(bad)["state"] == "failed")
        model.is_broken = False
        assert "a plugin's mistake" in hall.view(bad)["error"]
        good = watched(hall)
        wait_until(lambda: any(name == good for name, _ in made))
        before = len([name for name, _ in made if name == bad])
        hall.resume(bad).result()
        wait_until(lambda: len([name for name, _ in made if name == bad]) > before)


def test_an_observer_that_raises_costs_nobody_a_block(tmp_path: Path) -> None:
    class Raising:
        num_seen = 0

        @hookimpl
        def inferix_frames(self, block: object) -> None:
            self.num_seen += 1
            raise RuntimeError("no")

    relay, observer = Relay(), Raising()
    relay.register(observer, "raising")
    with quick_hall(tmp_path, engine=quick_engine(relay=relay)) as hall:
        made = collected(hall)
        watched(hall)
        wait_until(lambda: len(made) > 3)
    assert observer.num_seen == 1


def test_more_worlds_than_the_limit_are_refused_and_closing_one_makes_room(tmp_path: Path) -> None:
    with quick_hall(tmp_path, limits={"max_worlds": 2}) as hall:
        names = [str(hall.create("a pond", is_paused=True).result()["id"]) for _ in range(2)]
        for _ in range(50):
            with pytest.raises(RefusedError) as refused:
                hall.create("a pond").result()
            assert (refused.value.status, refused.value.details["limit"]) == (429, 2)
        with pytest.raises(RefusedError):
            hall.fork(names[0]).result()
        hall.forget(names[0]).result()
        hall.create("a pond").result()


def test_more_commands_than_the_limit_are_refused_at_once(tmp_path: Path) -> None:
    gate = threading.Event()

    class Slow(ToyModel):
        def head(self, state):  # type: ignore[no-untyped-def]
            gate.wait(10)
            return super().head(state)

    with quick_hall(tmp_path, engine=quick_engine(model=Slow()), limits={"max_queued_commands": 3}) as hall:
        name = str(hall.create("a pond", is_paused=True).result()["id"])
        stepping = [hall.step(name), hall.pause(name), hall.pause(name)]
        with pytest.raises(RefusedError) as refused:
            hall.pause(name)
        assert refused.value.code == "too_many_commands"
        gate.set()
        for one in stepping:
            one.result()
        for _ in range(20):
            hall.pause(name).result()  # the count goes down again


def test_more_viewers_than_the_limit_are_refused(tmp_path: Path) -> None:
    with quick_hall(tmp_path, limits={"max_viewers": 1}) as hall:
        name = watched(hall)
        with pytest.raises(RefusedError) as refused:
            hall.watch(name).result()
        assert refused.value.code == "too_many_viewers"
        hall.unwatch(name)
        hall.watch(name).result()


def test_a_closed_world_is_gone_for_good(hall: Hall) -> None:
    name = watched(hall)
    hall.forget(name).result()
    for ask in (lambda: hall.view(name), lambda: hall.pause(name).result(), lambda: hall.forget(name).result()):
        with pytest.raises(RefusedError) as refused:
            ask()
        assert refused.value.status == 404
    assert hall.engine.num_kv_bytes == 0
