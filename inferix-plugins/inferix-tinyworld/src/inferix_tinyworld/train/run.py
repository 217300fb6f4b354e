"""What the stages share: device, mixed precision with averaged weights, schedule, checkpoints, log and progress bar."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn

from inferix_tinyworld.train.settings import StageSettings


def pick_device(name: str) -> torch.device:
    """The device of that name; `auto` is a GPU if there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def learning_rate(settings: StageSettings, step: int) -> float:
    """Linear warm-up, then a cosine that ends at the last step."""
    if step < settings.num_warmup_steps:
        return settings.learning_rate * (step + 1) / settings.num_warmup_steps
    progress = (step - settings.num_warmup_steps) / max(1, settings.num_steps - settings.num_warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return settings.final_learning_rate + (settings.learning_rate - settings.final_learning_rate) * cosine


class MixedPrecision:
    """Trains a bf16 module through fp32 masters of its trainable parameters, and averages the masters."""

    def __init__(self, module: nn.Module, *, settings: StageSettings) -> None:
        self.module = module
        self.settings = settings
        self.names = [name for name, p in module.named_parameters() if p.requires_grad]
        self._live = [p for p in module.parameters() if p.requires_grad]
        self.masters = [p.detach().float().clone() for p in self._live]
        self.averages = [m.clone() for m in self.masters]
        module.to(torch.bfloat16)
        self._live = [p for p in module.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.masters, lr=settings.learning_rate, betas=(0.9, 0.95), weight_decay=settings.weight_decay, foreach=True
        )

    def step(self, *, step: int) -> float:
        """Applies the gradients of the module, clears them and returns their norm before clipping."""
        for master, live in zip(self.masters, self._live, strict=True):
            master.grad = None if live.grad is None else live.grad.float()
            live.grad = None
        norm = nn.utils.clip_grad_norm_(self.masters, self.settings.max_grad_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, step)
        self.optimizer.step()
        decay = min(self.settings.ema_decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.averages, self.masters, 1 - decay)
        torch._foreach_copy_([p.data for p in self._live], self.masters)
        return float(norm)

    def averaged_weights(self) -> dict[str, Tensor]:
        """The averaged fp32 parameters by name."""
        return dict(zip(self.names, self.averages, strict=True))

    def state_dict(self) -> dict[str, object]:
        """Everything needed to go on."""
        return {"masters": self.masters, "averages": self.averages, "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Takes up where `state_dict` left off."""
        torch._foreach_copy_(self.masters, state["masters"])  # type: ignore[arg-type]
        torch._foreach_copy_(self.averages, state["averages"])  # type: ignore[arg-type]
        self.optimizer.load_state_dict(state["optimizer"])  # type: ignore[arg-type]
        torch._foreach_copy_([p.data for p in self._live], self.masters)


class Workers:
    """Copies of a module that share its weights and make gradients side by side, each on one core.

    Unlike a second intra-op thread, a worker that is held up by another process waits once a step, not at every
    operation: on a busy machine that is several times faster.
    """

    def __init__(self, module: nn.Module, *, num_workers: int) -> None:
        self.copies = [module] + [copy.deepcopy(module) for _ in range(num_workers - 1)]
        self._live = [[p for p in m.parameters() if p.requires_grad] for m in self.copies]
        for replica in self.copies[1:]:
            for own, original in zip(replica.parameters(), module.parameters(), strict=True):
                own.data = original.data
        self._pool = ThreadPoolExecutor(num_workers)

    def run(self, gradients: Callable[[nn.Module, int], dict[str, float]]) -> dict[str, float]:
        """`gradients(copy, worker)` on each; leaves the mean gradient in the module, returns the mean figures."""
        results = list(self._pool.map(gradients, self.copies, range(len(self.copies))))
        for index, parameter in enumerate(self._live[0]):
            parts = [live[index].grad for live in self._live]
            held = [part for part in parts if part is not None]
            for live in self._live[1:]:
                live[index].grad = None
            if held:
                parameter.grad = torch.stack(held).sum(0) / len(parts)
        return {key: sum(result[key] for result in results) / len(results) for key in results[0]}


def save_atomically(value: object, path: Path) -> None:
    """`torch.save` under a temporary name, then a rename: a crash leaves the older file whole."""
    temporary = path.with_suffix(".tmp")
    torch.save(value, temporary)
    temporary.replace(path)


def train_loop(
    settings: StageSettings,
    *,
    name: str,
    training: MixedPrecision,
    compute: Callable[[int], dict[str, float]],
    evaluate: Callable[[int], str],
) -> None:
    """Runs the steps that are left: `compute(step)` makes gradients and returns figures for the log.

    Writes `NAME.ckpt` and a line of `log.txt` at the intervals of the settings, resumes from `NAME.ckpt` if there
    is one, and calls `evaluate(step)` for a line about quality now and then and at the end.
    """
    checkpoint = settings.work_dir / f"{name}.ckpt"
    start = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True, map_location="cpu")
        training.load_state_dict(state["training"])
        start = int(state["step"])
    last_saved = last_sheet = time.monotonic()
    log = _Log(settings.work_dir / "log.txt")
    log.line(f"{name}: start at step {start} of {settings.num_steps}")
    sums: dict[str, float] = {}
    began, began_step = time.monotonic(), start
    for step in _with_bar(range(start, settings.num_steps), name=name, total=settings.num_steps):
        figures = compute(step)
        figures["grad"] = training.step(step=step)
        for key, value in figures.items():
            sums[key] = sums.get(key, 0.0) + value
        done = step + 1
        if done % settings.num_log_steps == 0:
            rate = (done - began_step) / (time.monotonic() - began)
            means = "  ".join(f"{key} {value / settings.num_log_steps:.4f}" for key, value in sums.items())
            log.line(f"{name} step {done}  {means}  lr {learning_rate(settings, step):.2e}  {rate:.3f} steps/s")
            sums = {}
        if time.monotonic() - last_saved > settings.checkpoint_seconds or done == settings.num_steps:
            save_atomically({"training": training.state_dict(), "step": done}, checkpoint)
            last_saved = time.monotonic()
        if time.monotonic() - last_sheet > settings.sheet_seconds or done == settings.num_steps:
            log.line(f"{name} step {done}  {evaluate(done)}")
            last_sheet = time.monotonic()


class _Log:
    """Lines with a clock time, appended to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def line(self, text: str) -> None:
        with self._path.open("a") as file:
            file.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def _with_bar(steps: range, *, name: str, total: int) -> Iterator[int]:
    columns = (
        TextColumn(name),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress:
        task = progress.add_task(name, total=total, completed=steps.start)
        for step in steps:
            yield step
            progress.advance(task)
