"""Functions and classes of the user's: imported, keyed and kept by the files that they consist of."""
