"""The form of a picture on a WebSocket, for both ends."""

from __future__ import annotations

import struct

PICTURE_HEADER = struct.Struct("<BxxxII")
"""Before each JPEG: the form (1), the frame's number, its block; little-endian, 12 bytes."""
PICTURE_FORM = 1
