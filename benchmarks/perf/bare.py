"""The least that runs an artifact: load it, time the runtime's own calls. Knows nothing of edgeworthy.

``python bare.py RUNTIME`` imports the runtime and then forks for every JSON line on standard input (``artifact``,
``inputs``, ``batch``, ``count``), so that its loads are as fresh, and its process as lean, as the harness's.
Each answer is a JSON list of nanoseconds: with batch 1, of ``count`` inferences of an input that is set once; with a
larger batch, of ``count`` times setting the next batch, invoking, and getting its answer, all made ready before.
"""

import itertools
import json
import os
import sys
import time

import numpy as np

WARMUP = 5


def litert(artifact, images, batch):
    """The calls that run a .tflite with XNNPACK on one thread."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(artifact, num_threads=1)
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.resize_tensor_input(taken["index"], (batch, *taken["shape"][1:]))
    interpreter.allocate_tensors()
    if np.issubdtype(taken["dtype"], np.integer):
        scale, zero_point = taken["quantization"]
        images = np.round(images / scale) + zero_point
    batches = _batches(images.astype(taken["dtype"]), batch)
    interpreter.set_tensor(taken["index"], next(batches))

    def run():
        interpreter.set_tensor(taken["index"], next(batches))
        interpreter.invoke()
        interpreter.get_tensor(given["index"])

    return interpreter.invoke if batch == 1 else run


def onnxruntime(artifact, images, batch):
    """The call that runs an .onnx on the CPU with one thread."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(artifact, options, providers=["CPUExecutionProvider"])
    taken = session.get_inputs()[0]
    nchw = taken.shape[1] == images.shape[3]
    batches = _batches(np.ascontiguousarray(images.transpose(0, 3, 1, 2) if nchw else images), batch)
    names, once = [session.get_outputs()[0].name], {taken.name: next(batches)}
    if batch == 1:
        return lambda: session.run(names, once)
    return lambda: session.run(names, {taken.name: next(batches)})


def _batches(native, batch):
    """Whole batches of the samples, over and over."""
    return itertools.cycle([native[i : i + batch] for i in range(0, len(native) - batch + 1, batch)])


def times_ns(invoke, count):
    """Nanoseconds of ``count`` calls, after a few that are not timed."""
    for _ in range(WARMUP):
        invoke()
    taken, clock = [], time.perf_counter_ns
    for _ in range(count):
        start = clock()
        invoke()
        taken.append(clock() - start)
    return taken


RUNTIMES = {"litert": litert, "onnxruntime": onnxruntime}


def serve(runtime):
    """Answer every job on standard input from a child of its own."""
    __import__({"litert": "ai_edge_litert.interpreter"}.get(runtime, runtime))
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            job = json.loads(line)
            invoke = RUNTIMES[runtime](job["artifact"], np.load(job["inputs"]), job["batch"])
            print(json.dumps(times_ns(invoke, job["count"])), flush=True)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            sys.exit("the bare loop failed")


if __name__ == "__main__":
    serve(sys.argv[1])
