"""The command keeps the rules of commands, and the plugin those of plugins."""

from inferix_core.testing.suites import CommandSuite, PluginSuite


class TestCommand(CommandSuite):
    module = "inferix_serve.plugin"
    heavy = (*CommandSuite.heavy, "fastapi", "uvicorn", "PIL", "numpy")
    mistakes = (
        ("serve", "--set", "serve.limits.max_worlds=none"),
        ("serve", "--set", "serve=3"),
        ("serve", "--config", "no-such-file.toml"),
        ("serve", "--record", "no-such-script.toml"),
    )


class TestPlugin(PluginSuite):
    module = "inferix_serve.plugin"
    distribution = "inferix-serve"
