#!/usr/bin/env python3
"""The bare rate of an ONNX model of images on GPU 0: bare_onnx.py MODEL.onnx [OUT.json]. Needs ONNX Runtime built for CUDA.

Images a second at each batch size, in one process without a server, the provider's options as in onnx_config.pbtxt, input
and output bound to memory on the GPU: `binding` runs the session, `graph` ONNX Runtime's own CUDA graph of it, one after the
other. The median of several rounds. `first_s`: making the session and its first runs.
"""
import json
import sys
import time

import numpy
import onnxruntime
import torch

from bare import BATCHES, rate


def measure(path, rows, graph):
    options = {"use_tf32": "1", "enable_cuda_graph": "1" if graph else "0"}
    start = time.perf_counter()
    session = onnxruntime.InferenceSession(path, providers=[("CUDAExecutionProvider", options)])
    assert session.get_providers()[0] == "CUDAExecutionProvider", session.get_providers()
    binding = session.io_binding()
    source = torch.rand(rows, 3, 224, 224, device="cuda") * 2 - 1
    target = torch.empty(rows, 5, device="cuda")
    torch.cuda.synchronize()
    for bind, tensor, name in ((binding.bind_input, source, session.get_inputs()[0].name),
                               (binding.bind_output, target, session.get_outputs()[0].name)):
        bind(name, "cuda", 0, numpy.float32, list(tensor.shape), tensor.data_ptr())
    run = onnxruntime.RunOptions()
    run.add_run_config_entry("disable_synchronize_execution_providers", "1")
    for _ in range(3):
        session.run_with_iobinding(binding, run)
    torch.cuda.synchronize()
    first = time.perf_counter() - start
    return rate(lambda: session.run_with_iobinding(binding, run), rows), round(first, 1)


def main(path, out=None):
    print("onnxruntime", onnxruntime.__version__, torch.cuda.get_device_name(0), flush=True)
    table = []
    for rows in BATCHES:
        row = {"batch": rows}
        row["binding"], row["first_s"] = measure(path, rows, False)
        row["graph"], _ = measure(path, rows, True)
        table.append(row)
        print(row, flush=True)
    if out:
        with open(out, "w") as file:
            json.dump(table, file)


main(*sys.argv[1:])
