"""What goes wrong outside, and what is left behind by it: nothing."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest
from inferix_core.testing.toys import ACTIONS
from inferix_serve import Client
from inferix_serve.hall.hall import Hall
from inferix_serve.recording import served
from serve_toys import quick_engine, quick_server, quick_settings, wait_until
from test_watching import raw_socket, seen


def left_behind(hall: Hall, *, earlier: Collection[threading.Thread]) -> Mapping[str, object]:
    """What a server could leak: tasks, threads, sockets, pages. Threads that were there earlier are somebody else's."""
    gc.collect()
    return {
        "tasks": sorted(
            str(one.get_coro()) for one in gc.get_objects() if type(one) is asyncio.Task and not one.done()
        ),
        "threads": sorted(one.name for one in threading.enumerate() if one not in earlier),
        "sockets": sum(str(one.readlink()).startswith("socket:") for one in open_files()),
        "kv_bytes": hall.engine.num_kv_bytes,
        "worlds": len(hall.living),
    }


def open_files() -> list[Path]:
    """The process's open files, where the system lists them; the one that lists them is gone by now."""
    return [one for one in Path("/proc/self/fd").glob("*") if one.is_symlink()]


def one_visit(client: Client) -> None:
    """Worlds and viewers of all kinds, good and bad, that come and go."""
    world = client.create_world("a pond")
    with world.live() as one, world.live() as other:
        seen(one, 5)
        seen(other, 5)
        branch = world.fork()
        with branch.live() as watched:
            seen(watched, 3)
        branch.close()
    with raw_socket(client, world.id) as vanishing:
        vanishing.send('{"type": "watch", "pictures": true}')
        vanishing.recv()
        vanishing.socket.close()
    wait_until(lambda: world.view["viewers"] == 0)
    world.close()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system does not list open files")
def test_visits_leave_nothing_behind(tmp_path: Path) -> None:
    earlier = threading.enumerate()
    hall = Hall(quick_engine(), quick_settings(tmp_path), actions=ACTIONS)
    with served(hall) as address, Client(address) as client:
        one_visit(client)  # what is made once and kept
        before = left_behind(hall, earlier=earlier)
        assert before["tasks"]
        assert before["sockets"]
        for _ in range(5):
            one_visit(client)
        wait_until(lambda: left_behind(hall, earlier=earlier) == before)
    after = left_behind(hall, earlier=earlier)
    assert not [name for name in after["threads"] if "inferix" in str(name)]  # type: ignore[attr-defined]
    assert after["tasks"] == []


_SERVER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from inferix_core.testing.toys import ACTIONS
from inferix_serve.hall.hall import Hall
from inferix_serve.running import Server
from serve_toys import quick_engine, quick_settings
hall = Hall(quick_engine(), quick_settings(Path(sys.argv[1])), actions=ACTIONS)
Server(hall, on_ready=lambda address: print(address, flush=True)).run()
"""


def started(folder: Path) -> tuple[subprocess.Popen[str], Client]:
    arguments = [sys.executable, "-c", _SERVER, str(folder), str(Path(__file__).parent)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Client(process.stdout.readline().strip())


@pytest.mark.skipif(os.name == "nt", reason="signals of this kind are POSIX's")
def test_what_was_saved_comes_back_after_a_kill_and_everything_after_a_friendly_end(tmp_path: Path) -> None:
    process, client = started(tmp_path)
    with process, client:
        world = client.create_world("a pond", paused=True)
        world.step(3)
        saved = world.save()
        process.send_signal(signal.SIGKILL)
    process, client = started(tmp_path)
    with process, client:
        assert [one["id"] for one in client.saved] == [saved]
        assert client.worlds == []
        again = client.load_world(saved)
        assert again.step()["block"] == 3
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    with quick_server(tmp_path) as client:
        assert [one.view["state"] for one in client.worlds] == ["asleep"]
        assert client.worlds[0].step()["block"] == 4
