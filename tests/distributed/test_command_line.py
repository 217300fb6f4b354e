"""`inferix generate` on several ranks: as it starts them, and as others do."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

TINY = ("--model", "self-forcing", "--preset", "tiny-random", "--seconds", "1", "--set", "dtype=float32")
UNSET = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
Done = subprocess.CompletedProcess[str]


def inferix(*arguments: str, folder: Path, launcher: tuple[str, ...] = (), **variables: str) -> Done:
    environment = {key: value for key, value in os.environ.items() if key not in UNSET}
    environment |= {"GOMP_SPINCOUNT": "0", "OMP_NUM_THREADS": "1", **variables}
    command = [sys.executable, *launcher, "-m", "inferix_core.cli", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=150, check=False
    )


def generate(*arguments: str, folder: Path, **named: object) -> Done:
    return inferix("generate", "a red ball", "-o", "out.npy", *TINY, *arguments, folder=folder, **named)  # type: ignore[arg-type]


def errors_in(done: Done) -> list[str]:
    return [line for line in done.stderr.splitlines() if line.startswith("Error:")]


def test_ranks_are_started_and_one_of_them_writes(tmp_path: Path) -> None:
    done = generate("--ranks", "2", "--save", "a.world", "--log", "a.log", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"out.npy", "a.world", "a.log"}
    assert done.stdout.count("World: ") == 1
    resumed = generate_on("a.world", "--save", "b.world", folder=tmp_path)
    assert resumed.returncode == 0, resumed.stderr


def generate_on(world: str, *arguments: str, folder: Path) -> Done:
    """The world goes on, on one rank."""
    return inferix("generate", "--resume", world, "-o", "on.npy", "--seconds", "0.5", *arguments, folder=folder)


def test_a_mistake_is_told_before_any_rank_is_started(tmp_path: Path) -> None:
    started = time.monotonic()
    done = generate("--ranks", "2", "--set", "parallel.use=ulises", folder=tmp_path)
    assert done.returncode == 2
    assert "Did you mean 'ulysses'" in done.stderr
    assert time.monotonic() - started < 30.0


def test_heads_that_cannot_be_split_are_told_once_and_all_ranks_end(tmp_path: Path) -> None:
    done = generate("--ranks", "3", "--set", "parallel.use=ulysses", folder=tmp_path)
    assert done.returncode == 2
    (error,) = errors_in(done)
    assert "2 heads cannot be split over 3 ranks; 1 or 2 would work" in error
    assert not list(tmp_path.iterdir())


def test_nccl_without_cuda_is_refused_before_ranks_meet(tmp_path: Path) -> None:
    one_of_two = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    done = generate("--set", "ranks.backend=nccl", "--set", "device=cpu", folder=tmp_path, **one_of_two)
    assert done.returncode == 2
    assert "NCCL connects CUDA devices alone" in errors_in(done)[0]


def test_ranks_that_torchrun_has_not_started_are_told_once(tmp_path: Path) -> None:
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *torchrun, "inferix_core.cli", "generate", "a", "-o", "out.npy", *TINY, "--ranks", "4"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode != 0
    assert len(errors_in(done)) == 1
    assert "4 ranks were asked for, but torchrun has started 2" in done.stderr


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"WORLD_SIZE": "2", "RANK": "0"}, "MASTER_ADDR is not set"),
        ({"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "localhost"}, "MASTER_PORT is not set"),
        (
            {"WORLD_SIZE": "2", "RANK": "5", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"},
            "ranks go from 0 to 1",
        ),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two'"),
    ],
)
def test_what_torchrun_would_set_is_missed(variables: dict[str, str], told: str, tmp_path: Path) -> None:
    done = generate(folder=tmp_path, **variables)
    assert done.returncode == 2
    assert told in errors_in(done)[0]


def test_a_rank_that_is_killed_is_named_and_the_run_ends(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in UNSET} | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "inferix_core.cli", "generate", "a", "-o", "out.npy", *TINY, "--ranks", "3"]
    command[command.index("1")] = "900"
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            victim = process_of_rank(process.pid, 1, until=time.monotonic() + 60.0)
            time.sleep(10.0)  # until they run
            os.kill(victim, 9)
            _, errors = process.communicate(timeout=60.0)
        finally:
            process.kill()
    assert process.returncode != 0
    assert "rank 0: Rank 1 is gone" in errors, errors
    assert "rank 2: Rank 1 is gone" in errors, errors


def process_of_rank(launcher: int, rank: int, *, until: float) -> int:
    """The process that a launcher has started as this rank."""
    while time.monotonic() < until:
        for folder in Path("/proc").iterdir():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                variables = (folder / "environ").read_bytes().split(b"\0")
            except (OSError, ValueError, IndexError):
                continue
            if parent == launcher and f"RANK={rank}".encode() in variables:
                return int(folder.name)
        time.sleep(0.2)
    raise AssertionError(f"rank {rank} was not started")
