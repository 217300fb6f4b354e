"""The states of plugins, and that no bad one harms another."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from inferix_core.catalog import Catalog, PluginRecord, State
from inferix_core.specs import Kind
from loguru import logger

from .conftest import Install

STORE = """
@hookimpl
def inferix_kv_stores():
    yield Spec(name="{name}", summary="A store.", implementation="nowhere:Store")
"""


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What the core logs while the test runs."""
    messages: list[str] = []
    sink = logger.add(lambda message: messages.append(str(message)), level="WARNING", format="{message}")
    logger.enable("inferix_core")
    yield messages
    logger.remove(sink)
    logger.disable("inferix_core")


def record(catalog: Catalog, distribution: str) -> PluginRecord:
    return next(one for one in catalog.plugins if one.distribution == distribution)


def core_still_works(catalog: Catalog) -> bool:
    return record(catalog, "inferix-core").state is State.READY and catalog.choose(Kind.KV_STORE, "dense") is not None


def test_the_defaults_of_the_core_come_through_its_entry_point(site: object) -> None:
    catalog = Catalog.discover(only=())
    names = {(one.kind, one.name) for kind in Kind for one in catalog.components(kind)}
    assert names == {
        (Kind.ATTENTION, "sdpa"),
        (Kind.KV_STORE, "dense"),
        (Kind.KV_POLICY, "full"),
        (Kind.KV_CODEC, "none"),
        (Kind.STREAMER, "npy"),
    }


def test_the_defaults_of_the_core_disappear_without_its_entry_point(site: object) -> None:
    catalog = Catalog.discover(only=(), without=["inferix-core"])
    assert catalog.components(Kind.KV_STORE) == ()


def test_a_good_plugin_is_ready_and_its_components_can_be_chosen(install: Install) -> None:
    install("acme-kv", STORE.format(name="acme"), version="2.1", requires=("inferix-core>=0.1.0,<0.3",))
    catalog = Catalog.discover()
    component = catalog.choose(Kind.KV_STORE, "acme")
    assert record(catalog, "acme-kv").state is State.READY
    assert (component.distribution, component.version, component.plugin) == ("acme-kv", "2.1", "acme-kv")
    assert catalog.choose(Kind.KV_STORE, "acme-kv:acme") == component


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("raise RuntimeError('no luck')", "RuntimeError: no luck"),
        ("import not_there_at_all", "not_there_at_all"),
        ("raise SystemExit(3)", "SystemExit"),
        ("def broken(:", "SyntaxError"),
        ("@hookimpl\ndef inferix_modles(): return []", "Did you mean 'inferix_models'"),
        ("def inferix_models(): return []", "@hookimpl"),
        ("@hookimpl\ndef inferix_frames(blocks): pass", "inferix_frames(block)"),
        ("@hookimpl\ndef inferix_run_pass(run): pass", "wrapper=True"),
        ("@hookimpl\ndef inferix_models(): raise ValueError('inside')", "ValueError: inside"),
        ("@hookimpl\ndef inferix_models(): return 3", "found int"),
        ("@hookimpl\ndef inferix_models(): return ['tiny']", "must yield ModelSpec, found str"),
        ("@hookimpl\ndef inferix_models(): yield Spec('a', 'b', 'c:d')", "must yield ModelSpec, found Spec"),
        ("@hookimpl\ndef inferix_kv_codecs(): yield Spec('A b', 's', 'c:d')", "lower-case"),
        ("@hookimpl\ndef inferix_kv_codecs(): yield Spec('a', 's', 'c.d')", "package.module:attribute"),
        ("@hookimpl\ndef inferix_kv_codecs(): yield Spec('a', 's', 'c:d', config=dict)", "ComponentConfig"),
        ("@hookimpl\ndef inferix_kv_codecs(): yield Spec('a', 's', 'c:d', provides='fork')", "frozenset"),
        (
            "@hookimpl\ndef inferix_kv_codecs(): return [Spec('a', 's', 'c:d')] * 2",
            "two KV codecs called 'a'",
        ),
        (
            (
                "class Bad(ComponentConfig):\n    bits: int = Field(0, ge=1)\n"
                "@hookimpl\ndef inferix_kv_codecs(): yield Spec('a', 's', 'c:d', config=Bad)"
            ),
            "bad default for 'bits'",
        ),
        (
            (
                "class Bad(ComponentConfig):\n    use: int = 1\n"
                "@hookimpl\ndef inferix_kv_codecs(): yield Spec('a', 's', 'c:d', config=Bad)"
            ),
            "'use'",
        ),
    ],
)
def test_a_faulty_plugin_is_broken_with_a_reason_and_harms_nothing(install: Install, source: str, told: str) -> None:
    path = install("acme-bad")
    path.write_text(path.read_text() + source + "\n")
    catalog = Catalog.discover()
    bad = record(catalog, "acme-bad")
    assert bad.state is State.BROKEN
    assert told in bad.reason
    assert core_still_works(catalog)


def test_an_entry_point_that_is_no_reference_is_broken(install: Install) -> None:
    install("acme-bad", target="not-a-module!")
    catalog = Catalog.discover()
    assert record(catalog, "acme-bad").state is State.BROKEN
    assert core_still_works(catalog)


def test_a_plugin_for_another_core_is_incompatible_and_is_not_imported(install: Install) -> None:
    install("acme-old", "raise AssertionError('imported')", requires=("numpy", "Inferix_Core >=7,<8"))
    old = record(Catalog.discover(), "acme-old")
    assert old.state is State.INCOMPATIBLE
    assert "requires inferix-core <8,>=7" in old.reason
    assert "pip install --upgrade acme-old" in old.reason


def test_a_requirement_on_the_core_under_an_extra_does_not_count(install: Install) -> None:
    install("acme-extra", requires=('inferix-core>=7; extra == "next"',))
    assert record(Catalog.discover(), "acme-extra").state is State.READY


@pytest.mark.parametrize(("api", "todo"), [(0, "Upgrade the plugin"), (99, "Upgrade inferix-core")])
def test_a_spec_of_another_api_makes_the_plugin_incompatible(install: Install, api: int, todo: str) -> None:
    install("acme-api", f"@hookimpl\ndef inferix_kv_codecs(): yield Spec('a', 's', 'c:d', api={api})")
    other = record(Catalog.discover(), "acme-api")
    assert other.state is State.INCOMPATIBLE
    assert todo in other.reason


def test_two_distributions_with_one_component_name_conflict_until_the_name_is_qualified(install: Install) -> None:
    install("acme-one", STORE.format(name="paged"))
    install("acme-two", STORE.format(name="paged"))
    catalog = Catalog.discover()
    assert {record(catalog, name).state for name in ("acme-one", "acme-two")} == {State.CONFLICTING}
    with pytest.raises(Exception, match="'acme-one:paged' and 'acme-two:paged'"):
        catalog.choose(Kind.KV_STORE, "paged")
    assert catalog.choose(Kind.KV_STORE, "acme-two:paged").distribution == "acme-two"
    assert core_still_works(catalog)


def test_two_distributions_with_one_plugin_name_conflict_and_neither_wins(install: Install) -> None:
    install("acme-one", STORE.format(name="first"), entry_point="kv")
    install("acme-two", STORE.format(name="second"), entry_point="kv")
    catalog = Catalog.discover()
    for distribution, name in (("acme-one", "first"), ("acme-two", "second")):
        assert record(catalog, distribution).state is State.CONFLICTING
        assert "'acme-one:kv' and 'acme-two:kv'" in record(catalog, distribution).reason
        assert catalog.choose(Kind.KV_STORE, name).distribution == distribution


def test_disabling_one_of_two_ends_the_conflict(install: Install) -> None:
    install("acme-one", STORE.format(name="shelf"), entry_point="kv")
    install("acme-two", STORE.format(name="shelf"), entry_point="kv")
    catalog = Catalog.discover(without=["acme-two:kv"])
    assert record(catalog, "acme-one").state is State.READY
    assert catalog.choose(Kind.KV_STORE, "shelf").distribution == "acme-one"


@pytest.mark.parametrize("name", ["kv", "acme-kv", "acme-kv:kv"])
def test_a_disabled_plugin_is_not_imported(install: Install, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    install("acme-kv", "raise AssertionError('imported')", entry_point="kv")
    monkeypatch.setenv("INFERIX_DISABLE_PLUGINS", f" {name} ,")
    by_variable = record(Catalog.discover(), "acme-kv")
    monkeypatch.delenv("INFERIX_DISABLE_PLUGINS")
    by_option = record(Catalog.discover(without=[name]), "acme-kv")
    assert by_variable.state is by_option.state is State.DISABLED
    assert "INFERIX_DISABLE_PLUGINS" in by_variable.reason
    assert "--without" in by_option.reason


def test_the_allowlist_leaves_out_all_others_but_the_core(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("acme-one", STORE.format(name="first"))
    install("acme-two", "raise AssertionError('imported')")
    monkeypatch.setenv("INFERIX_PLUGINS", "acme-one")
    catalog = Catalog.discover()
    assert record(catalog, "acme-one").state is State.READY
    assert record(catalog, "acme-two").state is State.DISABLED
    assert core_still_works(catalog)


def test_a_name_that_matches_nothing_warns(site: object, monkeypatch: pytest.MonkeyPatch, warnings: list[str]) -> None:
    monkeypatch.setenv("INFERIX_PLUGINS", "core,no-such-plugin")
    Catalog.discover(without=["coer"])
    assert any("INFERIX_PLUGINS names 'no-such-plugin'" in message for message in warnings)
    assert any("--without names 'coer'" in message and "'core'" in message for message in warnings)
    assert len(warnings) == 2


def test_an_unknown_name_is_told_with_the_nearest_the_installed_and_where_more_is(install: Install) -> None:
    install("acme-kv", STORE.format(name="paged"))
    with pytest.raises(Exception, match="No KV store") as caught:
        Catalog.discover(only=["acme-kv"]).choose(Kind.KV_STORE, "pagd")
    assert str(caught.value) == (
        "No KV store is called 'pagd'. Did you mean 'paged'? Installed: dense, paged. "
        "More: pip install inferix-kvstore."
    )


def test_a_name_that_an_installed_official_distribution_lacks_is_not_told_to_install_it(install: Install) -> None:
    install("inferix-kvstore", STORE.format(name="ring"), version="0.9")
    with pytest.raises(Exception, match="No KV store is called 'paged'") as caught:
        Catalog.discover().choose(Kind.KV_STORE, "paged")
    assert "inferix-kvstore 0.9 has none of that name" in str(caught.value)
    assert "pip install" not in str(caught.value)


def test_an_unknown_name_whose_plugin_is_broken_is_told_with_that_reason(install: Install) -> None:
    install("inferix-kvstore", "raise RuntimeError('no luck')")
    with pytest.raises(Exception, match="No KV store is called 'paged'") as caught:
        Catalog.discover().choose(Kind.KV_STORE, "paged")
    assert "is broken" in str(caught.value)
    assert "no luck" in str(caught.value)
    assert "pip install inferix-kvstore" not in str(caught.value)


def test_the_digest_changes_with_a_version_and_not_with_the_order_of_the_path(install: Install, site: object) -> None:
    alone = Catalog.discover(only=()).digest()
    assert Catalog.discover(only=()).digest() == alone
    install("acme-kv", STORE.format(name="paged"))
    assert Catalog.discover(only=["acme-kv"]).digest() != alone


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("world.npy", "npy"),
        ("a/b/WORLD.NPY", "npy"),
        ("rtmp://host/live", "net"),
        ("frames/", "pictures"),
        ("frames", "pictures"),
    ],
)
def test_a_streamer_is_chosen_by_suffix_scheme_or_folder(install: Install, target: str, name: str) -> None:
    install(
        "acme-stream",
        """
        @hookimpl
        def inferix_streamers():
            yield StreamerSpec("net", "s", "a:b", targets=("rtmp://",))
            yield StreamerSpec("pictures", "s", "a:b", targets=("folder",))
        """,
    )
    assert Catalog.discover(only=["acme-stream"]).streamer_for(target).name == name


def test_an_existing_folder_is_a_folder_whatever_its_name(install: Install, tmp_path: object) -> None:
    install(
        "acme-stream", "@hookimpl\ndef inferix_streamers(): yield StreamerSpec('p', 's', 'a:b', targets=('folder',))"
    )
    assert Catalog.discover(only=["acme-stream"]).streamer_for(str(tmp_path)).name == "p"
    assert Catalog.discover(only=["acme-stream"]).streamer_for(f"{tmp_path}/x.npy").name == "npy"


def test_an_unknown_suffix_is_told_with_what_is_accepted_and_what_to_install(site: object) -> None:
    with pytest.raises(Exception, match=r"\.mp4") as caught:
        Catalog.discover(only=()).streamer_for("world.mp4")
    assert "Accepted: .npy." in str(caught.value)
    assert "pip install inferix-stream" in str(caught.value)
