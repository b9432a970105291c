"""Programs that run on the device; each stands alone."""
