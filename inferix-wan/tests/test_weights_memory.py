"""Loading takes about one copy of memory, from every container that can be mapped."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from inferix_wan.transformer import TransformerConfig
from inferix_wan.transformer.transformer import WanTransformer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="anonymous memory is read from /proc")

LOADER = """
import sys, threading, torch
from inferix_wan.transformer import TransformerConfig
from inferix_wan.transformer.transformer import WanTransformer
from inferix_wan.weights import load_weights

def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))

def watch():
    while not done.wait(0.002):
        peaks.append(anonymous())

def measure(path, dtype, shape):
    with torch.device("meta"):
        network = WanTransformer(TransformerConfig(**eval(shape)))
    global peaks, done
    done, peaks = threading.Event(), []
    before = anonymous()
    watcher = threading.Thread(target=watch)
    watcher.start()
    load_weights(network, path, device=torch.device("cpu"), dtype=dtype)
    done.set()
    watcher.join()
    print(max([*peaks, anonymous()]) - before, sum(value.nbytes for value in network.state_dict().values()))

torch.zeros(8).to(torch.bfloat16)  # what torch allocates once is none of ours
for path, dtype, shape in zip(sys.argv[1::3], sys.argv[2::3], sys.argv[3::3]):
    measure(path, getattr(torch, dtype), shape)
"""
SHAPES = {
    num_layers: {"dim": 1024, "ffn_dim": 4096, "num_heads": 8, "num_layers": num_layers, "text_dim": 64}
    for num_layers in (14, 4)
}


def write(path: Path, num_layers: int) -> int:
    """Zeros in float32, 1 GB for 14 layers, most of it a hole in the file where the format allows that; its size."""
    with torch.device("meta"):
        state = WanTransformer(TransformerConfig(**SHAPES[num_layers])).state_dict()
    if path.suffix == ".pt":
        torch.save(
            {"generator_ema": {f"model.{name}": torch.zeros(value.shape) for name, value in state.items()}}, path
        )
        return path.stat().st_size
    entries, end = {}, 0
    for name, value in state.items():
        begin, end = end, end + value.nbytes
        entries[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [begin, end]}
    header = json.dumps(entries).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + end)
    return path.stat().st_size


def test_peak_memory_is_one_copy_in_the_dtype_of_the_model(tmp_path: Path) -> None:
    cases = [(tmp_path / "w.safetensors", "bfloat16", 14), (tmp_path / "w.pt", "float32", 4)]
    arguments = [part for path, dtype, layers in cases for part in (str(path), dtype, repr(SHAPES[layers]))]
    try:
        sizes = [write(path, layers) for path, _, layers in cases]
        command = [sys.executable, "-c", LOADER, *arguments]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
    finally:
        for path, _, _ in cases:
            path.unlink(missing_ok=True)
    for (path, dtype, _), size, line in zip(cases, sizes, result.stdout.splitlines(), strict=True):
        grown, one_copy = map(int, line.split())
        print(f"{path.name} to {dtype}: memory grew by {grown / 1e6:.0f} MB, weights {one_copy / 1e6:.0f} MB")
        assert one_copy == pytest.approx(size / (2 if dtype == "bfloat16" else 1), rel=0.01)
        assert grown < 1.1 * one_copy + 30e6
