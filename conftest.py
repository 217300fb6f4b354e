"""What every test runs with: one thread, and OpenMP that does not spin while it waits."""

import os

import pytest

# Before anything imports torch, which reads them once.
os.environ.setdefault("GOMP_SPINCOUNT", "0")
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The switches of our own."""
    parser.addoption("--update-api", action="store_true", help="Write tests/api/ anew (tests/test_api.py).")
