"""Programs that run on the device; each is one file that stands alone."""
