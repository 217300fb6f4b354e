"""A world as a Gymnasium environment.

Letters: N frames of an observation, H and W their height and width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferix_core.errors import ConfigError, UnsupportedError, nearest
from inferix_core.gym.environment import Frames, Info, WorldEnvironment
from inferix_core.runtime.engine import Engine

try:
    import gymnasium
    from gymnasium import spaces
except ImportError as error:
    raise UnsupportedError(
        "GymnasiumWorld needs gymnasium, which is not installed. Try: pip install 'inferix-core[gym]'."
    ) from error

Observation = NDArray[np.uint8]
"""`[H, W, 3]`, or `[N, H, W, 3]` where a number of frames was asked for."""
Reward = Callable[[Frames, Info], float]
"""What a block is worth, from its frames `[T, H, W, 3]` and what is known of it."""

_RENDER_MODE = "rgb_array"
_OPTIONS = ("prompt",)


class GymnasiumWorld(gymnasium.Env[Observation, np.int64]):
    """An action for each step, one block made under it, its last frames observed.

    An observation is the last frame, or with `num_frames` the last so many of the world, whatever blocks they are of;
    while the world has fewer, its first frame stands for those that are missing. The shape is thus always the same,
    though a world's first block may be shorter. Nothing terminates an episode; `max_blocks` truncates it. The info is
    that of `WorldEnvironment` without the timings, since Gymnasium wants it to be the same for the same seed.
    """

    metadata: dict[str, Any] = {"render_modes": [_RENDER_MODE]}  # noqa: RUF012 (Gymnasium declares it so)

    def __init__(
        self,
        engine: Engine,
        *,
        prompt: str | None = None,
        actions: Sequence[str] | None = None,
        num_frames: int | None = None,
        reward: Reward | None = None,
        max_blocks: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        """`actions` are the model's own unless given; without a `reward` every block is worth 0.

        `max_blocks` counts the block that `reset` makes. Raises `ConfigError` for what cannot be an environment.
        """
        self._environment = WorldEnvironment(engine, prompt=prompt)
        self._actions = tuple(self._environment.actions if actions is None else actions)
        self._reward = reward
        self._max_blocks = max_blocks
        self._num_frames = num_frames
        self.render_mode = render_mode
        self._check()
        picture = (engine.geometry.frame_height, engine.geometry.frame_width, 3)
        shape = picture if num_frames is None else (num_frames, *picture)
        self.metadata = {**self.metadata, "render_fps": engine.geometry.fps}
        self.action_space = spaces.Discrete(len(self._actions))
        self.observation_space = spaces.Box(0, 255, shape, np.uint8)
        self._recent: Frames = np.empty((0, *picture), np.uint8)
        self._num_blocks = 0

    @property
    def actions(self) -> tuple[str, ...]:
        """The names of the actions; a discrete action is an index into them."""
        return self._actions

    @property
    def environment(self) -> WorldEnvironment:
        """The world underneath, to fork or save it."""
        return self._environment

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """The first observation of a new world; `options` may hold its `prompt`.

        With a seed it is the world's own; without one, it is drawn from the environment's generator, so that one
        seeded reset fixes all episodes after it.
        """
        super().reset(seed=seed)
        options = options or {}
        for name in set(options) - set(_OPTIONS):
            raise ConfigError(f"reset has no option '{name}'.{nearest(name, _OPTIONS)} Options: {', '.join(_OPTIONS)}.")
        if seed is None:
            seed = int(self.np_random.integers(2**63))
        frames, info = self._environment.reset(seed, prompt=options.get("prompt"))
        self._num_blocks = 1
        missing = max(0, (self._num_frames or 1) - len(frames))
        self._remember(np.concatenate([frames[:1].repeat(missing, axis=0), frames]))
        return self._observation(), _reproducible(info)

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """The next block under the action of that index: observation, reward, terminated, truncated, info."""
        if not self.action_space.contains(action):
            raise ConfigError(
                f"Actions are 0 to {len(self._actions) - 1} ({', '.join(self._actions)}); found {action}."
            )
        frames, info = self._environment.step(self._actions[int(action)])
        self._num_blocks += 1
        self._remember(frames)
        reward = 0.0 if self._reward is None else float(self._reward(frames, info))
        truncated = self._max_blocks is not None and self._num_blocks >= self._max_blocks
        return self._observation(), reward, False, truncated, _reproducible(info)

    def render(self) -> NDArray[np.uint8] | None:
        """The last frame `[H, W, 3]` with render_mode "rgb_array", otherwise None."""
        return self._recent[-1] if self.render_mode == _RENDER_MODE and len(self._recent) else None

    def close(self) -> None:
        """Closes the world."""
        self._environment.close()

    def _remember(self, frames: Frames) -> None:
        self._recent = np.concatenate([self._recent, frames])[-(self._num_frames or 1) :]

    def _observation(self) -> Observation:
        return self._recent[-1] if self._num_frames is None else self._recent

    def _check(self) -> None:
        if not self._actions:
            raise ConfigError("The model names no actions. Give actions=… that it understands.")
        if self._num_frames is not None and self._num_frames < 1:
            raise ConfigError(f"An observation has at least 1 frame; num_frames = {self._num_frames} was asked for.")
        if self._max_blocks is not None and self._max_blocks < 2:
            raise ConfigError(
                f"An episode has at least 2 blocks, one of them made by reset; max_blocks = {self._max_blocks} was "
                "asked for."
            )
        if self.render_mode not in (None, _RENDER_MODE):
            raise ConfigError(f"render_mode is None or '{_RENDER_MODE}'; found '{self.render_mode}'.")


def _reproducible(info: Info) -> dict[str, Any]:
    return {name: value for name, value in info.items() if name != "timings"}
