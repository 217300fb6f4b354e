"""`inferix bench`."""

from __future__ import annotations

import typer

from inferix_core.cli.bench.age import age
from inferix_core.cli.bench.engine import engine
from inferix_core.cli.bench.generate import generate
from inferix_core.cli.bench.kv import kv
from inferix_core.cli.bench.parallel import parallel
from inferix_core.cli.bench.profiler import profiler
from inferix_core.cli.bench.worlds import worlds

application = typer.Typer(no_args_is_help=True)

for _command in (generate, engine, kv, worlds, age, parallel, profiler):
    application.command()(_command)
