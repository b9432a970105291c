"""One run from its plan to its reports, by pytest or by ``edgeworthy run``."""
