"""Run one artifact with LiteRT, ONNX Runtime, torch or a user's class: the program that executes on the host, and on a board.

It needs only Python, numpy and the artifact's runtime: this package imports nothing of edgeworthy, and a board is sent it
as one file. Two ways to start it, from the folder ``runners`` here or from that file:

``python runners run JOB.json``
    one job in this process;
``python runners serve MODULE [CODE]``
    import the runtime's module once, then for every path of a job that comes on standard input fork a child that runs it.
    Answers ``{"pid": N}`` and, when that child has ended, ``{"status": N}`` (as ``os.waitstatus_to_exitcode`` says).

A job is JSON: ``runtime`` (what runs the artifact, which may be another engine than its own runtime), ``module`` (what is
imported to run it), ``class`` (the user's class in that module, else None), ``code`` (of the user's files that the module is
in: their folder when served, a zip of them for ``run``; else None), ``artifact``, ``layout``, ``outputs`` (the names of
several, in the order in which they are wanted; [] of a single one), ``state`` (input -> the output that it is given back at the
step after), ``inputs`` (a file of samples, the ``steps`` that follow and, where a model takes several, what each is called, and
where its values stand in a row; a sample is a sequence where one of them is ``stepped``, whose state the artifact keeps inside
where ``state`` is {}; with ``last`` its last step alone is wanted; where samples have different sizes, each one's own stand in
its row, and ``timed`` is the one that is timed), ``input_names`` (what the artifact calls these; {} of a single one),
``threads``, ``cores``, ``delegate``, ``providers`` (ONNX Runtime's), ``mode`` (``outputs``, ``timing``, ``interleaved`` or
``op_times``), ``out`` (a folder), ``log`` (the file that standard error is written to), ``random_seed`` (None unless the model
may be random), optionally ``ep`` (a provider that a package of its own brings to ONNX Runtime, in place of ``providers``:
``package``, ``name``, ``options``, whether it may leave nodes to the processor, ``fallback``, and whether it may be
``emulated``), ``compiled_model`` (how LiteRT's CompiledModel is to run it: ``accelerator``, ``precision``, ``fallback`` and
``emulated``), of an Ethos-U ``accelerator``, ``system_config`` and ``memory_mode``, ``batch`` (1: no larger one is tried),
``evidence`` (outputs: with what the backend took of the graph) and, for timing, ``loads``, ``samples_per_load``,
``min_load_ms``, ``warmup``. For ``interleaved`` there are two ``sides``, each with its own ``artifact``, ``layout`` and
``injected_delay_ns``, and ``rounds`` in place of ``loads``. The result is ``out/arrays.npz`` and then ``out/result.json``; what
went wrong is ``{"error": {"kind": ..., "message": ...}}`` there.
"""
