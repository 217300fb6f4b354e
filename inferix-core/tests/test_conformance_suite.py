"""A suite's rules cannot be lost on the way to a subclass."""

from pathlib import Path

import pytest
from inferix_core import plugin
from inferix_core.specs import Kind
from inferix_core.testing import suites
from inferix_core.testing.suites import Suite, broken_rules, provided_by, rules_of
from inferix_core.testing.suites.base import rule

pytest_plugins = ["pytester"]


class ExampleSuite(Suite):
    value = 1

    @rule
    def test_the_value_is_one(self) -> None:
        assert self.value == 1


SUITES = {
    Kind.MODEL: suites.ModelSuite,
    Kind.KV_STORE: suites.KVStoreSuite,
    Kind.KV_POLICY: suites.KVPolicySuite,
    Kind.KV_CODEC: suites.CodecSuite,
    Kind.ATTENTION: suites.AttentionSuite,
    Kind.PLANNER: suites.PlannerSuite,
    Kind.SOLVER: suites.SolverSuite,
    Kind.DECODER: suites.DecoderSuite,
    Kind.QUANTIZER: suites.QuantizerSuite,
    Kind.STREAMER: suites.StreamerSuite,
    Kind.PROFILER: suites.ProfilerSuite,
    Kind.PARALLEL: suites.ParallelSuite,
    Kind.WEIGHTS: suites.WeightsSuite,
}
OF_NO_COMPONENT = {suites.CommandSuite, suites.PluginSuite}


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_component_has_a_suite_with_rules(kind: Kind) -> None:
    assert rules_of(SUITES[kind])


def test_every_suite_has_rules_and_a_test_of_what_breaks_them() -> None:
    offered = {suite for suite in vars(suites).values() if isinstance(suite, type) and issubclass(suite, Suite)}
    assert offered - {Suite} == {*SUITES.values(), *OF_NO_COMPONENT}
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_conformance_*.py"))
    assert [suite.__name__ for suite in offered - {Suite} if f"rules_of({suite.__name__})" not in tests] == []


def test_a_subclass_inherits_every_rule() -> None:
    class Wrong(ExampleSuite):
        value = 2

    assert rules_of(Wrong) == ("test_the_value_is_one",)
    assert broken_rules(Wrong(), Path()) == ["test_the_value_is_one"]
    assert broken_rules(ExampleSuite(), Path()) == []


def keep_silent(self: object) -> None:
    pass


@pytest.mark.parametrize("value", [keep_silent, None, 3, pytest.mark.skip(keep_silent)])
def test_replacing_a_rule_fails_when_the_class_is_made(value: object) -> None:
    with pytest.raises(TypeError, match=r"'test_the_value_is_one'.*xfail\(strict=True"):
        type("Mine", (ExampleSuite,), {"test_the_value_is_one": value})


def test_a_mixin_cannot_hide_a_rule() -> None:
    mixin = type("Mixin", (), {"test_the_value_is_one": keep_silent})
    with pytest.raises(TypeError, match="test_the_value_is_one"):
        type("Mine", (mixin, ExampleSuite), {})


def test_a_rule_can_neither_be_deleted_nor_replaced_afterwards() -> None:
    mine = type("Mine", (ExampleSuite,), {})
    with pytest.raises(TypeError, match="replaces or removes"):
        mine.test_the_value_is_one = keep_silent
    for cls in (mine, ExampleSuite):
        with pytest.raises(TypeError, match="replaces or removes"):
            del cls.test_the_value_is_one
    assert rules_of(mine) == ("test_the_value_is_one",)


@pytest.mark.parametrize("marks", [{"pytestmark": pytest.mark.skip}, {"pytestmark": [pytest.mark.xfail]}])
def test_a_class_cannot_be_left_out_as_a_whole(marks: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="hides every rule"):
        type("Mine", (ExampleSuite,), marks)


def test_a_class_cannot_be_left_out_by_a_decorator_or_a_flag() -> None:
    with pytest.raises(TypeError, match="hides every rule"):
        pytest.mark.skip(type("Mine", (ExampleSuite,), {}))
    with pytest.raises(TypeError, match="__test__"):
        type("Mine", (ExampleSuite,), {"__test__": False})


@pytest.mark.parametrize(
    "mark",
    [
        pytest.mark.xfail(reason="later"),
        pytest.mark.xfail(strict=True),
        pytest.mark.xfail(strict=True, reason="later", run=False),
        pytest.mark.xfail("1 > 0", strict=True, reason="later"),
    ],
)
def test_a_half_hearted_mark_does_not_excuse(mark: pytest.MarkDecorator) -> None:
    def replacement(self: object) -> None:
        pass

    with pytest.raises(TypeError, match="test_the_value_is_one"):
        type("Mine", (ExampleSuite,), {"test_the_value_is_one": mark(replacement)})


def test_an_excused_rule_still_runs_the_rule_of_the_suite(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_mine="""
        import pytest
        from inferix_core.testing.suites import Suite
        from inferix_core.testing.suites.base import rule

        class Example(Suite):
            value = 1

            @rule
            def test_the_value_is_one(self):
                assert self.value == 1

        class TestWrong(Example):
            value = 2

            @pytest.mark.xfail(strict=True, reason="not yet")
            def test_the_value_is_one(self):
                pass

        class TestRight(Example):
            @pytest.mark.xfail(strict=True, reason="not yet")
            def test_the_value_is_one(self):
                pass
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(xfailed=1, failed=1)  # the rule that holds although it should not is a failure


def test_abilities_are_read_from_the_spec() -> None:
    assert provided_by(plugin, "dense") == {"fork"}
    assert provided_by(plugin, "full") == frozenset()
    with pytest.raises(LookupError, match="no component called 'dens'"):
        provided_by(plugin, "dens")
