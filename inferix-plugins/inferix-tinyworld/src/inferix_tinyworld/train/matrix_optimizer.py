"""Muon for the matrices inside the blocks, AdamW for everything else, behind the face of one optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class MatrixOptimizer:
    """Steps both; the learning rate set in `param_groups` is AdamW's, Muon's follows at a fixed ratio."""

    def __init__(
        self,
        matrices: Sequence[Tensor],
        others: Sequence[Tensor],
        *,
        ratio: float,
        learning_rate: float,
        weight_decay: float,
    ) -> None:
        self._ratio = ratio
        self._adamw = torch.optim.AdamW(
            list(others), lr=learning_rate, betas=(0.9, 0.95), weight_decay=weight_decay, foreach=True
        )
        self._muon = torch.optim.Muon(list(matrices), lr=learning_rate * ratio, weight_decay=weight_decay)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """AdamW's."""
        return self._adamw.param_groups

    def step(self) -> None:
        """One step of both."""
        for group in self._muon.param_groups:
            group["lr"] = self._ratio * self._adamw.param_groups[0]["lr"]
        self._adamw.step()
        self._muon.step()  # type: ignore[no-untyped-call]

    def state_dict(self) -> dict[str, Any]:
        """The state of both."""
        return {"adamw": self._adamw.state_dict(), "muon": self._muon.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what `state_dict` gave."""
        self._adamw.load_state_dict(state["adamw"])
        self._muon.load_state_dict(state["muon"])
