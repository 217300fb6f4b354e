import pytest
import torch
from inferix_core.runtime.threads import cpu_threads


def test_the_body_runs_with_its_threads_and_the_process_keeps_its_own() -> None:
    before = torch.get_num_threads()
    with cpu_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_a_failing_body_gives_the_threads_back() -> None:
    before = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt), cpu_threads(before + 1):
        raise KeyboardInterrupt
    assert torch.get_num_threads() == before
