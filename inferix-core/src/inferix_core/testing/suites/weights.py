"""The rules of weights families: what `inferix weights` is told of a family's files must agree with itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from inferix_core.catalog.conformance import HEAVY
from inferix_core.checkpoints import Family, LazyTensor, Release, Shape, Shapes
from inferix_core.checkpoints.family import TOKENIZER, Kind
from inferix_core.checkpoints.survey import Found
from inferix_core.checkpoints.tensors import BYTES_PER_VALUE
from inferix_core.specs import ComponentConfig, Spec
from inferix_core.testing.suites.base import Suite, rule

_STRANGE: tuple[Shapes, ...] = ({}, {"weight": (3, 4)}, {"trunk.0.gate.weight": (8, 8), "trunk.0.gate.bias": (8,)})
"""Tensors that belong to no family."""
_GENERATOR = "generator"


class WeightsSuite(Suite):
    """Set `implementation`, where the family is built, as the spec says: `"my_package.weights:family"`.

    Supply `other_layouts` where the family's `official` understands files of another layout.
    """

    implementation: str

    def family(self) -> Family:
        """The family, built as the core builds it."""
        spec = Spec("tested", "The family that is tested.", self.implementation)
        family: Family = spec.load()(ComponentConfig())
        return family

    def other_layouts(self) -> Mapping[str, Shapes]:
        """Official network to the tensors that stand for it in another layout; none unless a subclass says so."""
        return {}

    @rule
    def test_describing_a_family_loads_no_tensor_library(self) -> None:
        module, _, name = self.implementation.partition(":")
        code = (
            "import importlib, sys\nfrom inferix_core.specs import ComponentConfig\n"
            f"family = importlib.import_module({module!r}).{name}(ComponentConfig())\n"
            "for shapes in family.networks.values(): family.recognised(shapes())\n"
            f"print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr
        assert not done.stdout.strip(), f"`inferix weights` would load {done.stdout.strip()}"

    @rule
    def test_every_network_is_recognised_as_what_it_is(self) -> None:
        family = self.family()
        for name, shapes in family.networks.items():
            kind = family.recognised(shapes())
            assert kind is not None, f"'{name}' is not recognised"
            assert kind.network == name, f"'{name}' is taken for {kind.label}"
            assert kind.is_certain, f"a dimension of '{name}' is not found: {kind.dimensions}"

    @rule
    def test_a_network_of_another_size_is_not_taken_for_an_official_one(self) -> None:
        family = self.family()
        for name, shapes in family.networks.items():
            kind = family.recognised({tensor: _doubled(shape) for tensor, shape in shapes().items()})
            assert kind is None or kind.network is None, f"one of twice the size is taken for '{name}'"

    @rule
    def test_tensors_of_other_families_are_not_recognised(self) -> None:
        family = self.family()
        for shapes in _STRANGE:
            assert family.recognised(shapes) is None, f"{sorted(shapes)} are taken for a network of {family.label}"

    @rule
    def test_files_of_damaged_shapes_are_looked_at_without_an_error(self) -> None:
        family = self.family()
        for shapes in family.networks.values():
            family.recognised(dict.fromkeys(shapes(), ()))

    @rule
    def test_official_tensors_stay_as_they_are(self) -> None:
        family = self.family()
        for name, shapes in family.networks.items():
            tensors = _unread(shapes(), family)
            given = dict(tensors)
            official = family.official(tensors)
            assert tensors == given, f"the tensors of '{name}' that were handed in are modified"
            assert dict(official) == given, f"the tensors of '{name}' become others, though they are official"

    @rule
    def test_other_layouts_become_the_official_one(self) -> None:
        family = self.family()
        for name, shapes in self.other_layouts().items():
            official = family.official(_unread(shapes, family))
            found = {tensor: tuple(value.shape) for tensor, value in official.items()}
            read = {tensor: shape for tensor, shape in found.items() if not tensor.startswith(family.unread)}
            assert read == family.networks[name](), f"'{name}' in the other layout has other tensors"

    @rule
    def test_every_network_can_be_read_whole(self) -> None:
        family = self.family()
        for name, shapes in family.networks.items():
            left_out = [tensor for tensor in shapes() if family.unread and tensor.startswith(family.unread)]
            assert not left_out, f"'{name}' needs tensors that are said not to be read: {left_out[:3]}"

    @rule
    def test_every_release_takes_networks_that_are_its_parts(self) -> None:
        family, kinds = self.family(), self._kinds()
        for name, release in _all_releases(family):
            unknown = [network for network in release.networks if network not in kinds]
            assert not unknown, f"'{name}' takes networks that nothing describes: {unknown}"
            found = [
                Found(Path(network), kinds[network].part, family, network, state_dict=_state_dict_for(release))
                for network in release.networks
            ]
            strange = [str(each.path) for each in found if not each.fits(release, family)]
            assert not strange, f"'{name}' takes networks of parts that it does not have: {strange}"
            lacking = set(release.parts) - {each.part for each in found} - {TOKENIZER}
            assert not lacking, f"'{name}' has parts for which it takes no network: {sorted(lacking)}"
            assert release.parts, f"'{name}' has no parts"

    @rule
    def test_names_of_releases_and_decoders_are_taken_once(self) -> None:
        family = self.family()
        twice = sorted(set(family.releases).intersection(family.decoders))
        assert not twice, f"releases and decoders are both called {twice}"

    @rule
    def test_releases_of_one_model_say_how_each_is_asked_for(self) -> None:
        family = self.family()
        for name, release in family.releases.items():
            others = [other for other in family.releases.values() if other.model == release.model]
            assert len(others) == 1 or release.setting, f"'{name}' is one of several of its model, and has no setting"

    @rule
    def test_every_source_says_what_it_is_of_and_under_which_licence(self) -> None:
        for name, release in _all_releases(self.family()):
            parts = [source.part for source in release.sources]
            assert len(set(parts)) == len(parts), f"'{name}' has two sources of one part"
            assert set(parts) <= set(release.parts), f"'{name}' has sources of parts that it does not have"
            for source in release.sources:
                assert source.licence.strip(), f"the {source.part} of '{name}' has no licence"
                assert len([part for part in source.repository.split("/") if part]) == 2, source.repository
                assert all(source.patterns or [""]), f"the {source.part} of '{name}' has no files"

    @rule
    def test_every_part_has_a_place(self) -> None:
        family = self.family()
        lost = sorted({kind.part for kind in self._kinds().values() if not family.places.get(kind.part)})
        assert not lost, f"no place is known for {lost}"
        outside = [place for places in family.places.values() for place in places if ".." in place or place[:1] == "/"]
        assert not outside, f"places are below a folder: {outside}"

    @rule
    def test_tokenizers_can_be_told(self) -> None:
        family = self.family()
        needing = [name for name, release in _all_releases(family) if TOKENIZER in release.parts]
        assert family.tokenizers or not needing, f"{needing} need a tokenizer, and none is described"
        for tokenizer in family.tokenizers:
            assert min(len(tokenizer.folders), len(tokenizer.files)) > 0, f"nothing tells {tokenizer.label}"

    @rule
    def test_dtypes_are_known_by_their_names(self) -> None:
        dtypes = self.family().dtypes
        assert dtypes, "weights may have no dtype at all"
        unknown = [dtype for dtype in dtypes if dtype not in BYTES_PER_VALUE]
        assert not unknown, f"no dtypes of files: {unknown}; there are {', '.join(BYTES_PER_VALUE)}"

    @rule
    def test_what_cannot_be_told_from_names_is_said(self) -> None:
        family = self.family()
        from_trainers = {
            each for release in family.releases.values() if release.from_trainer for each in release.networks
        }
        bare = {each for release in family.releases.values() if not release.from_trainer for each in release.networks}
        assert family.ambiguity or not from_trainers & bare, "one network is taken bare and from a trainer's file"

    def _kinds(self) -> dict[str, Kind]:
        """What the family says of each of its networks; those that it does not know are another rule's concern."""
        family = self.family()
        kinds = {name: family.recognised(shapes()) for name, shapes in family.networks.items()}
        return {name: kind for name, kind in kinds.items() if kind is not None}


def _all_releases(family: Family) -> Iterator[tuple[str, Release]]:
    yield from family.releases.items()
    yield from family.decoders.items()


def _state_dict_for(release: Release) -> str | None:
    return _GENERATOR if release.from_trainer else None


def _doubled(shape: Shape) -> Shape:
    return tuple(2 * length for length in shape)


def _unread(shapes: Mapping[str, Shape], family: Family) -> dict[str, LazyTensor]:
    """Tensors that are known by shape and dtype, and that fail a rule which reads them."""

    def read() -> None:
        raise AssertionError("what a file is is told by names and shapes: weights are not read for it")

    return {name: LazyTensor(shape, family.dtypes[0], read) for name, shape in shapes.items()}  # type: ignore[arg-type]
