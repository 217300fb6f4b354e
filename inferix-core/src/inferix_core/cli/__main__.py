"""`python -m inferix_core.cli`, for where the console script is not on the path."""

from inferix_core.cli import main

main()
