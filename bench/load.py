"""Load from wrk (HTTP/1.1) and h2load (gRPC): how many requests were answered, and how long they took."""
import dataclasses
import json
import re
import subprocess
import urllib.request

LUA = """
wrk.method = "POST"
wrk.body = io.open("%s", "rb"):read("*a")
wrk.headers["Content-Type"] = "%s"
%s
"""
MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"
GRPC_HEADERS = ["content-type: application/grpc", "te: trailers"]
BINARY_HEADERS = ["content-type: application/octet-stream"]
MICROSECONDS = {"us": 1, "ms": 1e3, "s": 1e6, "m": 60e6}


@dataclasses.dataclass
class Load:
    requests: int
    p50_us: float
    p99_us: float


def wrk_script(path, body_path, json_size=None):
    """A script for wrk that posts a file; `json_size` when tensors in binary follow that much JSON."""
    header = f'wrk.headers["Inference-Header-Content-Length"] = "{json_size}"' if json_size else ""
    path.write_text(LUA % (body_path, "application/octet-stream" if json_size else "application/json", header))


def wrk(script, url, connections, seconds):
    text = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "--latency", "-s", str(script), url],
                          capture_output=True, text=True, check=True).stdout
    if re.search(r"Non-2xx|Socket errors", text):
        raise SystemExit(f"bench: {url} answered with errors:\n{text}")

    def percentile(name):
        value, unit = re.search(rf"^\s+{name}%\s+([\d.]+)(us|ms|s|m)\b", text, re.MULTILINE).groups()
        return float(value) * MICROSECONDS[unit]

    return Load(int(re.search(r"(\d+) requests in", text).group(1)), percentile(50), percentile(99))


def h2load(url, body, headers, connections, streams, seconds, log, rate=None, http1=False):
    """Posts the file `body` over HTTP/2, or HTTP/1.1; at `rate` requests a second instead of as many as are answered.

    It does not look at grpc-status: see `succeeded`.
    """
    log.unlink(missing_ok=True)
    command = ["h2load", "-t1", f"-c{connections}", f"-m{streams}", f"-D{seconds}", f"-d{body}", f"--log-file={log}", url]
    for header in headers:
        command += ["-H", header]
    if rate is not None:
        command.append(f"--rps={rate / connections:.3f}")
    if http1:
        command.append("--h1")
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    done, succeeded, failed = (int(n) for n in re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed", text).groups())
    # What is still under way at the end is none of the three.
    if failed or done != succeeded or not done:
        raise SystemExit(f"bench: {url} answered with errors:\n{text}")
    taken = sorted(int(line.split(b"\t")[2]) for line in log.read_bytes().splitlines())
    return Load(done, taken[len(taken) // 2], taken[len(taken) * 99 // 100])


def succeeded(port, model):
    """Requests of a model that were answered well and that failed, by its own statistics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/models/{model}/stats", timeout=10) as answer:
        statistics = json.load(answer)["model_stats"][0]["inference_stats"]
    return statistics["success"]["count"], statistics["fail"]["count"]
