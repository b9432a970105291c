"""The least that runs an artifact: load it, time the runtime's own calls. Knows nothing of edgeworthy.

``python bare.py RUNTIME`` imports the runtime and then forks for every JSON line on standard input (``artifact``,
``inputs``, ``parts``, ``batch``, ``count``), so that its loads are as fresh, and its process as lean, as the harness's.
Each answer is a JSON list of nanoseconds: with batch 1, of ``count`` inferences of an input that is set once; with a
larger batch, of ``count`` times setting the next batch, invoking, and getting its answer, all made ready before.
"""

import itertools
import json
import math
import os
import sys
import time
import zipfile

import numpy as np

WARMUP = 5


def litert(artifact, rows, parts, batch):
    """The calls that run a .tflite with XNNPACK on one thread."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(artifact, num_threads=1)
    given = interpreter.get_output_details()[0]
    taken = named(interpreter, parts)
    for each, (_, _, shape) in zip(taken, parts, strict=True):
        interpreter.resize_tensor_input(each["index"], (batch, *shape))
    interpreter.allocate_tensors()
    columns = [quantized(column, each) for column, each in zip(columns_of(rows, parts), taken, strict=True)]
    batches = _batches(columns, batch)

    def feed():
        for each, values in zip(taken, next(batches), strict=True):
            interpreter.set_tensor(each["index"], values)

    def run():
        feed()
        interpreter.invoke()
        interpreter.get_tensor(given["index"])

    feed()
    return interpreter.invoke if batch == 1 else run


def compiled(artifact, rows, parts, batch):
    """The call that runs a .tflite by LiteRT's CompiledModel, on the CPU with one thread; one sample at a time."""
    from ai_edge_litert.compiled_model import CompiledModel, HardwareAccelerator

    model = CompiledModel.from_file(artifact, hardware_accel=HardwareAccelerator.CPU)
    taken, given = model.create_input_buffers(0), model.create_output_buffers(0)
    for each, column in zip(taken, columns_of(rows, parts), strict=True):
        each.write(column[:batch].astype(np.float32))
    return lambda: model.run_by_index(0, taken, given)


def named(interpreter, parts):
    """The details of the inputs in the order of the parts: by their names, where there are several."""
    if len(parts) == 1:
        return interpreter.get_input_details()
    details = interpreter.get_signature_runner().get_input_details()
    return [details[name] for name, _, _ in parts]


def quantized(values, taken):
    """Values as an input takes them."""
    scale, zero_point = taken["quantization"]
    return (np.round(values / scale) + zero_point if scale else values).astype(taken["dtype"])


def columns_of(rows, parts):
    """The values of each input (samples, ...): ``parts`` says what it is called, where it begins, and its shape."""
    flat = rows.reshape(len(rows), -1)
    return [flat[:, start : start + math.prod(shape)].reshape(-1, *shape) for _, start, shape in parts]


def onnxruntime(artifact, rows, parts, batch):
    """The call that runs an .onnx on the CPU with one thread."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(artifact, options, providers=["CPUExecutionProvider"])
    takes = {each.name: each for each in session.get_inputs()}
    inputs = [takes[name] for name, _, _ in parts] if len(parts) > 1 else list(takes.values())
    batches = _batches([as_taken(*pair) for pair in zip(columns_of(rows, parts), inputs, strict=True)], batch)

    def fed():
        return {each.name: values for each, values in zip(inputs, next(batches), strict=True)}

    names, once = [session.get_outputs()[0].name], fed()
    if batch == 1:
        return lambda: session.run(names, once)
    return lambda: session.run(names, fed())


def openvino(artifact, rows, parts, batch):
    """The call that runs an OpenVINO model on the CPU with one thread, in float32 as the harness does."""
    import openvino as ov

    core = ov.Core()
    with zipfile.ZipFile(artifact) as archive:
        model = core.read_model(archive.read("model.xml"), archive.read("model.bin"))
    columns = columns_of(rows, parts)
    model.reshape({each: ov.PartialShape([batch, *list(each.partial_shape)[1:]]) for each in model.inputs})
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    settings["ENABLE_CPU_PINNING"] = False
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    batches = _batches([as_placed(*pair) for pair in zip(columns, model.inputs, strict=True)], batch)

    def fed():
        held = next(batches)  # as long as they are shared
        for place, values in enumerate(held):
            request.set_input_tensor(place, ov.Tensor(values, shared_memory=True))
        return held

    def run():
        held = fed()
        request.infer()
        request.get_output_tensor(0).data.copy()
        return held

    once = fed()
    return (lambda: (request.infer(), once)) if batch == 1 else run


def executorch(artifact, rows, parts, batch):
    """The call that runs a .pte, for one sample, on one thread."""
    import torch
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime

    portable_lib._unsafe_reset_threadpool(1)
    program = Runtime.get().load_program(artifact)
    method = program.load_method("forward")
    columns = [each.transpose(0, 3, 1, 2) if each.ndim == 4 else each for each in columns_of(rows, parts)]
    batches = _batches([np.array(each, np.float32, order="C") for each in columns], batch)

    def fed():
        return [torch.from_numpy(values) for values in next(batches)]

    once = fed()
    if batch == 1:
        return lambda: (method.execute(once), program)
    return lambda: (method.execute(fed()), program)


def as_placed(values, taken):
    """Values as an OpenVINO model's input takes them."""
    channels = taken.partial_shape[1]
    if values.ndim == 4 and channels.is_static and channels.get_length() == values.shape[3]:
        values = values.transpose(0, 3, 1, 2)
    return np.array(values, taken.element_type.to_dtype(), order="C")


def as_taken(values, taken):
    """Values in an input's type, and images in its layout."""
    if values.ndim == 4 and taken.shape[1] == values.shape[3]:
        values = values.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(values, np.int32 if taken.type == "tensor(int32)" else np.float32)


def _batches(columns, batch):
    """Whole batches of the samples, an array for each input, over and over."""
    starts = range(0, len(columns[0]) - batch + 1, batch)
    return itertools.cycle([[column[start : start + batch] for column in columns] for start in starts])


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


RUNTIMES = {
    "litert": litert,
    "compiled": compiled,
    "onnxruntime": onnxruntime,
    "openvino": openvino,
    "executorch": executorch,
}
MODULES = {
    "litert": "ai_edge_litert.interpreter",
    "compiled": "ai_edge_litert.compiled_model",
    "executorch": "executorch.runtime",
}


def serve(runtime):
    """Answer every job on standard input from a child of its own."""
    sys.modules["openvino_telemetry"] = None  # reports nothing to anybody
    __import__(MODULES.get(runtime, runtime))
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            job = json.loads(line)
            invoke = RUNTIMES[runtime](job["artifact"], np.load(job["inputs"]), job["parts"], job["batch"])
            print(json.dumps(times_ns(invoke, job["count"])), flush=True)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            sys.exit("the bare loop failed")


if __name__ == "__main__":
    serve(sys.argv[1])
