"""Runs model.tflite, model-int8.tflite, model.onnx and model-int8.onnx of a folder on its images: int8.py FOLDER SIZE, by bench/int8.ts.

Prints a line a file: bytes, top-1, share of images with the class of the float32 file, median milliseconds of one image on one thread,
and how many of the convolutions and products compute in int8.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

folder, size = Path(sys.argv[1]), int(sys.argv[2])
images = np.fromfile(folder / "images.f32", "<f4").reshape(-1, size, size, 3)
labels = np.fromfile(folder / "labels.i32", "<i4")


def litert(path):
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(path.read_bytes(), 0))
    graph, builtin = model.subgraphs[0], schema.BuiltinOperator
    wanted = (builtin.CONV_2D, builtin.DEPTHWISE_CONV_2D, builtin.FULLY_CONNECTED)
    codes = [max(c.builtinCode, c.deprecatedBuiltinCode) for c in model.operatorCodes]
    layers = [o for o in graph.operators if codes[o.opcodeIndex] in wanted]
    whole = [o for o in layers if all(graph.tensors[i].type == schema.TensorType.INT8 for i in (*o.inputs[:2], *o.outputs))]
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    image, output = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def run(x):
        interpreter.set_tensor(image, x)
        interpreter.invoke()
        return interpreter.get_tensor(output)[0].copy()

    return run, f"{len(whole)} of {len(layers)}"


def onnx_runtime(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    with tempfile.TemporaryDirectory() as place:
        options.optimized_model_filepath = place + "/optimized.onnx"
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        types = [node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node]
    whole = sum(t in ("QLinearConv", "QGemm") for t in types)
    name = session.get_inputs()[0].name
    return (lambda x: session.run(None, {name: x})[0][0]), f"{whole} of {whole + sum(t in ('Conv', 'FusedConv', 'Gemm') for t in types)}"


runners = {name: (litert if name.endswith("tflite") else onnx_runtime)(folder / name) for name in ("model.tflite", "model-int8.tflite", "model.onnx", "model-int8.onnx")}
times = {name: [] for name in runners}
# In turn, so that another program on the machine slows all of them.
for x in images[np.arange(300) % len(images)]:
    for name, (run, _) in runners.items():
        start = time.perf_counter()
        run(x[None])
        times[name].append(time.perf_counter() - start)
found = {name: np.array([run(x[None]).argmax() for x in images]) for name, (run, _) in runners.items()}
for name, (_, whole) in runners.items():
    plain = found[name.replace("-int8", "")]
    print(
        f"{name:18} {(folder / name).stat().st_size:>10} bytes  top-1 {100 * (found[name] == labels).mean():.2f} %  "
        f"same class {100 * (found[name] == plain).mean():.2f} %  {1000 * statistics.median(times[name]):.3f} ms  int8: {whole}"
    )
