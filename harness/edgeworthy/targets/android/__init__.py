"""A phone as a device: TFLite's stock benchmark_model, run over a link, and what is read from its output."""
