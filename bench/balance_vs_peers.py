"""`tepal balance` beside nginx, HAProxy and Envoy: the CPU time of the balancer for each request it forwards.

    bench/run balance_vs_peers [--seconds N] [--rounds N] [--only REGEX] [--json FILE]

Two servers behind each balancer, every balancer with one thread; turns within one run, medians of the rounds. Closed loop. CPU time
is that of the balancer's process alone; latencies need a quiet machine.
"""
import argparse
import contextlib
import json
import pathlib
import re
import statistics
import tempfile
import time

import bodies
import load
import peers
from peers import ROOT, cpu_seconds, free_ports, running, table, wait_for, wait_ready

CACHE = ROOT / ".cache/balancers"
SERVERS = 2
IDENTITY = """backend: "identity"
max_batch_size: 8
input [{ name: "INPUT0" data_type: TYPE_FP32 dims: [ -1 ] }]
output [{ name: "OUTPUT0" data_type: TYPE_FP32 dims: [ -1 ] }]
"""
SMALL, LARGE = 16, 150_000
# Name, connections, streams of each (0: HTTP/1.1), floats.
ROWS = [("HTTP, 16 floats", 1, 0, SMALL), ("HTTP, 16 floats", 64, 0, SMALL), ("HTTP, 600 KB", 4, 0, LARGE),
        ("gRPC, 16 floats", 8, 8, SMALL), ("gRPC, 16 floats", 64, 1, SMALL), ("gRPC, 600 KB", 4, 1, LARGE)]

NGINX = """worker_processes 1; daemon off; master_process off; pid %(folder)s/pid; error_log %(folder)s/error warn;
events { worker_connections 4096; }
http { access_log off; client_max_body_size 0; keepalive_requests 1000000000;
 client_body_temp_path %(folder)s/t1; proxy_temp_path %(folder)s/t2; fastcgi_temp_path %(folder)s/t3; uwsgi_temp_path %(folder)s/t4;
 scgi_temp_path %(folder)s/t5;
 upstream h { least_conn; %(h)s keepalive 128; keepalive_requests 1000000000; }
 upstream g { least_conn; %(g)s keepalive 128; keepalive_requests 1000000000; }
 server { listen 127.0.0.1:%(http)d; location / { proxy_pass http://h; proxy_http_version 1.1; proxy_set_header Connection ""; } }
 server { listen 127.0.0.1:%(grpc)d; http2 on; http2_max_concurrent_streams 1024; location / { grpc_pass grpc://g; } } }
"""
HAPROXY = """global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend h
  bind 127.0.0.1:%(http)d
  default_backend hb
frontend g
  bind 127.0.0.1:%(grpc)d proto h2
  default_backend gb
backend hb
  balance leastconn
  http-reuse always
%(h)s
backend gb
  balance leastconn
  http-reuse always
%(g)s
"""


def envoy_config(ports, http, grpc):
    types = "type.googleapis.com/envoy.extensions"

    def listener(name, port):
        router = {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{types}.filters.http.router.v3.Router"}}
        manager = {"@type": f"{types}.filters.network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": name,
                   "codec_type": "AUTO", "http_filters": [router],
                   "route_config": {"virtual_hosts": [{"name": "a", "domains": ["*"], "routes": [
                       {"match": {"prefix": "/"}, "route": {"cluster": name, "timeout": "60s"}}]}]}}
        return {"name": name, "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}, "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]}

    def cluster(name, endpoints, http2):
        options = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": f"{types}.upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": {"http2_protocol_options": {}}}}
        made = {"name": name, "type": "STATIC", "lb_policy": "LEAST_REQUEST",
                "circuit_breakers": {"thresholds": [{"max_connections": 4096, "max_pending_requests": 4096, "max_requests": 4096}]},
                "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
                    {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}} for port in endpoints]}]}}
        return made | ({"typed_extension_protocol_options": options} if http2 else {})

    return {"static_resources": {"listeners": [listener("h", ports[0]), listener("g", ports[1])],
                                 "clusters": [cluster("h", http, False), cluster("g", grpc, True)]}}


def binary(pattern):
    found = next(CACHE.glob(pattern), None)
    if found is None:
        raise SystemExit("bench: nginx, HAProxy and Envoy are missing; run tools/setup peers")
    found.chmod(0o755)
    return found


def haproxy():
    """HAProxy 3.0 of Debian 13, with the C library it was linked to."""
    root = CACHE / "haproxy/usr"
    libraries = root / "lib/x86_64-linux-gnu"
    return [libraries / "ld-linux-x86-64.so.2", "--library-path", libraries, binary("haproxy/usr/sbin/haproxy")]


def commands(folder, servers):
    """Each balancer's name, command and ports for HTTP and gRPC."""
    http, grpc = [s[0] for s in servers], [s[1] for s in servers]
    made = []
    for name in ("tepal", "nginx", "haproxy", "envoy"):
        ports = free_ports(2)
        where = folder / name
        where.mkdir()
        if name == "tepal":
            command = [peers.TEPAL, "balance", "--threads=1", "--admin=none", f"--listen=127.0.0.1:{ports[0]}",
                       f"--listen=127.0.0.1:{ports[1]}", *(f"--endpoint=127.0.0.1:{h},grpc={g}" for h, g in servers)]
        elif name == "nginx":
            (where / "conf").write_text(NGINX % {
                "folder": where, "http": ports[0], "grpc": ports[1], "h": "".join(f"server 127.0.0.1:{p}; " for p in http),
                "g": "".join(f"server 127.0.0.1:{p}; " for p in grpc)})
            command = [binary("**/bin/linux-x86_64/nginx"), "-c", where / "conf", "-p", where]
        elif name == "haproxy":
            (where / "conf").write_text(HAPROXY % {
                "http": ports[0], "grpc": ports[1], "h": "\n".join(f"  server s{p} 127.0.0.1:{p}" for p in http),
                "g": "\n".join(f"  server s{p} 127.0.0.1:{p} proto h2" for p in grpc)})
            command = [*haproxy(), "-db", "-f", where / "conf"]
        else:
            (where / "conf.json").write_text(json.dumps(envoy_config(ports, http, grpc)))
            command = [binary("**/_bin/envoy"), "-c", where / "conf.json", "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
        made.append((name, command, ports))
    return made


def measure(row, process, ports, files, seconds):
    """CPU microseconds of the balancer a request, requests a second, p50 and p99."""
    _, connections, streams, floats = row
    before, began = cpu_seconds(process.pid), time.monotonic()
    if streams == 0:
        got = load.wrk(files[floats, "script"], f"http://127.0.0.1:{ports[0]}/v2/models/echo/infer", connections, seconds)
    else:
        got = load.h2load(f"http://127.0.0.1:{ports[1]}{load.MODEL_INFER}", files[floats, "frame"], load.GRPC_HEADERS, connections, streams,
                          seconds, files["log"])
    took = time.monotonic() - began
    return (cpu_seconds(process.pid) - before) / got.requests * 1e6, got.requests / took, got.p50_us, got.p99_us


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--json")
    options = parser.parse_args()
    rows = [row for row in ROWS if re.search(options.only, f"{row[0]} {row[1]} x {row[2]}")]
    results = {}
    with tempfile.TemporaryDirectory() as text, contextlib.ExitStack() as stack:
        folder = pathlib.Path(text)
        (folder / "models/echo/1").mkdir(parents=True)
        (folder / "models/echo/config.pbtxt").write_text(IDENTITY)
        files = {"log": folder / "h2load.log"}
        for floats in (SMALL, LARGE):
            values = bodies.floats(floats)
            content, json_size = bodies.http_binary(values)
            (folder / f"body{floats}").write_bytes(content)
            files[floats, "frame"] = folder / f"frame{floats}"
            files[floats, "frame"].write_bytes(bodies.grpc_frame("echo", values))
            files[floats, "script"] = folder / f"script{floats}"
            load.wrk_script(files[floats, "script"], folder / f"body{floats}", json_size)
        servers = []
        for i in range(SERVERS):
            ports = free_ports(3)
            server = stack.enter_context(running(
                peers.tepal_command(folder / "models", peers.BACKENDS, *ports) + ["--http-thread-count=1"], folder / f"server{i}"))
            wait_ready(server, ports[0])
            servers.append(ports[:2])
        balancers = []
        for name, command, ports in commands(folder, servers):
            process = stack.enter_context(running(command, folder / f"{name}.log"))
            wait_for(f"http://127.0.0.1:{ports[0]}/v2/health/ready", process)
            balancers.append((name, process, ports))
        for _ in range(options.rounds):
            for row in rows:
                for name, process, ports in balancers:
                    results.setdefault((row, name), []).append(measure(row, process, ports, files, options.seconds))
    printed, kept = [], []
    for row in rows:
        medians = {name: [statistics.median(column) for column in zip(*results[row, name])] for name, _, _ in balancers}
        best = min(medians[name][0] for name in medians if name != "tepal")
        label = f"{row[0]}, {row[1]}" + (f" x {row[2]}" if row[2] else "")
        printed.append([label, *(f"{numbers[0]:.1f}" for numbers in medians.values()), f"{medians['tepal'][0] / best:.2f}",
                        *(f"{numbers[1]:,.0f}" for numbers in medians.values()), *(f"{numbers[3]:,.0f}" for numbers in medians.values())])
        kept.append({"row": label, **{name: dict(zip(("cpu_us", "rate", "p50_us", "p99_us"), n)) for name, n in medians.items()}})
    names = [name for name, _, _ in balancers]
    print(table(printed, ["row", *(f"{n} us" for n in names), "to best", *(f"{n}/s" for n in names), *(f"{n} p99" for n in names)]))
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(kept, indent=1))


if __name__ == "__main__":
    main()
