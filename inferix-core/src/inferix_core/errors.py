"""Every mistake that a user can make, as an exception that says what was asked, found, accepted, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InferixError(Exception):
    """The root of all errors that Inferix raises on purpose."""


class ConfigError(InferixError):
    """A configuration, an option or an argument that cannot be used."""


class UnknownPluginError(ConfigError):
    """A name that no installed plugin answers to."""


class PluginError(InferixError):
    """A plugin that is installed but cannot be used."""


class SignalError(InferixError):
    """A prompt or an action that the model does not understand."""


class CheckpointError(InferixError):
    """Weights that are missing, damaged, or of another shape or dtype."""


class CapacityError(InferixError):
    """No room for more latents; nothing was changed."""


class PlanError(InferixError):
    """Progress that a planner cannot plan, e.g. a missing horizon."""


class OutputError(InferixError):
    """A target that cannot be written."""


class WriteError(OutputError):
    """A target that failed while frames were being written, e.g. a full disk; what was written before stays."""


class WorldFileError(InferixError):
    """A saved world or a log that is damaged, of an unknown version, or of another model."""


class RankError(InferixError):
    """A rank of a run that is gone, failed, or is not like the others."""


class LostRankError(RankError):
    """A rank of a run that is gone."""


class UnsupportedError(InferixError):
    """An ability that was asked for and is not provided."""


def nearest(name: str, accepted: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the accepted name nearest to `name`, or an empty string."""
    matches = difflib.get_close_matches(name, list(accepted), n=1)
    return f" Did you mean '{matches[0]}'?" if matches else ""
