"""Tinyworld as a model of the engine: the Wan model with a word encoder and actions.

Letters: T condition tokens.
"""

from __future__ import annotations

import torch
from inferix_core.contracts.model import Condition, Conditions
from inferix_core.contracts.quantizer import Quantizer
from inferix_core.errors import SignalError, nearest
from inferix_core.signals import Signal
from inferix_wan.geometry import wan_geometry
from inferix_wan.model import WanModel
from inferix_wan.weights import load_weights

from inferix_tinyworld.config import TinyWorldConfig
from inferix_tinyworld.network import ACTION, TEXT, TinyWorldNetwork, meta_network, read_config
from inferix_tinyworld.prompts import canonical, parse
from inferix_tinyworld.scene import ACTIONS, FPS, SIZE, Scene
from inferix_tinyworld.shipped import NETWORK, weights_path
from inferix_tinyworld.text import WordEncoder

NO_ACTION = "none"


class TinyWorldModel(WanModel):
    """A `WanModel` whose conditions are the words of a prompt and one action for each block.

    Raises `CheckpointError` for weights that are missing or do not fit.
    """

    def __init__(
        self,
        config: TinyWorldConfig,
        *,
        device: torch.device,
        dtype: torch.dtype,
        quantizer: Quantizer | None = None,
    ) -> None:
        path = weights_path(config.checkpoint, embedded=NETWORK)
        network = meta_network(read_config(path.with_suffix(".json")))
        load_weights(network, path, device=device, dtype=dtype, quantizer=quantizer)
        self._set_up(network)

    @classmethod
    def of_network(cls, network: TinyWorldNetwork) -> TinyWorldModel:
        """The model over a network whose weights stand already."""
        model = cls.__new__(cls)
        model._set_up(network)
        return model

    def encode(self, signal: Signal, previous: Conditions | None) -> Conditions:
        """See `Model.encode`. The text holds until the next prompt, an action for one block.

        What a prompt leaves open is taken from the prompt before it, at the start of a world from the plain `Scene`.
        """
        return {TEXT: self._text(signal.prompt, previous), ACTION: self._action(signal.action or NO_ACTION)}

    def _set_up(self, network: TinyWorldNetwork) -> None:
        super().__init__(
            network.transformer,
            text_encoder=WordEncoder(network.words),
            geometry=wan_geometry(network.config, height=SIZE, width=SIZE, fps=FPS),
        )
        with torch.no_grad():
            rows = network.actions.weight.detach().clone()
            self._actions = {name: Condition(rows[index].view(1, 1, -1)) for index, name in enumerate(ACTIONS)}

    def _text(self, prompt: str | None, previous: Conditions | None) -> Condition:
        before = None if previous is None else previous[TEXT]
        if prompt is None:
            return before if before is not None else self._said(Scene())
        try:
            return self._said(parse(prompt, default=None if before is None else parse(before.memo)))
        except ValueError as error:
            raise SignalError(str(error)) from error

    def _said(self, scene: Scene) -> Condition:
        """The text part; its memo is the plain prompt, so that a later prompt may name only what changes."""
        prompt = canonical(scene)
        return Condition(self.encode_text(prompt).tokens, memo=prompt)

    def _action(self, name: str) -> Condition:
        if name not in self._actions:
            raise SignalError(
                f"There is no action '{name}'.{nearest(name, ACTIONS)} Tinyworld knows {', '.join(ACTIONS)}."
            )
        return self._actions[name]
