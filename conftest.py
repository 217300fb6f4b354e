"""What every test runs with: one thread, and OpenMP that does not spin while it waits."""

import os

# Before anything imports torch, which reads them once.
os.environ.setdefault("GOMP_SPINCOUNT", "0")
os.environ.setdefault("OMP_NUM_THREADS", "1")
