#!/usr/bin/env python3
"""The flower demo: classify photos, then watch replicas go from 1 to 7 and back under load.

Starts `tepal up tepal.yaml`, shows predictions of ResNet50, drives load with `tepal bench` (photos, the smaller network),
kills a replica on the way, and checks every promise it makes. Exit 0 only when all of them held. Standard library only.

usage: demo.py [--out FOLDER] [--photos FOLDER]
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BALANCER, DASHBOARD = "127.0.0.1:8000", "http://127.0.0.1:8080/"
LOAD_MODEL, SHOWN_MODEL = "efficientnet_lite0", "resnet50"
EXPECTED = {"sunflower": "sunflowers", "rose": "roses", "yellow-rose": "roses", "daisy": "daisy", "daisy2": "daisy",
            "flower": "daisy", "flower2": "daisy"}
# Closed loop: so many clients. tepal.yaml wants two requests in flight per replica, so 6 need 3 and 14 need 7.
CLIENTS_THREE, CLIENTS_SEVEN = 6, 14
WARM_S, THREE_S, SEVEN_S = 8, 45, 95
SHARE_WINDOW_S, SHARE_RATIO_MAX = 60, 1.10
BACK_TO_ONE_S = 120


class Lines:
    """The newest JSON line a process has printed, and all of them."""

    def __init__(self, stream):
        self.all, self.latest = [], None
        self.thread = threading.Thread(target=self.read, args=(stream,), daemon=True)
        self.thread.start()

    def read(self, stream):
        for line in stream:
            with contextlib.suppress(ValueError):
                self.latest = json.loads(line)
                self.latest["seen"] = time.monotonic()
                self.all.append(self.latest)


class Demo:
    def __init__(self, out, photos):
        self.out, self.photos = out, photos
        self.tepal = find_program()
        self.checks, self.timeline, self.pids = [], [], set()
        self.started = time.monotonic()
        self.up = self.bench = None
        self.told = None

    def check(self, what, held, detail):
        self.checks.append({"check": what, "passed": bool(held), "detail": detail})

    # The stack.

    def start(self):
        say("1. One command starts everything: tepal up tepal.yaml")
        self.log = open(self.out / "up.log", "wb")
        self.process = subprocess.Popen([str(self.tepal), "up", str(HERE / "tepal.yaml"), "--json"], cwd=self.out,
                                        stdout=subprocess.PIPE, stderr=self.log, start_new_session=True, text=True)
        self.up = Lines(self.process.stdout)
        self.wait(lambda s: s["replicas"]["ready"] >= 1, 60, "the first replica")
        print(f"   ready after {time.monotonic() - self.started:.1f} s; requests to http://{BALANCER}/, dashboard on {DASHBOARD}")

    def state(self):
        if self.process.poll() is not None:
            raise SystemExit(f"tepal up ended with {self.process.returncode}:\n" + (self.out / "up.log").read_text()[-2000:])
        state = self.up.latest
        for slot in (state or {}).get("slots", []):
            if "pid" in slot:
                self.pids.add(slot["pid"])
        return state

    def wait(self, true, limit_s, what):
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            state = self.state()
            if state and true(state):
                return state
            time.sleep(0.1)
        raise SystemExit(f"demo: {what} did not come within {limit_s} s; see {self.out}/up.log")

    def stop(self):
        for process in (self.bench, getattr(self, "process", None)):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(40)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

    # The story.

    def predict(self):
        say(f"2. Photos are classified by {SHOWN_MODEL}")
        run = subprocess.run([str(self.tepal), "infer", "--url", BALANCER, "--model", SHOWN_MODEL, "--json", str(self.photos)],
                             capture_output=True, text=True)
        wrong, seen = [], 0
        for line in run.stdout.splitlines():
            answer = json.loads(line)
            name = pathlib.Path(answer["photo"]).stem
            if "classes" not in answer:
                wrong.append(f"{name}: {answer['error']}")
                continue
            best = answer["classes"][0]
            print(f"   {name + '.jpg':<16} {best['label']:<12} {best['probability']:.3f}   {answer['latency_ms']:6.0f} ms")
            if name in EXPECTED:
                seen += 1
                if best["label"] != EXPECTED[name]:
                    wrong.append(f"{name} is not {best['label']}")
        self.check("photos get their right names", seen >= 4 and not wrong and run.returncode == 0,
                   "; ".join(wrong) or f"{seen} of {seen}" + (run.stderr.strip() and f" ({run.stderr.strip()})"))

    def load(self):
        say(f"3. Load rises: {CLIENTS_THREE} clients need 3 replicas, {CLIENTS_SEVEN} need 7 (photos to {LOAD_MODEL})")
        phases = f"1@{WARM_S}s,{CLIENTS_THREE}@{THREE_S}s,{CLIENTS_SEVEN}@{SEVEN_S}s"
        self.bench = subprocess.Popen([str(self.tepal), "bench", "--url", BALANCER, "--model", LOAD_MODEL, "--photo", str(self.photos),
                                       "--phases", phases, "--progress", "json", "--json", str(self.out / "bench.json"),
                                       "--plot", str(self.out / "bench.png")],
                                      stdout=subprocess.PIPE, stderr=self.log, text=True, start_new_session=True)
        load = Lines(self.bench.stdout)
        began = time.monotonic()
        print("   time  load  replicas  per s    p50     p99   least most  failed")
        killed_at = shares_from = None
        self.shares = None
        while self.bench.poll() is None:
            time.sleep(1)
            state, now = self.state(), load.latest
            if now is None:
                continue
            elapsed = time.monotonic() - began
            self.tell(state, now, elapsed)
            if killed_at is None and elapsed > WARM_S + THREE_S * 0.55 and now["concurrency"] == CLIENTS_THREE:
                killed_at = self.kill_one(state)
            if now["concurrency"] == CLIENTS_SEVEN and state["replicas"]["ready"] == 7:
                counts = {s["replica"]: s["requests"] for s in state["slots"] if "requests" in s}
                if len(counts) == 7:
                    if shares_from is None or set(shares_from[1]) != set(counts):
                        shares_from = (time.monotonic(), counts)
                    elif self.shares is None and time.monotonic() - shares_from[0] >= SHARE_WINDOW_S:
                        self.shares = {k: counts[k] - shares_from[1][k] for k in counts}
            else:
                shares_from = None
        self.result = json.loads((self.out / "bench.json").read_text())
        self.judge_load(killed_at)

    def kill_one(self, state):
        slot = next((s for s in state["slots"] if s["state"] == "ready"), None)
        if slot is None:
            return None
        print(f"   ----  kill -9 {slot['pid']}: the replica in {slot['name']} dies in the middle of its work")
        os.kill(slot["pid"], signal.SIGKILL)
        self.killed_pid = slot["pid"]
        return time.monotonic()

    def tell(self, state, now, elapsed):
        replicas, traffic = state["replicas"], state["traffic"]
        others = "".join(f" +{replicas[k]} {k}" for k in ("starting", "draining", "backing off") if replicas.get(k))
        reason = state["reason"] if state["reason"] != self.told else ""
        self.told = state["reason"]
        shares = f"{traffic['share_least'] * 100:4.0f}% {traffic['share_most'] * 100:3.0f}%" if replicas["ready"] > 1 else "   -    -"
        failed = sum(i["failed"] for i in ([now] if now else []))
        self.timeline.append({"time_s": round(elapsed, 1), "clients": now["concurrency"] if now else 0, "ready": replicas["ready"],
                              "desired": state["desired"], "per_s": now["throughput_per_s"] if now else 0,
                              "p50_ms": now["p50_ms"] if now else None, "p99_ms": now["p99_ms"] if now else None,
                              "failed": failed, "reason": reason})
        figures = f"{now['throughput_per_s']:6.0f} {now['p50_ms']:6.0f} {now['p99_ms']:7.0f} ms" if now else "     -      -       -   "
        print(f"   {elapsed:4.0f}s {now['concurrency'] if now else 0:5d} {replicas['ready']:5d}{others:<14} {figures} {shares} {failed:6d}"
              + (f"  {reason}" if reason else ""), flush=True)

    def judge_load(self, killed_at):
        three = [t for t in self.timeline if t["clients"] == CLIENTS_THREE]
        settled = three[-8:]
        turns = direction_changes([t["desired"] for t in three])
        self.check("settles at 3 replicas", settled and all(t["ready"] == 3 and t["desired"] == 3 for t in settled) and turns <= 2,
                   f"last {len(settled)} s at {sorted({t['ready'] for t in settled})}, {turns} changes of direction")
        back = [t for t in three if killed_at and t["ready"] == 3]
        self.check("a replica killed with SIGKILL is replaced", killed_at is not None and back and three[-1]["ready"] == 3,
                   "back at 3" if killed_at else "it was never killed")
        most = max((t["ready"] for t in self.timeline), default=0)
        self.check("reaches 7 replicas", most == 7, f"reached {most}")
        if self.shares and min(self.shares.values()) > 0:
            ratio = max(self.shares.values()) / min(self.shares.values())
            self.check(f"even shares at 7 (most / least over {SHARE_WINDOW_S} s)", ratio <= SHARE_RATIO_MAX,
                       f"{ratio:.3f}, at most {SHARE_RATIO_MAX}: " + ", ".join(str(v) for v in self.shares.values()))
        else:
            self.check("even shares at 7", False, f"7 replicas did not stay for {SHARE_WINDOW_S} s")
        total = self.result["succeeded"] + self.result["failed"]
        self.check("no request fails", self.result["failed"] == 0 and total > 0,
                   f"failed {self.result['failed']} of {total}" + "".join(f"; {k}: {v}" for k, v in self.result["failures"].items()))

    def calm(self):
        say("4. Load stops; replicas drain and go")
        began, until = time.monotonic(), time.monotonic() + BACK_TO_ONE_S
        elapsed_before = self.timeline[-1]["time_s"] if self.timeline else 0
        while time.monotonic() < until:
            state = self.state()
            self.tell(state, None, elapsed_before + time.monotonic() - began)
            busy = sum(n for k, n in state["replicas"].items() if k not in ("free", "ready"))
            if state["replicas"]["ready"] == 1 and busy == 0:
                break
            time.sleep(1)
        self.check("back at 1 replica", state["replicas"]["ready"] == 1, f"{state['replicas']['ready']} after {time.monotonic() - began:.0f} s")

    def finish(self):
        self.stop()
        left = [pid for pid in self.pids if pathlib.Path(f"/proc/{pid}").exists()]
        self.check("leaves no process behind", not left and self.process.returncode == 0,
                   f"{len(self.pids)} replicas came and went; tepal up ended with {self.process.returncode}" + (f"; left: {left}" if left else ""))
        passed = all(c["passed"] for c in self.checks)
        (self.out / "demo.json").write_text(json.dumps({"passed": passed, "checks": self.checks, "timeline": self.timeline}, indent=1))
        (self.out / "demo.svg").write_text(plot(self.timeline))
        say("Result")
        for c in self.checks:
            print(f"   {'PASS' if c['passed'] else 'FAIL'}  {c['check']}: {c['detail']}")
        print(f"\n   saved: {self.out}/demo.json, demo.svg, bench.json, bench.png, up.log")
        photo = self.photos / "sunflower.jpg"
        print(f"""
   Try next: keep it running with `{'make up' if (ROOT / 'Makefile').exists() else f'tepal up {HERE}/tepal.yaml'}`, and then
     curl http://{BALANCER}/v2/models/{SHOWN_MODEL}
     {self.tepal} infer --model {SHOWN_MODEL} --top 3 {photo}
     {self.tepal} bench --model {LOAD_MODEL} --concurrency 1,6,14 --plot load.png
     python3 -c "import numpy as np, tritonclient.http as t; c = t.InferenceServerClient('{BALANCER}'); \\
       i = t.InferInput('input', [1, 3, 224, 224], 'FP32'); i.set_data_from_numpy(np.zeros((1, 3, 224, 224), np.float32)); \\
       print(c.infer('{SHOWN_MODEL}', [i]).as_numpy('probabilities'))"
     and the dashboard: {DASHBOARD}""")
        return 0 if passed else 1


def direction_changes(values):
    steps = [b - a for a, b in zip(values, values[1:]) if b != a]
    return sum(1 for a, b in zip(steps, steps[1:]) if (a > 0) != (b > 0))


def say(text):
    print(f"\n{text}", flush=True)


def find_program():
    for candidate in (os.environ.get("TEPAL"), ROOT / "build/release/bin/tepal", shutil.which("tepal")):
        if candidate and pathlib.Path(candidate).exists():
            return pathlib.Path(candidate)
    raise SystemExit("demo: no tepal program; run `make build` or install the package")


def find_photos(given):
    for folder in (given, ROOT / ".cache/photos", "/usr/share/pixmaps/faces"):
        if folder and (pathlib.Path(folder) / "sunflower.jpg").exists():
            return pathlib.Path(folder)
    raise SystemExit("demo: no photos; run tools/setup demo, or give --photos FOLDER with a sunflower.jpg")


def plot(timeline, width=900, height=170):
    """Clients, replicas, answers and p99 over time, one panel each."""
    panels = [("clients", "clients", "#2ca02c"), ("replicas ready", "ready", "#1f77b4"), ("answers per second", "per_s", "#9467bd"),
              ("p99, ms", "p99_ms", "#ff7f0e")]
    end = max((t["time_s"] for t in timeline), default=1) or 1
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height * len(panels) + 20}" font-family="sans-serif" font-size="12">'
           '<rect width="100%" height="100%" fill="white"/>']
    for row, (title, key, colour) in enumerate(panels):
        top, bottom, left, right = row * height + 24, (row + 1) * height - 8, 60, width - 20
        highest = max((t[key] or 0 for t in timeline), default=1) or 1
        points = " ".join(f"{left + t['time_s'] / end * (right - left):.1f},{bottom - (t[key] or 0) / highest * (bottom - top):.1f}" for t in timeline)
        out.append(f'<text x="{left}" y="{top - 8}">{title}</text><text x="{left - 8}" y="{top + 4}" text-anchor="end">{highest:.0f}</text>'
                   f'<text x="{left - 8}" y="{bottom}" text-anchor="end">0</text><path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="#888"/>'
                   f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
    out.append(f'<text x="{width / 2}" y="{height * len(panels) + 14}" text-anchor="middle">{end:.0f} seconds</text></svg>')
    return "\n".join(out)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", help="where results and logs go (default: build/demo, or ./tepal-demo)")
    arguments.add_argument("--photos", help="a folder with sunflower.jpg and others")
    options = arguments.parse_args()
    out = pathlib.Path(options.out or (ROOT / "build/demo" if (ROOT / "CMakeLists.txt").exists() else "tepal-demo")).resolve()
    out.mkdir(parents=True, exist_ok=True)
    demo = Demo(out, find_photos(options.photos))
    try:
        demo.start()
        demo.predict()
        demo.load()
        demo.calm()
        return demo.finish()
    except KeyboardInterrupt:
        print("\ndemo: stopped by hand", file=sys.stderr)
        return 130
    finally:
        demo.stop()


if __name__ == "__main__":
    sys.exit(main())
