import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from inferix_serve import Client
from inferix_serve.hall.hall import Hall
from serve_toys import quick_hall, quick_server


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    with quick_hall(tmp_path) as made:
        yield made


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with quick_server(tmp_path) as made:
        yield made
