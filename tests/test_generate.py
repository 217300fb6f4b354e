"""`inferix generate` as a user runs it, with the embedded world."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

PROMPT = "a red ball bounces at sunset"
ENVIRONMENT = {**os.environ, "GOMP_SPINCOUNT": "0", "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def inferix(*arguments: str | Path, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "inferix_core.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT, timeout=120)
    assert not check or done.returncode == 0, done.stderr
    return done


def hear_interrupts() -> None:
    """A shell's background jobs ignore Ctrl-C, and so would what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def refused(*arguments: str | Path, cwd: Path) -> str:
    """The message of a command that must end with the user's mistake, without a traceback."""
    done = inferix(*arguments, cwd=cwd, check=False)
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


def video(path: Path) -> tuple[list[np.ndarray], float]:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        rate = container.streams.video[0].average_rate
    assert rate is not None
    return frames, float(rate)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    folder = tmp_path_factory.mktemp("plain")
    inferix("generate", PROMPT, "--seconds", "3", "--seed", "5", "-o", "a.npy", cwd=folder)
    return np.load(folder / "a.npy")


def test_an_mp4_holds_exactly_the_frames_of_its_seconds_and_a_contact_sheet_lies_beside_it(tmp_path: Path) -> None:
    done = inferix("generate", PROMPT, "--seconds", "2.5", "-o", "demo.mp4", "--contact-sheet", cwd=tmp_path)
    frames, rate = video(tmp_path / "demo.mp4")
    assert (len(frames), rate) == (40, 16.0)
    assert frames[0].shape == (128, 128, 3)
    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")
    for words in ("frames/s", "first frames after", "denoise", "clean pass", "decode", "demo.mp4"):
        assert words in done.stdout


def test_the_same_seed_gives_the_same_bits_in_another_process(plain: np.ndarray, tmp_path: Path) -> None:
    inferix("generate", PROMPT, "--seconds", "3", "--seed", "5", "-o", "b.npy", cwd=tmp_path)
    assert np.array_equal(np.load(tmp_path / "b.npy"), plain)
    assert plain.shape == (48, 128, 128, 3)


def test_another_seed_gives_another_world(plain: np.ndarray, tmp_path: Path) -> None:
    inferix("generate", PROMPT, "--seconds", "3", "--seed", "6", "-o", "b.npy", cwd=tmp_path)
    assert not np.array_equal(np.load(tmp_path / "b.npy"), plain)


@pytest.mark.parametrize(
    "change",
    [("--prompt-at", "1s", "a red ball bounces at night"), ("--action-at", "1s", "left")],
    ids=["prompt", "action"],
)
def test_a_signal_changes_the_world_from_its_block_on_and_not_before(
    plain: np.ndarray, tmp_path: Path, change: tuple[str, ...]
) -> None:
    inferix("generate", PROMPT, "--seconds", "3", "--seed", "5", *change, "-o", "b.npy", cwd=tmp_path)
    changed = np.load(tmp_path / "b.npy")
    # One second is frame 16; blocks begin at frames 0, 9, 21: the signal reaches the one at 21.
    assert np.array_equal(changed[:21], plain[:21])
    assert not np.array_equal(changed[21:33], plain[21:33])


def test_a_script_makes_the_world_that_its_signals_make_on_the_command_line(tmp_path: Path) -> None:
    night = "a red ball bounces at night"
    script = (
        f'[[signals]]\nat = 0\nprompt = "{PROMPT}"\n'
        f'[[signals]]\nat_block = 2\nprompt = "{night}"\naction = "left"\n'
        '[[signals]]\nat = 2.1\naction = "right"\n'
    )
    (tmp_path / "story.toml").write_text(script)
    both = ("--seconds", "3", "--seed", "5")
    inferix("generate", *both, "--script", "story.toml", "-o", "a.npy", cwd=tmp_path)
    told = ("--prompt-at", "1s", night, "--action-at", "1s", "left", "--action-at", "2.1s", "right")
    inferix("generate", PROMPT, *both, *told, "-o", "b.npy", cwd=tmp_path)
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))


def test_a_prompt_changed_to_night_is_dark(plain: np.ndarray, tmp_path: Path) -> None:
    change = ("--prompt-at", "1s", "a red ball bounces at night")
    inferix("generate", PROMPT, "--seconds", "3", "--seed", "5", *change, "-o", "b.npy", cwd=tmp_path)
    sky = np.load(tmp_path / "b.npy")[-1, :20].mean()
    assert sky < 0.6 * plain[-1, :20].mean()


def test_settings_come_from_a_file_and_overrides_win(plain: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('seed = 4\n[model]\nuse = "tinyworld"\n')
    arguments = ("--seconds", "3", "--config", "run.toml", "--set", "seed=5", "-o", "b.npy")
    inferix("generate", PROMPT, *arguments, cwd=tmp_path)
    assert np.array_equal(np.load(tmp_path / "b.npy"), plain)


def test_the_output_may_be_a_folder_or_a_gif(tmp_path: Path) -> None:
    inferix("generate", PROMPT, "--seconds", "1", "-o", "pictures", cwd=tmp_path)
    assert len(list((tmp_path / "pictures").glob("frame_*.png"))) == 16
    inferix("generate", PROMPT, "--seconds", "1", "-o", "a.gif", cwd=tmp_path)
    assert len(video(tmp_path / "a.gif")[0]) == 16


def test_nothing_generated_is_lost_on_ctrl_c(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "inferix_core.cli", "generate", PROMPT, "--seconds", "600", "-o", "long.mp4"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_interrupts,
    )
    path = tmp_path / "long.mp4"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (not path.exists() or path.stat().st_size < 4000):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, (out, err)
    assert "Traceback" not in err
    frames, _ = video(path)
    assert len(frames) >= 9
    assert f"{len(frames)} frames" in " ".join(out.split())


def test_a_full_disk_is_said_and_what_was_written_stays(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000));"
        "from inferix_core.cli import main; sys.argv = ['inferix', *sys.argv[1:]]; sys.exit(main())"
    )
    arguments = ["generate", PROMPT, "--seconds", "60", "-o", "full.mp4"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=ENVIRONMENT,
        timeout=120,
    )
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert "full.mp4" in " ".join(done.stderr.split())
    assert len(video(tmp_path / "full.mp4")[0]) >= 9


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "tinywrld"], "No model is called 'tinywrld'. Did you mean 'tinyworld'?"),
        (["--set", "kv.policy.use=sink-windw"], "Did you mean 'sink-window'?"),
        (["--set", "kv.polcy.use=window"], "kv.polcy"),
        (["--set", "kv.policy.num_window_latnts=9"], "Did you mean 'num_window_latents'?"),
        (["--action-at", "1s", "up"], "'up' is not an action"),
        (["--action-at", "soon", "left"], "soon"),
        (["--seconds", "0"], "0"),
        (["--seconds", "-2"], "-2"),
        (["-o", "nowhere/at/all/demo.mp4"], "nowhere/at/all"),
        (["-o", "demo.xyz"], ".mp4"),
        (["--config", "missing.toml"], "missing.toml"),
        (["--prompt-at", "1s", "zzz qqq"], "ball"),
    ],
)
def test_a_mistake_is_named_before_anything_is_written(tmp_path: Path, arguments: list[str], words: str) -> None:
    assert words in refused("generate", PROMPT, *arguments, cwd=tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_prompt_without_a_known_word_names_known_ones(tmp_path: Path) -> None:
    assert "ball" in refused("generate", "zzz qqq", cwd=tmp_path)


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = inferix("generate", PROMPT, "--seconds", "0", "--debug", cwd=tmp_path, check=False)
    assert "Traceback" in done.stderr


def test_models_and_schema_know_the_embedded_world(tmp_path: Path) -> None:
    assert "tinyworld" in inferix("models", cwd=tmp_path).stdout
    assert "tinyworld" in json.dumps(json.loads(inferix("schema", cwd=tmp_path).stdout))


def test_an_output_may_be_an_address_and_its_contact_sheet_lies_here(tmp_path: Path) -> None:
    done = inferix("generate", PROMPT, "--seconds", "1", "-o", "null://studio/world", "--contact-sheet", cwd=tmp_path)
    assert "Video: null://studio/world" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["world.png"]


def test_a_live_output_takes_as_long_as_its_video_and_holds_all_of_it(tmp_path: Path) -> None:
    started = time.monotonic()
    inferix("generate", PROMPT, "--seconds", "3", "-o", "live.m3u8", cwd=tmp_path)
    assert time.monotonic() - started >= 3.0 - 1 / 16
    frames, rate = video(tmp_path / "live.m3u8")
    assert (len(frames), rate) == (48, 16.0)
