import pytest
from inferix_core.contracts.workload import EntryShape, PassShape
from inferix_core.errors import ConfigError
from inferix_parallel.choice import Candidate, Choice, choose
from inferix_parallel.degrees import Degrees
from inferix_parallel.prediction import predict
from inferix_parallel.topology import Link
from workloads import SLOW, topology, workload


def named(choice: Choice, label: str) -> Candidate:
    return next(one for one in choice.candidates if one.label == label)


def test_heads_that_divide_are_cut_by_ulysses_on_one_machine() -> None:
    assert choose(workload(), topology(4)).chosen.label == "ulysses"


def test_heads_that_do_not_divide_are_refused_with_the_degrees_that_do() -> None:
    choice = choose(workload(), topology(8))
    refused = named(choice, "ulysses")
    assert refused.prediction is None
    assert "1, 2, 3, 4, 6 or 12" in refused.reason
    assert choice.chosen.strategy in ("ring", "hybrid")


def test_heads_of_a_prime_number_leave_the_ring() -> None:
    choice = choose(workload(num_heads=13), topology(4))
    assert choice.chosen.strategy == "ring"
    assert named(choice, "hybrid 2 x 2").prediction is None


def test_slow_links_between_machines_keep_the_heads_inside_each() -> None:
    choice = choose(workload(num_heads=8), topology(8, num_machines=2, between=Link(3e-5, 4e10)))
    assert choice.chosen.label == "hybrid 2 x 4"
    assert choose(workload(num_heads=8), topology(8)).chosen.label == "ulysses"


def test_links_that_are_too_slow_leave_one_rank() -> None:
    slow = Link(0.01, 1e6)
    choice = choose(workload(), topology(4, within=slow))
    assert choice.chosen.strategy == "none"
    assert choose(workload(), topology(4, within=slow), uses_all_ranks=True).chosen.strategy != "none"


def test_one_rank_that_would_be_faster_is_said_to_be() -> None:
    choice = choose(workload(), topology(4, within=Link(0.01, 1e6)), uses_all_ranks=True)
    assert "Use one rank" in named(choice, "none").reason


def test_what_one_rank_cannot_hold_is_spread() -> None:
    one = choose(workload(), topology(1)).chosen.prediction
    assert one is not None
    needed = one.kv_bytes + one.weight_bytes
    choice = choose(workload(), topology(4, memory_bytes=needed - 1, within=Link(0.01, 1e6)))
    assert "GiB" in named(choice, "none").reason
    assert choice.chosen.num_ranks == 4


def test_what_no_rank_can_hold_is_an_error_with_every_reason() -> None:
    with pytest.raises(ConfigError, match=r"ulysses.*GiB.*ring.*GiB"):
        choose(workload(), topology(4, memory_bytes=1e9))


def test_several_blocks_in_flight_can_follow_one_another_over_slow_links() -> None:
    plan = workload(num_entries=8, num_layers=32)
    choice = choose(plan, topology(2, within=Link(1e-3, 2e8)))
    assert choice.chosen.strategy == "pipeline"
    assert named(choose(workload(), topology(2)), "pipeline").prediction is None


def test_layers_that_must_stay_together_are_not_staged() -> None:
    plan = workload(num_entries=8, stages_layers=False)
    assert "layer-stages" in named(choose(plan, topology(2, within=SLOW)), "pipeline").reason


def test_keys_go_round_where_a_pass_sees_no_more_than_itself() -> None:
    clip = workload(num_heads=13, passes=(PassShape((EntryShape(21, 21),)),))
    assert choose(clip, topology(2)).chosen.label == "ring, keys go round"
    assert choose(workload(num_heads=13), topology(2)).chosen.label == "ring"


def test_every_candidate_has_a_reason_and_one_is_chosen() -> None:
    choice = choose(workload(), topology(8))
    assert all(one.reason for one in choice.candidates)
    assert sum(one.reason.startswith("Chosen") for one in choice.candidates) == 1
    assert choice.chosen in choice.candidates


def test_keys_and_values_are_shared_out() -> None:
    whole = predict(workload(), topology(1), Degrees()).kv_bytes
    assert predict(workload(), topology(4), Degrees(ulysses=4)).kv_bytes == whole / 4
    assert predict(workload(kv_share=0.5), topology(1), Degrees()).kv_bytes == whole / 2


def test_a_model_that_knows_nothing_of_shares_computes_all_tokens_everywhere() -> None:
    sharded = predict(workload(), topology(4), Degrees(ulysses=4))
    whole = predict(workload(shards_tokens=False), topology(4), Degrees(ulysses=4))
    assert whole.compute_seconds > 1.5 * sharded.compute_seconds
    assert whole.sent_bytes > sharded.sent_bytes


def test_two_machines_take_longer_than_one() -> None:
    degrees = Degrees(ring=2, ulysses=4)
    near, far = (predict(workload(), topology(8, num_machines=n), degrees) for n in (1, 2))
    assert far.talk_seconds > 2 * near.talk_seconds
    assert far.sent_bytes == near.sent_bytes
