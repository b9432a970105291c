"""edgegate: accuracy and latency gates for quantized models.

The folders tell the story of the data, each importing only what stands before it:
``sources -> variants -> targets -> measurements -> verdicts -> reports``.
"""
