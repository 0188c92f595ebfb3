#!/usr/bin/env python3
"""`tepal serve` on a GPU over every transport: transports.py TEPAL BACKENDS FP16.pt MODEL.onnx OUT.json [PART...]

PART torch, onnx or plain, which is onnx without CUDA graphs (all when none is named; both need libtriton_onnxruntime.so and ONNX Runtime with CUDA in BACKENDS).
For each server of a part: what it is, then loads. Shared memory is driven by shm.py, HTTP and gRPC by `tepal bench`,
each in several processes. `sure` compares what the GPU answers over a transport with the bare model first.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).parent
PORT = 28450
SIZES = (1, 2, 4, 8, 16, 24, 32, 48, 64, 80, 96, 112, 128)
SECONDS = 4
PART_OF_LOAD = 0.7
OPEN = 0  # In place of clients: Poisson arrivals at PART_OF_LOAD of the line before.

# Part, largest batch, instances, flags; then loads: transport, images a request, processes, clients of each.
PLAN = [
    ("torch", 8, 6, [], [("cuda", 8, 3, 8), ("cuda", 8, 3, OPEN)]),
    ("torch", 32, 6, [], [("cuda", 32, 3, 6), ("cuda", 32, 3, OPEN)]),
    ("torch", 128, 6, [], [
        ("cuda", 128, 3, 4), ("cuda", 128, 3, OPEN), ("system", 128, 3, 4), ("http", 128, 4, 3), ("grpc", 128, 4, 3),
        ("cuda", 8, 4, 24), ("cuda", 8, 4, OPEN), ("system", 8, 4, 24), ("system", 8, 4, OPEN),
        ("http", 8, 4, 24), ("http", 8, 4, OPEN), ("grpc", 8, 4, 24), ("grpc", 8, 4, OPEN),
        ("cuda", 1, 6, 64), ("cuda", 1, 6, OPEN), ("system", 1, 6, 64), ("http", 1, 4, 128), ("grpc", 1, 4, 128),
        ("cuda", 1, 1, 1), ("system", 1, 1, 1), ("http", 1, 1, 1), ("grpc", 1, 1, 1)]),
    ("torch", 128, 6, ["--pinned-memory-pool-byte-size=0"], [("http", 128, 4, 3), ("grpc", 128, 4, 3)]),
    ("torch", 128, 6, ["--pinned-memory-pool-byte-size=1073741824"], [("http", 128, 4, 3), ("grpc", 128, 4, 3)]),
    ("onnx", 8, 4, [], [("cuda", 8, 3, 8)]),
    ("onnx", 32, 4, [], [("cuda", 32, 3, 6), ("http", 32, 4, 4)]),
    ("onnx", 128, 4, [], [
        ("cuda", 128, 3, 4), ("cuda", 128, 3, OPEN), ("system", 128, 3, 4), ("cuda", 8, 4, 24), ("cuda", 8, 4, OPEN),
        ("http", 8, 4, 24), ("grpc", 8, 4, 24), ("cuda", 1, 1, 1)]),
    ("plain", 8, 4, [], [("cuda", 8, 3, 8), ("cuda", 1, 1, 1)]),
    ("plain", 32, 4, [], [("cuda", 32, 3, 6)]),
    ("plain", 128, 4, [], [("cuda", 128, 3, 4)]),
]
TYPES = {"torch": "FP16", "onnx": "FP32", "plain": "FP32"}
INPUTS = {"torch": "INPUT__0", "onnx": "input", "plain": "input"}
ONNX_SIZES = (1, 2, 4, 8, 16, 32, 64, 96, 128)  # Each takes ONNX Runtime a search for algorithms as the model is loaded.


def repository(folder, part, largest, instances, models):
    place = pathlib.Path(folder) / "flower"
    (place / "1").mkdir(parents=True)
    (place / "1" / ("model.pt" if part == "torch" else "model.onnx")).symlink_to(pathlib.Path(models[part]).resolve())
    text = (HERE / ("config.pbtxt" if part == "torch" else "onnx_config.pbtxt")).read_text()
    graphs = ",".join(str(size) for size in (SIZES if part == "torch" else ONNX_SIZES) if size <= largest)
    if part == "plain":
        text = "\n".join(line for line in text.splitlines() if "@GRAPHS@" not in line)
    for key, value in {"COUNT": instances, "GRAPHS": graphs, "TYPE": TYPES[part], "MAX": largest}.items():
        text = text.replace(f"@{key}@", str(value))
    (place / "config.pbtxt").write_text(text)


def get(path, port=PORT):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return answer.read().decode()


def start(tepal, backends, folder, flags, sign="/v2/models/flower/ready"):
    server = subprocess.Popen(
        [tepal, "serve", "--model-repository", folder, "--backend-directory", backends, "--allow-client-shm=true",
         "--http-address", "127.0.0.1", "--http-port", str(PORT), "--grpc-address", "127.0.0.1", "--grpc-port",
         str(PORT + 1), "--metrics-port", str(PORT + 2), "--lame-duck-secs", "0", *flags])
    for _ in range(900):
        if server.poll() is not None:
            print(f"the server ended with {server.returncode}", flush=True)
            return None
        try:
            get(sign)
            return server
        except OSError:
            time.sleep(0.2)
    sys.exit("the server did not become ready")


def sure(part, models):
    """Five random images over CUDA and system shared memory and HTTP must come back as the bare model has them."""
    import numpy
    import torch
    import shm
    kind = TYPES[part]
    images = torch.rand(5, 3, 224, 224) * 2 - 1
    with torch.inference_mode():
        if part == "torch":
            images = images.half()
            expected = torch.jit.load(models[part], "cuda:0")(images.cuda()).cpu().numpy()
        else:
            import onnxruntime
            session = onnxruntime.InferenceSession(models[part], providers=["CPUExecutionProvider"])
            expected = session.run(None, {"input": images.numpy()})[0]
    for transport in ("cuda", "system"):
        api = shm.Api(transport, PORT)
        data = images.numpy().tobytes()
        source, target = api.region("sure-in", len(data)), api.region("sure-out", 5 * shm.OUTPUT_BYTES)
        source.write(data)
        api.call("/v2/models/flower/infer", shm.infer_body(kind, 5, source.name, len(data), target.name, target.size))
        served = numpy.frombuffer(target.read(), numpy.float32).reshape(5, 5)
        difference = float(abs(served - expected).max())
        print(f"{part} over {transport} shared memory against the bare model: {difference:.1e}", flush=True)
        if not difference < 5e-3 or not served.any():
            sys.exit("the served model answers something else")
        api.unregister(source)
        api.unregister(target)


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children_seconds():
    times = os.times()  # Of the clients that have ended; the server has not.
    return times.children_user + times.children_system


def statistics():
    model = json.loads(get("/v2/models/flower/stats"))["model_stats"][0]
    parts = ("queue", "compute_input", "compute_infer", "compute_output")
    return {"executions": int(model["execution_count"]), "images": int(model["inference_count"]),
            **{p: int(model["inference_stats"][p]["ns"]) for p in parts},
            "requests": int(model["inference_stats"]["success"]["count"])}


def client(tepal, part, transport, images, clients, rate, seed, out):
    if transport in ("cuda", "system"):
        return [sys.executable, str(HERE / "shm.py"), transport, str(PORT), TYPES[part], str(images),
                str(clients or 32), str(SECONDS), str(rate), str(seed), out]
    url = f"127.0.0.1:{PORT + 1}" if transport == "grpc" else f"127.0.0.1:{PORT}"
    load = ["--rate", f"{rate:.1f}"] if rate else ["--concurrency", str(clients)]
    protocol = ["--protocol", "grpc"] if transport == "grpc" else []
    return [tepal, "bench", "--model", "flower", "--url", url, *protocol, "--shape",
            f"{INPUTS[part]}:{images},3,224,224", *load, "--duration", f"{SECONDS + 1}s", "--progress", "none", "--seed",
            str(seed), "--json", out]


def drive(tepal, part, transport, images, processes, clients, rate, folder):
    outs = [f"{folder}/client{i}.json" for i in range(processes)]
    for out in outs:
        pathlib.Path(out).unlink(missing_ok=True)
    before = statistics()
    running = [subprocess.Popen(client(tepal, part, transport, images, clients, rate / processes, i + 1, out),
                                stdout=subprocess.DEVNULL) for i, out in enumerate(outs)]
    codes = [process.wait() for process in running]
    after = statistics()
    phases = [json.load(open(out)) for out in outs]
    phases = [phase["phases"][0] if "phases" in phase else phase for phase in phases]
    counted = {key: after[key] - before[key] for key in after}
    requests = max(1, counted["requests"])
    return {"images_per_s": round(images * sum(p["throughput_per_s"] for p in phases)),
            "p50_ms": round(max(p["p50_ms"] for p in phases), 2), "p99_ms": round(max(p["p99_ms"] for p in phases), 2),
            "failed": sum(p["failed"] for p in phases),
            "images_an_execution": round(counted["images"] / max(1, counted["executions"]), 1),
            **{f"{p}_us": round(counted[p] / requests / 1000)
               for p in ("queue", "compute_input", "compute_infer", "compute_output")}, "exit_codes": codes}


def main(tepal, backends, fp16, onnx, out, *parts):
    models = {"torch": fp16, "onnx": onnx, "plain": onnx}
    table = []
    folder = tempfile.mkdtemp()
    checked = set()
    for number, (part, largest, instances, flags, loads) in enumerate(PLAN):
        if parts and part not in parts:
            continue
        place = f"{folder}/{number}"
        repository(place, part, largest, instances, models)
        server = start(tepal, backends, place, flags)
        if server is None:
            continue
        if part not in checked:
            sure(part, models)
            checked.add(part)
        for transport, images, processes, clients in loads:
            row = {"part": part, "largest": largest, "instances": instances, "flags": flags, "transport": transport,
                   "images": images, "clients": processes * clients}
            rate = 0
            if clients == OPEN:
                rate = PART_OF_LOAD * table[-1]["images_per_s"] / images
                row["rate_per_s"] = round(rate)
            cpu, children, began = cpu_seconds(server.pid), children_seconds(), time.perf_counter()
            try:
                row.update(drive(tepal, part, transport, images, processes, clients, rate, folder))
            except (OSError, ValueError, KeyError) as error:
                row["error"] = repr(error)
                row["images_per_s"] = 0
            seconds = time.perf_counter() - began
            row["server_cores"] = round((cpu_seconds(server.pid) - cpu) / seconds, 1)
            row["client_cores"] = round((children_seconds() - children) / seconds, 1)
            table.append(row)
            print(json.dumps(row), flush=True)
            pathlib.Path(out).write_text(json.dumps(table))
        page = get("/metrics", PORT + 2)
        print("\n".join(line for line in page.splitlines() if line.startswith(("nv_gpu", "nv_energy", "tepal_instance"))),
              flush=True)
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
