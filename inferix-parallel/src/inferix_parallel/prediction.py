"""What a block costs on a topology under given degrees: time, bytes on the wire, memory. Free of torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inferix_core.contracts.workload import PassShape, Workload

from inferix_parallel.configuration import Passing
from inferix_parallel.degrees import Degrees, stages
from inferix_parallel.topology import Topology
from inferix_parallel.traffic import Attended, LayerTraffic, layer_traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Of one block, for the rank that has most of each: seconds, and bytes sent, of keys and values, and of weights."""

    compute_seconds: float
    talk_seconds: float
    sent_bytes: float
    kv_bytes: float
    weight_bytes: float

    @property
    def seconds(self) -> float:
        """How long the block takes; talk that hides behind computing is not in it."""
        return self.compute_seconds + self.talk_seconds


def predict(workload: Workload, topology: Topology, degrees: Degrees, *, passes: Passing = "queries") -> Prediction:
    """What spreading tokens and heads costs. `degrees` must fit the model and be as many ranks as the topology has.

    Products run at the topology's rate. All-to-alls wait for the slowest link that they cross; a round of the ring
    takes as long as the longer of its attention and its transfer.
    """
    outline, shares = workload.outline, degrees.shares(workload.outline.layout)
    attended = Attended(num_heads=outline.num_heads, layout=outline.layout, item_bytes=workload.item_bytes)
    places = _Places(topology, degrees)
    most_tokens = max(len(share.tokens) for share in shares)
    compute = talk = 0.0
    sent = [0.0] * len(shares)
    for one in workload.passes:
        traffic = layer_traffic(degrees, attended, one, passes=passes)
        attention = attention_flops(workload, one) * most_tokens / outline.layout.tokens_per_latent
        attention_seconds = attention / topology.flops_per_second
        num_layers = outline.layout.num_layers
        compute += num_layers * (
            attention_seconds
            + dense_flops(workload, one, num_tokens=most_tokens if workload.shards_tokens else None)
            / topology.flops_per_second
        )
        talk += num_layers * max(
            places.layer_seconds(rank, layer, one, attention_seconds, passes) for rank, layer in enumerate(traffic)
        )
        gathered = workload.engine_bytes(one, shares)
        num_gathers = 1 if workload.shards_tokens else num_layers
        talk += num_gathers * max(
            places.to_all_seconds(rank, num_bytes / num_gathers) for rank, num_bytes in enumerate(gathered)
        )
        sent = [
            total + num_layers * layer.total + more for total, layer, more in zip(sent, traffic, gathered, strict=True)
        ]
    return Prediction(
        compute_seconds=compute,
        talk_seconds=talk,
        sent_bytes=max(sent),
        kv_bytes=workload.num_held_latents * max(workload.page_bytes(share.layout(outline.layout)) for share in shares),
        weight_bytes=outline.num_weights * workload.item_bytes,
    )


def predict_stages(workload: Workload, topology: Topology) -> Prediction:
    """What it costs to give each rank a part of the layers.

    The blocks of a pass follow one another through the ranks, so that with b blocks and n ranks a pass takes
    b + n - 1 of its b * n parts.
    """
    outline, num_ranks = workload.outline, topology.num_ranks
    shares = stages(outline.layout, num_ranks)
    most_layers = max(len(share.layers) for share in shares)
    link = topology.within if topology.num_machines == 1 else topology.between
    compute = talk = 0.0
    sent = [0.0] * num_ranks
    for one in workload.passes:
        of_stage = most_layers * (attention_flops(workload, one) + dense_flops(workload, one))
        num_parts = len(one.entries)
        compute += of_stage / topology.flops_per_second * (num_parts + num_ranks - 1) / num_parts
        told = workload.engine_bytes(one, shares)
        talk += (num_ranks - 1) * link.seconds(told[0] / num_parts) + link.seconds(told[-1])
        sent = [total + more for total, more in zip(sent, told, strict=True)]
    return Prediction(
        compute_seconds=compute,
        talk_seconds=talk,
        sent_bytes=max(sent),
        kv_bytes=workload.num_held_latents
        * workload.page_bytes(outline.layout)
        * most_layers
        / outline.layout.num_layers,
        weight_bytes=outline.num_weights * workload.item_bytes,
    )


def attention_flops(workload: Workload, passed: PassShape) -> float:
    """Operations of one layer's attention over pages and drafts, on one rank; a multiply-add is two."""
    per_pair = 4 * workload.outline.width * workload.outline.layout.tokens_per_latent**2
    return sum(per_pair * entry.num_latents * entry.num_visible_latents for entry in passed.entries)


def dense_flops(workload: Workload, passed: PassShape, *, num_tokens: int | None = None) -> float:
    """Operations of everything else in one layer, on `num_tokens` of each latent or on all."""
    outline = workload.outline
    per_token = 2 * outline.num_layer_weights + 4 * outline.width * outline.num_condition_tokens
    return per_token * passed.num_latents * (num_tokens or outline.layout.tokens_per_latent)


@dataclass(frozen=True, slots=True)
class _Places:
    """Which ranks of a group share a machine, and what talk between them takes."""

    topology: Topology
    degrees: Degrees

    def layer_seconds(
        self, rank: int, traffic: LayerTraffic, passed: PassShape, attention_seconds: float, passes: Passing
    ) -> float:
        """What one layer's talk adds to a rank's computing."""
        row, column = divmod(rank, self.degrees.ulysses)
        heads = range(row * self.degrees.ulysses, (row + 1) * self.degrees.ulysses)
        ring = range(column, self.degrees.num_ranks, self.degrees.ulysses)
        seconds = self._all_to_all_seconds(rank, heads, traffic.exchanged)
        seconds += self._all_to_all_seconds(rank, heads, traffic.restored)
        num_hops = (self.degrees.ring - 1) * len(passed.entries)
        if num_hops:
            hop = self._hop_seconds(rank, ring, traffic.hopped / num_hops, num_messages=1 if passes == "queries" else 2)
            of_round = attention_seconds / (self.degrees.ring * len(passed.entries))
            seconds += num_hops * max(0.0, hop - of_round)
            seconds += len(passed.entries) * self._all_to_all_seconds(
                rank, ring, traffic.returned / len(passed.entries)
            )
        return seconds

    def to_all_seconds(self, rank: int, num_bytes: float) -> float:
        """What it takes to send so many bytes to all other ranks together."""
        return self._all_to_all_seconds(rank, range(self.degrees.num_ranks), num_bytes)

    def _all_to_all_seconds(self, rank: int, group: Sequence[int], num_bytes: float) -> float:
        """What equal messages to the others of a group take, so many bytes in all."""
        others = [one for one in group if one != rank]
        if not others or not num_bytes:
            return 0.0
        away = sum(not self._shares_machine(rank, one) for one in others) / len(others)
        return max(
            self.topology.within.seconds(num_bytes * (1 - away)),
            self.topology.between.seconds(num_bytes * away, num_sharing=self.topology.ranks_per_machine),
        )

    def _hop_seconds(self, rank: int, ring: Sequence[int], num_bytes: float, *, num_messages: int) -> float:
        """What a round of the ring takes: all wait for the hop that crosses machines, if one does."""
        stays = all(self._shares_machine(rank, one) for one in ring)
        if stays:
            return self.topology.within.seconds(num_bytes, num_messages=num_messages)
        leaving = min(self.degrees.ulysses, self.topology.ranks_per_machine)
        return self.topology.between.seconds(num_bytes, num_messages=num_messages, num_sharing=leaving)

    def _shares_machine(self, one: int, other: int) -> bool:
        size = self.topology.ranks_per_machine
        return one // size == other // size
