import time
from pathlib import Path

import pytest
from inferix_serve.hall.names import is_name, new_name
from inferix_serve.hall.shelf import SLEEPING, Shelf
from inferix_serve.problems import RefusedError
from serve_toys import quick_hall, wait_until


def test_a_server_that_starts_again_finds_its_worlds(tmp_path: Path) -> None:
    with quick_hall(tmp_path) as hall:
        name = str(hall.create("a pond", seed=3, is_paused=True).result()["id"])
        hall.step(name, 2).result()
        saved = str(hall.save(name).result()["saved"])
    with quick_hall(tmp_path) as hall:
        (asleep,) = hall.views()
        assert (asleep["id"], asleep["state"], asleep["num_blocks"]) == (name, "asleep", 2)
        assert hall.step(name).result()["block"] == 2
        assert hall.load(saved).result()["num_blocks"] == 2


def test_a_damaged_world_is_refused_and_harms_no_other(tmp_path: Path) -> None:
    with quick_hall(tmp_path) as hall:
        names = [str(hall.create("a pond", is_paused=True).result()["id"]) for _ in range(2)]
        for name in names:
            hall.step(name).result()
    path = tmp_path / "worlds" / f"{names[0]}.world"
    path.write_bytes(path.read_bytes()[:-100])
    (tmp_path / "worlds" / f"{new_name()}.json").write_text("{")
    with quick_hall(tmp_path) as hall:
        from inferix_core.errors import WorldFileError

        with pytest.raises(WorldFileError):
            hall.watch(names[0]).result()
        assert hall.watch(names[1]).result()["num_blocks"] == 1


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "", "A" * 20, "0" * 19, "0" * 20 + "\n", "०" * 20])
def test_a_name_that_is_not_ours_never_becomes_a_path(tmp_path: Path, name: str) -> None:
    shelf = Shelf(tmp_path, max_saved=1, max_sleeping=1)
    assert not is_name(name)
    with pytest.raises(RefusedError):
        shelf.world_path(name)
    with pytest.raises(RefusedError):
        shelf.note(name, SLEEPING)


def test_more_saved_worlds_than_the_limit_are_refused(tmp_path: Path) -> None:
    with quick_hall(tmp_path, limits={"max_saved_worlds": 1}) as hall:
        name = str(hall.create("a pond", is_paused=True).result()["id"])
        saved = str(hall.save(name).result()["saved"])
        with pytest.raises(RefusedError) as refused:
            hall.save(name).result()
        assert refused.value.status == 429
        hall.remove_saved(saved).result()
        hall.save(name).result()


def test_worlds_stay_awake_where_too_many_sleep_and_the_end_of_the_server_loses_none(tmp_path: Path) -> None:
    limits = {"max_sleeping_worlds": 1}
    with quick_hall(tmp_path, pause_after_seconds=0.05, sleep_after_seconds=0.1, limits=limits) as hall:
        for _ in range(2):
            hall.create("a pond", is_paused=True).result()
        wait_until(lambda: len(hall.living) == 1)
        time.sleep(0.3)
        assert len(hall.living) == 1
    with quick_hall(tmp_path) as hall:
        assert [view["state"] for view in hall.views()] == ["asleep", "asleep"]


def test_the_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    Shelf(tmp_path / "new" / "worlds", max_saved=1, max_sleeping=1)
    assert (tmp_path / "new" / "worlds").stat().st_mode & 0o077 == 0
