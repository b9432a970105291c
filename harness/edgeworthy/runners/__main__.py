"""``python runners``: the runner, started without edgeworthy."""

from python_runner.serving import main  # type: ignore[import-not-found]  # beside this file, which Python searches first

main()
