"""What a viewer's offer asks for."""

from __future__ import annotations

from collections.abc import Sequence

from aiortc.sdp import MediaDescription, SessionDescription
from inferix_core.errors import OutputError

from inferix_stream.webrtc import VideoCodec

LONGEST_OFFER = 200_000
"""Characters of a session description that are looked at; browsers send some thousand."""


def offered_codec(sdp: str, wanted: VideoCodec | None) -> VideoCodec:
    """The codec to send: the wanted one, or the first of the viewer's that we speak.

    Raises `OutputError` if the offer is malformed, asks for no video, or shares no codec with us.
    """
    media = _video(sdp)
    offered = _codecs(media)
    if not offered or (wanted is not None and wanted not in offered):
        found = " and ".join(offered) or "neither"
        raise OutputError(f"The viewer is to be sent {wanted or 'vp8 or h264'}, but of these it takes {found}.")
    return wanted or offered[0]


def _video(sdp: str) -> MediaDescription:
    if len(sdp) > LONGEST_OFFER:
        raise OutputError(f"The offer has {len(sdp)} characters. At most {LONGEST_OFFER} are looked at.")
    try:
        description = SessionDescription.parse(sdp)
    except Exception as error:  # the parser trusts what it is given: a malformed offer fails anywhere in it
        raise OutputError(
            f"The offer is no session description: {type(error).__name__}: {error}. Send what createOffer() made."
        ) from error
    for media in description.media:
        if media.kind == "video" and media.direction in ("recvonly", "sendrecv"):
            return media
    raise OutputError("The offer takes no video. Add a transceiver for video with the direction recvonly.")


def _codecs(media: MediaDescription) -> Sequence[VideoCodec]:
    """The viewer's codecs that we speak, in its order of preference."""
    found: list[VideoCodec] = []
    for codec in media.rtp.codecs:
        name = codec.name.lower()
        if name == "vp8":
            found.append("vp8")
        # Frames larger than one packet are cut up, which packetization mode 0 does not know.
        elif name == "h264" and str(codec.parameters.get("packetization-mode")) == "1":
            found.append("h264")
    return list(dict.fromkeys(found))
