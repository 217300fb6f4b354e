"""What `inferix generate` was asked for, checked as far as it can be without loading a tensor library."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from loguru import logger

from inferix_core.catalog import Catalog
from inferix_core.catalog.targets import is_address
from inferix_core.cli.times import checked_duration, timed_text
from inferix_core.configuration import ResolvedConfig, validated
from inferix_core.contracts.model import Fit
from inferix_core.errors import ConfigError, OutputError, SignalError, nearest
from inferix_core.runtime.beginning import check_beginning, check_no_beginning
from inferix_core.signals import Signal, TimedSignal
from inferix_core.specs import ModelSpec

_CONTACT_SHEET_SUFFIX = ".png"
_FITS: tuple[str, ...] = get_args(Fit)


@dataclass(frozen=True, slots=True)
class BeginningFile:
    """A picture or video that the world begins with, and how it is fitted; None is as the model does."""

    path: Path
    is_video: bool
    fit: str | None


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """One run: what to show, for how long, where it goes, and with which components.

    `signals` are in their order and lie within the run as far as can be known now. `resume` is a saved world to go on
    with, whose prompt holds where `prompt` is None; the world and its log are written to `save` and `log` where those
    are given.
    """

    prompt: str | None
    seconds: float
    output: str
    signals: tuple[TimedSignal, ...]
    contact_sheet: bool
    config: ResolvedConfig
    catalog: Catalog
    beginning: BeginningFile | None = None
    resume: Path | None = None
    save: Path | None = None
    log: Path | None = None


def checked_request(
    *,
    prompt: str | None,
    seconds: float,
    output: str,
    prompts_at: Iterable[str],
    actions_at: Iterable[str],
    script: Path | None = None,
    contact_sheet: bool,
    overwrite: bool,
    config: ResolvedConfig,
    catalog: Catalog,
    beginning: BeginningFile | None = None,
    resume: Path | None = None,
    save: Path | None = None,
    log: Path | None = None,
) -> GenerateRequest:
    """The request. Raises `ConfigError`, `SignalError` or `OutputError` for what cannot be done."""
    checked_duration(seconds)
    scripted = [] if script is None else _scripted(script)
    signals = _timed_signals(prompts_at, actions_at, scripted, seconds=seconds, model=config.model)
    _check_prompt(prompt, signals, resume=resume)
    if beginning is not None:
        _check_beginning(beginning, config)
    elif resume is None:
        check_no_beginning(config.model)
    check_target(output, config, catalog, overwrite=overwrite)
    if contact_sheet:
        catalog.streamer_for(f"sheet{_CONTACT_SHEET_SUFFIX}")
    for file in (save, log):
        if file is not None:
            check_file(file, overwrite=overwrite or file == resume)
    if save is not None and save == log:
        raise OutputError(f"'{save}' cannot hold both the world and its log. Give --save and --log different names.")
    return GenerateRequest(
        prompt=None if prompt is None else prompt.strip(),
        seconds=seconds,
        output=output,
        signals=signals,
        contact_sheet=contact_sheet,
        config=config,
        catalog=catalog,
        beginning=beginning,
        resume=resume,
        save=save,
        log=log,
    )


def check_target(output: str, config: ResolvedConfig, catalog: Catalog, *, overwrite: bool) -> None:
    """Raises `ConfigError` or `OutputError` for a target that no streamer can write, as far as can be known now."""
    validated(catalog.streamer_for(output), config.effective.get("output", {}), "output")
    _check_folder_of(output)
    if not overwrite:
        _check_absent(output)


def check_file(path: Path, *, overwrite: bool) -> None:
    """Raises `OutputError` for a file that cannot be written, as far as can be known now."""
    from inferix_core.worldfile.whole_file import check_writable  # commands that write no such file need none of it

    check_writable(path)
    if not overwrite:
        _check_absent(str(path))


def _check_beginning(beginning: BeginningFile, config: ResolvedConfig) -> None:
    if beginning.fit is not None and beginning.fit not in _FITS:
        accepted = ", ".join(_FITS)
        raise ConfigError(f"--fit must be one of {accepted}; found '{beginning.fit}'.{nearest(beginning.fit, _FITS)}")
    if not beginning.path.is_file():
        raise ConfigError(f"There is no file '{beginning.path}' (looked from {Path.cwd()}).")
    check_beginning(config, is_video=beginning.is_video)


def _check_prompt(prompt: str | None, signals: Sequence[TimedSignal], *, resume: Path | None) -> None:
    is_told = any(timed.signal.prompt is not None and not (timed.seconds or timed.block) for timed in signals)
    if prompt is None and resume is None and not is_told:
        raise SignalError(
            "There is no prompt to begin with. Say what the world should show, give a --script with a prompt at = 0, "
            "or --resume a saved world."
        )
    if prompt is not None and not prompt.strip():
        raise SignalError("The prompt is empty. Say what the world should show.")


def _scripted(script: Path) -> Sequence[TimedSignal]:
    from inferix_core.script import load_script  # most runs have none

    return load_script(script)


def _timed_signals(
    prompts_at: Iterable[str],
    actions_at: Iterable[str],
    scripted: Iterable[TimedSignal],
    *,
    seconds: float,
    model: ModelSpec,
) -> tuple[TimedSignal, ...]:
    """All of them, those of the script first, without those that come after the end."""
    signals = list(scripted)
    for text in prompts_at:
        time, prompt = timed_text(text, "--prompt-at")
        signals.append(TimedSignal(time, Signal(prompt=prompt)))
    for text in actions_at:
        time, action = timed_text(text, "--action-at")
        signals.append(TimedSignal(time, Signal(action=action)))
    within = []
    for timed in signals:
        if timed.signal.action is not None:
            _check_action(timed.signal.action, model)
        _check_guidance(timed.signal, model)
        if timed.seconds is not None and timed.seconds >= seconds:
            what = timed.signal.prompt or timed.signal.action or timed.signal.negative_prompt
            logger.warning(f"'{what}' at {timed.seconds:g} s is left out: the run ends at {seconds:g} s.")
        else:
            within.append(timed)
    return tuple(sorted(within, key=lambda timed: timed.place))


def _check_guidance(signal: Signal, model: ModelSpec) -> None:
    if signal.negative_prompt is not None:
        from inferix_core.runtime.steering import check_guidance  # few signals have one

        check_guidance(signal, model)


def _check_action(action: str, model: ModelSpec) -> None:
    if not model.actions:
        raise SignalError(f"The model '{model.name}' takes no actions, found '{action}'. Leave it out.")
    if action not in model.actions:
        raise SignalError(
            f"'{action}' is not an action of '{model.name}'.{nearest(action, model.actions)} "
            f"Actions: {', '.join(model.actions)}."
        )


def _check_folder_of(output: str) -> None:
    """A folder that is missing is found here, not after a large model has been loaded."""
    folder = Path(output).parent
    if not is_address(output) and not folder.is_dir():
        raise OutputError(f"'{output}' cannot be written: there is no folder '{folder}'. Create it, or choose another.")


def _check_absent(output: str) -> None:
    path = Path(output)
    holds_something = any(path.iterdir()) if path.is_dir() else path.exists()
    if holds_something:
        raise OutputError(f"'{output}' exists. Choose another name, or allow --overwrite.")
