"""The lowest versions of what is pure Python that our packages accept are true: their tests pass with them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from bounds import lowest
from place import ROOT, Place

TESTED = ("inferix-core", "inferix-kvstore", "inferix-magi", "inferix-plugins/inferix-profile")


@pytest.fixture(scope="module")
def lowest_place(place: Place) -> Iterator[Place]:
    """All packages beside the lowest versions."""
    place.holds("inferix-core", "inferix-kvstore", "inferix-wan", "inferix-magi", "inferix-profile")
    place.holds_third_parties(*(f"{name}=={version}" for name, version in lowest().items()))
    yield place
    place.drops_third_parties()


def test_the_lowest_versions_are_what_is_imported(lowest_place: Place) -> None:
    code = "import importlib.metadata as m, json, sys; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    found = json.loads(lowest_place.run("python", "-c", code, *lowest()).stdout)
    wanted = {name: version.release for name, version in lowest().items()}
    shown = {name: tuple(map(int, version.split(".")[: len(wanted[name])])) for name, version in found.items()}
    assert shown == wanted


@pytest.mark.parametrize("project", TESTED)
def test_the_tests_of_a_package_pass(lowest_place: Place, project: str) -> None:
    without_timing = ("-k", "not costs_little")
    options = ("-q", "-p", "no:cacheprovider", *without_timing)
    lowest_place.run("python", "-m", "pytest", *options, str(ROOT / project / "tests"), cwd=ROOT, timeout=1200)
