"""Runs exported models with their official runtimes: read_models.py JOBS, a JSON list of {model, input, shape, output}.

`input` holds float32 numbers of `shape`; the answers are written to `output` as float32, and where a .tflite has `values`,
each value of the network to `values`-PLACE. Prints one JSON object: model -> what was found: ONNX's full check and the operations after
optimisation, or LiteRT's operations with versions, metadata and attached files.
"""

import collections
import io
import json
import sys
import tempfile
import zipfile

import numpy as np


def read_onnx(job, x):
    import onnx
    import onnxruntime

    onnx.checker.check_model(job["model"], full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = folder + "/optimized.onnx"
        session = onnxruntime.InferenceSession(job["model"], options, providers=["CPUExecutionProvider"])
        nodes = onnx.load(options.optimized_model_filepath).graph.node
    image = session.get_inputs()[0]
    x = x.astype(np.uint8 if image.type == "tensor(uint8)" else np.float32)
    answers = session.run(None, {image.name: x})[0]
    metadata = {each.key: each.value for each in onnx.load(job["model"]).metadata_props}
    return answers, {"operations": dict(collections.Counter(n.op_type for n in nodes)), "metadata": metadata}


def read_litert(job, x):
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter

    data = open(job["model"], "rb").read()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
    codes = [max(c.builtinCode, c.deprecatedBuiltinCode) for c in model.operatorCodes]
    operations = collections.Counter(names[codes[o.opcodeIndex]] for o in model.subgraphs[0].operators)
    interpreter = Interpreter(job["model"], num_threads=1)
    interpreter.allocate_tensors()
    image, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    answers = []
    for each in x:
        interpreter.set_tensor(image["index"], each[None].astype(image["dtype"]))
        interpreter.invoke()
        answers.append(interpreter.get_tensor(output["index"])[0].copy())
    values = all_values(job["model"], x) if job.get("values") else {}
    for place, value in enumerate(values.values()):
        value.astype("<f4").tofile(f"{job['values']}-{place}")
    archive = zipfile.ZipFile(io.BytesIO(data))
    types = collections.Counter(t.type for t in model.subgraphs[0].tensors)
    return np.stack(answers), {
        "operations": dict(operations),
        "int8": types[schema.TensorType.INT8],
        "scaledFloats": [d["name"] for d in interpreter.get_tensor_details() if d["dtype"] is np.float32 and d["quantization"][0]],
        "files": {name: archive.read(name).decode() for name in archive.namelist()},
        "signatures": interpreter.get_signature_list(),
        "values": list(values),
    }


def all_values(model, x):
    """Every value of a network, as the numbers that its whole numbers stand for: tensor's name -> [images, ...]."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model, num_threads=1, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    found = collections.defaultdict(list)
    for each in x:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], each[None])
        interpreter.invoke()
        for tensor in interpreter.get_tensor_details():
            if "/" in tensor["name"] or tensor["dtype"] not in (np.int8, np.float32):
                continue  # weights, and what stands between two layers
            value = interpreter.get_tensor(tensor["index"])[0].astype(np.float32)
            scale, zero = tensor["quantization"]
            found[tensor["name"]].append((value - zero) * scale if tensor["dtype"] == np.int8 else value)
    return {name: np.stack(values) for name, values in found.items()}


found = {}
for job in json.load(open(sys.argv[1])):
    x = np.fromfile(job["input"], "<f4").reshape(job["shape"])
    answers, about = (read_onnx if job["model"].endswith(".onnx") else read_litert)(job, x)
    answers.astype("<f4").tofile(job["output"])
    found[job["model"]] = about
print(json.dumps(found))
