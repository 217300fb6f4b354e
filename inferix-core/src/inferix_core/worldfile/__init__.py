"""Worlds as files: what one is, how it is written, and what it says of itself.

A world file is a safetensors file that holds the whole state of a world. `describe` gives a `WorldFileSummary` of it
from its header alone, `recording_in` the log inside it, to be replayed; both say `WorldFileError` for a file that is
none. Worlds are written by `World.save` and go on by `Engine.load_world`. Importing this package imports no tensor
library.
"""

from inferix_core.worldfile.summary import WorldFileSummary, describe, recording_in

__all__ = ["WorldFileSummary", "describe", "recording_in"]
