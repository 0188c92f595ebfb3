#!/usr/bin/env python3
"""The bare rate of a TorchScript model on GPU 0: bare.py MODEL.pt [OUT.json].

Images a second at each batch size, in one process without a server: `eager` calls the module,
`graph` replays it as a CUDA graph, both on an input that lies on the GPU; `copies` is the graph with
the input brought from pinned memory and the result taken back each time, one after the other. The
median of several rounds; inputs are random, `zeros` says what zeros would have given.
"""
import json
import statistics
import sys
import time

import torch

BATCHES = (1, 8, 32, 128)
ROUNDS = 7
ROUND_SECONDS = 0.25


def rate(step, rows):
    for _ in range(5):
        step()
    torch.cuda.synchronize()
    start = time.perf_counter()
    step()
    torch.cuda.synchronize()
    repeats = max(5, int(ROUND_SECONDS / (time.perf_counter() - start)))
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(repeats):
            step()
        torch.cuda.synchronize()
        rounds.append(rows * repeats / (time.perf_counter() - start))
    return round(statistics.median(rounds))


def measure(model, rows):
    host = (torch.rand(rows, 3, 224, 224) * 2 - 1).half().pin_memory()
    device = host.cuda()
    row = {"batch": rows, "eager": rate(lambda: model(device), rows)}
    stream = torch.cuda.Stream()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.stream(stream):
        for _ in range(4):
            model(device)
    stream.synchronize()
    with torch.cuda.graph(graph, stream=stream):
        result = model(device)
    row["graph"] = rate(graph.replay, rows)
    back = torch.empty(result.shape, dtype=result.dtype).pin_memory()

    def copies():
        device.copy_(host, non_blocking=True)
        graph.replay()
        back.copy_(result, non_blocking=True)
        torch.cuda.current_stream().synchronize()

    row["copies"] = rate(copies, rows)
    device.zero_()
    row["zeros"] = rate(graph.replay, rows)
    return row


def main(path, out=None):
    print(torch.__version__, torch.cuda.get_device_name(0), flush=True)
    model = torch.jit.load(path, "cuda:0").eval()
    table = []
    with torch.inference_mode():
        for rows in BATCHES:
            table.append(measure(model, rows))
            print(table[-1], flush=True)
    if out:
        with open(out, "w") as file:
            json.dump(table, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
