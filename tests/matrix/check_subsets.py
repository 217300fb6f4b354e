"""What each subset of our packages can do, and what it says of what it cannot. `nox -s subsets` runs this."""

from __future__ import annotations

import json
import zipfile
from email.parser import Parser
from pathlib import Path

import av
import numpy as np
import pytest
from place import Place, Wheels, packages

CORE = ("inferix-core",)
WAN = (*CORE, "inferix-wan")
MAGI = (*CORE, "inferix-magi")
KVSTORE = (*WAN, "inferix-kvstore")
METAPACKAGE = "inferix"
TINY = ("--model", "self-forcing", "--preset", "tiny-random", "--seconds", "0.5")


def plugins(place: Place) -> dict[str, str]:
    """Distribution to state."""
    rows = json.loads(place.run("inferix", "plugins", "list", "--json").stdout)
    return {row["distribution"]: row["state"] for row in rows}


def refused(place: Place, *arguments: str, cwd: Path) -> str:
    """What the command says, which must be the user's mistake and leave nothing behind."""
    said = place.run("inferix", *arguments, cwd=cwd, code=2).stderr
    assert list(cwd.iterdir()) == []
    return " ".join(said.split())


@pytest.mark.parametrize("project", [path.name for path in packages()])
def test_a_wheel_holds_what_a_publisher_needs_and_no_tests(wheels: Wheels, project: str) -> None:
    with zipfile.ZipFile(wheels[project]) as wheel:
        names = wheel.namelist()
        (metadata_name,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(wheel.read(metadata_name).decode())
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Summary"]
    assert "LICENSE" in metadata.get_all("License-File", [])
    assert str(metadata.get_payload()).startswith(f"# {project}\n")
    assert all("@" not in requirement for requirement in metadata.get_all("Requires-Dist", []))
    assert not [name for name in names if Path(name).name.startswith("test_") and name.endswith(".py")]
    if project != METAPACKAGE:
        package = project.replace("-", "_")
        assert {f"{package}/plugin.py", f"{package}/py.typed"} <= set(names)


def test_the_core_alone_lists_itself_and_requires_none_of_its_dependants(place: Place) -> None:
    place.holds(*CORE)
    assert plugins(place) == {"inferix-core": "ready"}
    assert place.unmet_requirements() == ""


def test_the_core_alone_describes_what_it_has(place: Place) -> None:
    place.holds(*CORE)
    schema = json.loads(place.run("inferix", "schema").stdout)
    assert {"kv-store.inferix-core:dense", "kv-policy.inferix-core:full"} <= set(schema["$defs"])
    assert not [key for key in schema["$defs"] if "inferix-core:" not in key]
    assert "max_latents" in place.run("inferix", "plugins", "show", "kv-store", "dense").stdout


def test_the_core_alone_validates(place: Place, tmp_path: Path) -> None:
    place.holds(*CORE)
    said = refused(place, "generate", "a ball", "--set", "kv.store.max_latent=3", "-o", "a.npy", cwd=tmp_path)
    assert "kv.store.max_latent" in said
    assert "Did you mean 'max_latents'" in said


@pytest.mark.parametrize(
    ("options", "distribution"),
    [
        ((), "inferix-tinyworld"),
        (("--model", "tinyworld"), "inferix-tinyworld"),
        (("--model", "self-forcing"), "inferix-wan"),
        (("--model", "magi"), "inferix-magi"),
        (("--set", "quantizer.use=magi-fp8"), "inferix-magi"),
        (("--set", "kv.policy.use=sink-window"), "inferix-kvstore"),
        (("--set", "kv.store.use=paged"), "inferix-kvstore"),
        (("--set", "kv.codec.use=int8"), "inferix-kvstore"),
        (("--set", "quantizer.use=int8"), "inferix-quant"),
        (("--set", 'profilers=[{use="trace"}]'), "inferix-profile"),
        (("--set", "attention.use=flash"), "inferix-attention"),
        (("--set", "parallel.use=ulysses"), "inferix-parallel"),
    ],
    ids=str,
)
def test_the_core_alone_says_what_to_install_for_what_is_missing(
    place: Place, tmp_path: Path, options: tuple[str, ...], distribution: str
) -> None:
    place.holds(*CORE)
    said = refused(place, "generate", "a ball", *options, "-o", "a.npy", cwd=tmp_path)
    assert f"pip install {distribution}." in said


@pytest.mark.parametrize(("command", "distribution"), [("serve", "inferix-serve"), ("parallel", "inferix-parallel")])
def test_the_core_alone_says_what_to_install_for_a_command(
    place: Place, tmp_path: Path, command: str, distribution: str
) -> None:
    place.holds(*CORE)
    assert f"pip install {distribution}." in refused(place, command, cwd=tmp_path)


def test_the_core_and_wan_make_a_world_of_random_weights(place: Place, tmp_path: Path) -> None:
    place.holds(*WAN)
    assert place.unmet_requirements() == ""
    assert plugins(place) == {"inferix-core": "ready", "inferix-wan": "ready"}
    place.run("inferix", "generate", "a ball", *TINY, "-o", "a.npy", cwd=tmp_path)
    frames = np.load(tmp_path / "a.npy")
    assert frames.shape == (8, 64, 96, 3)
    assert frames.std() > 0


def test_the_core_and_magi_make_a_world_of_random_weights(place: Place, tmp_path: Path) -> None:
    place.holds(*MAGI)
    assert place.unmet_requirements() == ""
    assert plugins(place) == {"inferix-core": "ready", "inferix-magi": "ready"}
    tiny = ("--model", "magi", "--preset", "tiny-random", "--seconds", "1")
    place.run("inferix", "generate", "a ball", *tiny, "-o", "a.npy", cwd=tmp_path)
    frames = np.load(tmp_path / "a.npy")
    assert frames.shape == (24, 64, 96, 3)
    assert frames.std() > 0


def test_a_video_file_without_the_streamers_names_the_package_that_writes_it(place: Place, tmp_path: Path) -> None:
    place.holds(*WAN)
    said = refused(place, "generate", "a ball", *TINY, "-o", "x.mp4", cwd=tmp_path)
    assert "Accepted: .npy." in said
    assert "pip install inferix-stream" in said


def test_a_real_preset_without_its_policy_names_the_package_that_brings_it(place: Place, tmp_path: Path) -> None:
    place.holds(*WAN)
    said = refused(place, "generate", "a ball", "--model", "self-forcing", "-o", "a.npy", cwd=tmp_path)
    assert "No KV policy is called 'sink-window'" in said
    assert "pip install inferix-kvstore." in said


def test_with_kvstore_the_real_preset_lacks_nothing_but_its_weights(place: Place, tmp_path: Path) -> None:
    place.holds(*KVSTORE)
    assert place.unmet_requirements() == ""
    said = refused(place, "generate", "a ball", "--model", "self-forcing", "-o", "a.npy", cwd=tmp_path)
    assert "no checkpoint is given" in said
    assert "pip install" not in said


def test_with_kvstore_a_window_changes_what_a_long_world_shows(place: Place, tmp_path: Path) -> None:
    place.holds(*KVSTORE)
    window = "kv.policy={use='sink-window',num_sink_latents=0,num_window_latents=3}"
    for name, options in (("full", ()), ("window", ("--set", window))):
        place.run("inferix", "generate", "a ball", *TINY[:-1], "1.5", *options, "-o", f"{name}.npy", cwd=tmp_path)
    full, bounded = np.load(tmp_path / "full.npy"), np.load(tmp_path / "window.npy")
    assert full.shape == bounded.shape
    assert (full[:9] == bounded[:9]).all()
    assert (full[9:] != bounded[9:]).any()


def test_the_metapackage_brings_all_that_it_needs_and_a_video(place: Place, tmp_path: Path) -> None:
    place.holds(METAPACKAGE, *KVSTORE, "inferix-stream", "inferix-tinyworld")
    assert place.unmet_requirements() == ""
    place.run("inferix", "generate", "a red ball bounces", "--seconds", "1", "-o", "a.mp4", cwd=tmp_path)
    with av.open(str(tmp_path / "a.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 16


def test_all_packages_are_ready_together(place: Place) -> None:
    place.holds(*(path.name for path in packages()))
    assert place.unmet_requirements() == ""
    found = plugins(place)
    assert set(found) == {path.name for path in packages()} - {METAPACKAGE}
    assert set(found.values()) == {"ready"}


def test_describing_all_packages_loads_no_tensor_library(place: Place) -> None:
    place.holds(*(path.name for path in packages()))
    code = (
        "import sys; from inferix_core.cli import application; "
        "assert application.run(['plugins', 'list']) == application.run(['schema']) == 0; "
        "print('torch' in sys.modules)"
    )
    assert place.run("python", "-c", code).stdout.splitlines()[-1] == "False"
