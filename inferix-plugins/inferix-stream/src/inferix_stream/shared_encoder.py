"""One encoder for all viewers of a codec."""

from __future__ import annotations

from collections.abc import Sequence

from inferix_stream.encoders import LiveEncoder
from inferix_stream.live_frame import LiveFrame
from inferix_stream.subscription import EncodedFrame, Subscription

KEYFRAME_INTERVAL_SECONDS = 0.5
"""Least time between keyframes that are asked for: one viewer's losses must not cost all others their picture."""


class SharedEncoder:
    """Encodes each frame once and offers it to every subscription.

    A keyframe is made when a viewer joins, has lost one, or asks for one. Whoever calls holds one lock for all calls.
    """

    def __init__(self, encoder: LiveEncoder) -> None:
        self._encoder = encoder
        self._subscriptions: list[Subscription] = []
        self._is_keyframe_wanted = False
        self._last_keyframe_seconds = -KEYFRAME_INTERVAL_SECONDS
        self.num_encoded = 0

    @property
    def subscriptions(self) -> Sequence[Subscription]:
        """Those who watch."""
        return self._subscriptions

    @property
    def name(self) -> str:
        """The encoder's own name, e.g. `libx264`."""
        return self._encoder.name

    def add(self, subscription: Subscription) -> None:
        """Sends every later frame to a viewer, who can begin with the next keyframe."""
        self._subscriptions.append(subscription)

    def remove(self, subscription: Subscription) -> None:
        """Sends a viewer nothing more."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    def request_keyframe(self) -> None:
        """Makes the next frame a keyframe, or one soon after if there was one just now."""
        self._is_keyframe_wanted = True

    def encode(self, frame: LiveFrame, media_seconds: float) -> None:
        """Encodes a frame that is played at `media_seconds` and offers it to all."""
        is_wanted = self._is_keyframe_wanted or any(one.needs_keyframe for one in self._subscriptions)
        is_forced = is_wanted and media_seconds - self._last_keyframe_seconds >= KEYFRAME_INTERVAL_SECONDS
        for packet in self._encoder.encode(frame.pixels, media_seconds=media_seconds, force_keyframe=is_forced):
            self.num_encoded += 1
            if packet.is_keyframe:
                self._is_keyframe_wanted, self._last_keyframe_seconds = False, media_seconds
            pts = packet.pts
            assert pts is not None, "every frame was given a time"
            encoded = EncodedFrame(frame.number, frame.block_index, bytes(packet), packet.is_keyframe, pts)
            for subscription in self._subscriptions:
                subscription.offer(encoded)

    def end(self) -> None:
        """Ends every subscription."""
        for subscription in self._subscriptions:
            subscription.end()
        self._subscriptions.clear()
