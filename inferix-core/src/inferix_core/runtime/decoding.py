"""The second half of making a block: its clean latents become frames, here or beside what the caller does meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from inferix_core.runtime.finished import Finished, frames_and_state
from inferix_core.runtime.frames import to_uint8
from inferix_core.runtime.threads import cpu_threads, settle_threads

if TYPE_CHECKING:
    from inferix_core.contracts.decoder import Decoder
    from inferix_core.events import Timings
    from inferix_core.plan import Geometry


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """Frames `[T, H, W, 3]`, uint8 on the CPU, and the decoder's state behind them."""

    frames: Tensor
    state: Any


class Decoding:
    """Decodes blocks with `num_threads` CPU threads; None is as many as the caller has."""

    def __init__(
        self, decoder: Decoder, *, geometry: Geometry, device: torch.device, num_threads: int | None = None
    ) -> None:
        self._decoder = decoder
        self._geometry = geometry
        self._device = device
        self._num_threads = num_threads
        self._worker: ThreadPoolExecutor | None = None
        self._stream: torch.cuda.Stream | None = None

    def decode(self, block: Finished, state: Any, *, timings: Timings, world_id: str) -> Decoded:
        """What the decoder makes of the block behind `state`, which is left as it is. Runs in inference mode."""
        if len(block.span) == 0:
            size = (0, self._geometry.frame_height, self._geometry.frame_width, 3)
            return Decoded(torch.empty(size, dtype=torch.uint8), state)
        with timings.span("decode", world_id=world_id), cpu_threads(self._num_threads):
            frames, new_state = frames_and_state(block, state, decoder=self._decoder)
            return Decoded(to_uint8(frames), new_state)

    def begin(self, block: Finished, state: Any, *, timings: Timings, world_id: str) -> Running:
        """Decodes in a thread of its own, on CUDA on a stream of its own behind all that was asked for until now.

        Blocks that were begun are decoded one after another. `timings` is the thread's until the result is there.
        """
        if self._worker is None:
            # One thread for all blocks: what kernels keep for each thread (plans, pools) is made once.
            self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inferix-decode")
        num_threads = self._num_threads or torch.get_num_threads()
        beside = self._beside_the_network()

        def decoded() -> Decoded:
            with torch.inference_mode(), cpu_threads(num_threads), beside:
                return self.decode(block, state, timings=timings, world_id=world_id)

        return Running(self._worker.submit(decoded))

    def close(self) -> None:
        """Ends the thread, if there is one, when it is done. The next `begin` makes another."""
        if self._worker is not None:
            self._worker.shutdown(wait=True)
        self._worker = None

    def _beside_the_network(self) -> AbstractContextManager[None]:
        """A body on the decoder's own stream behind what the caller has asked of the device, which ends when it has."""
        if self._device.type != "cuda":
            return nullcontext()
        if self._stream is None:
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        asked = torch.cuda.Event()  # type: ignore[no-untyped-call]
        asked.record(torch.cuda.current_stream(self._device))
        return _on_stream(self._stream, behind=asked)


@contextmanager
def _on_stream(stream: torch.cuda.Stream, *, behind: torch.cuda.Event) -> Iterator[None]:
    """Whoever holds what the body reads until it ends may let go of it then, also when it raises."""
    with torch.cuda.stream(stream):
        stream.wait_event(behind)
        try:
            yield
        finally:
            stream.synchronize()


class Running:
    """A block that is being decoded."""

    def __init__(self, future: Future[Decoded]) -> None:
        self._future = future

    def result(self) -> Decoded:
        """Waits for the frames. Raises what the decoder raised."""
        try:
            return self._future.result()
        finally:
            settle_threads()

    def abandon(self) -> None:
        """Waits until nothing runs any more; what came of it, a failure included, is forgotten."""
        if not self._future.cancel():
            self._future.exception()
        settle_threads()
