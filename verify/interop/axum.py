#!/usr/bin/env python3
"""One axum program on kernel sockets and on usertcp, under wrk, in the same run.

Usage: axum.py [--rounds 5] [--seconds 2] [--connections 64] [--server-cpus 0] [--client-cpus 1]
               [--program PATH] [--json FILE] [--realtime] [--smoke] [WAY...]

Ways: kernel-send, kernel-local (kernel sockets over veth), remote, local (usertcp over TUN).
Every round starts each way's server anew and gives it wrk's load; ways are interleaved. Printed: medians
of requests/s, of the server's CPU time, context switches and system calls per request, and the ratio
of each way to both kernel ways, pair by pair. Exit code: 0 measured, 77 not possible here, 1 wrong.
The server is built before: cargo build --release -p usertcp --example axum_hello

Owns: namespaces, processes, figures. Must not know: how the server is built.
"""
import argparse, json, os, re, shutil, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
PREFIX = f"utcpaxum{os.getpid()}"
WAYS = ["kernel-send", "kernel-local", "remote", "local"]


def sh(command):
    done = subprocess.run(command.split(), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.stderr.strip()}")
    return done.stdout


class Lab:
    """Namespaces t (TUN), a and b (the two ends of a veth pair)."""

    def __enter__(self):
        for name in "tab":
            sh(f"ip netns add {PREFIX}{name}")
            sh(f"ip -n {PREFIX}{name} link set lo up")
        a, b = PREFIX + "a", PREFIX + "b"
        sh(f"ip link add va netns {a} type veth peer name vb netns {b}")
        for space, device, address in [(a, "va", "10.9.0.1/24"), (b, "vb", "10.9.0.2/24")]:
            sh(f"ip -n {space} addr add {address} dev {device}")
            sh(f"ip -n {space} link set {device} up")
        for name in "tab":
            # BBR, the default of some machines, paces: it is of no use on a link without loss.
            subprocess.run(["ip", "netns", "exec", PREFIX + name, "sysctl", "-qw",
                            "net.ipv4.tcp_congestion_control=cubic"], check=False, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        for name in "tab":
            subprocess.run(["ip", "netns", "del", PREFIX + name], check=False, stderr=subprocess.DEVNULL)


def tasks_of(pid):
    """CPU nanoseconds and context switches of all threads."""
    cpu, switches = 0, 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as file:
            cpu += int(file.read().split()[0])
        with open(f"/proc/{pid}/task/{task}/status") as file:
            switches += sum(int(n) for n in re.findall(r"ctxt_switches:\s+(\d+)", file.read()))
    return cpu, switches




def run(way, options, counting):
    """One server, one load."""
    kernel = way.startswith("kernel")
    server_space, client_space = (PREFIX + "b", PREFIX + "a") if kernel else (PREFIX + "t",) * 2
    address = "10.9.0.2:80" if kernel else "10.8.0.2:80"
    arguments = [way, address] + ([] if kernel else ["t0", "10.8.0.1/24"])
    server = subprocess.Popen(["ip", "netns", "exec", server_space, "setpriv", "--pdeathsig", "KILL",
                               *options.priority, "taskset", "-c", options.server_cpus, options.program, *arguments])
    try:
        for _ in range(100):
            time.sleep(0.05)
            if server.poll() is not None:
                raise RuntimeError(f"{way}: the server ended with {server.returncode}")
            probe = subprocess.run(["ip", "netns", "exec", client_space, "curl", "-sS", "--max-time", "2",
                                    f"http://{address}/"], capture_output=True, text=True)
            if probe.stdout == "Hello, World!":
                break
        else:
            raise RuntimeError(f"{way}: no hello: {probe.stderr}")
        counter = None
        if counting:
            counter = subprocess.Popen(["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p", str(server.pid)],
                                       stderr=subprocess.PIPE, text=True)
            time.sleep(0.3)
        wrk = ["ip", "netns", "exec", client_space, *options.priority, "taskset", "-c", options.client_cpus, "wrk", "-t1",
               f"-c{options.connections}"]
        before = tasks_of(server.pid)
        told = subprocess.run([*wrk, f"-d{options.seconds}s", f"http://{address}/"], capture_output=True, text=True)
        after = tasks_of(server.pid)
        calls = float("nan")
        if counter is not None:
            counter.send_signal(2)
            calls = sum(int(line.split(",")[0]) for line in counter.communicate()[1].splitlines()
                        if "sys_enter" in line and line[0].isdigit())
        if told.returncode != 0 or re.search(r"Socket errors|Non-2xx", told.stdout):
            raise RuntimeError(f"{way}: wrk: {told.stdout} {told.stderr}")
        requests = int(re.search(r"(\d+) requests in", told.stdout).group(1))
        rate = float(re.search(r"Requests/sec:\s+([\d.]+)", told.stdout).group(1))
        return {"rate": rate, "cpu_us": (after[0] - before[0]) / 1e3 / requests,
                "busy": (after[0] - before[0]) / 1e9 / options.seconds,
                "switches": (after[1] - before[1]) / requests, "calls": calls / requests}
    finally:
        server.kill()
        server.wait()
        if not kernel:
            time.sleep(0.1)


def spread(values):
    return f"{statistics.median(values):.2f} [{min(values):.2f}..{max(values):.2f}]"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--server-cpus", default="0")
    parser.add_argument("--client-cpus", default="1")
    parser.add_argument("--program", default=os.path.join(TARGET, "release/examples/axum_hello"))
    parser.add_argument("--json")
    parser.add_argument("--realtime", action="store_true", help="run both at real-time priority: other work is going on")
    parser.add_argument("--smoke", action="store_true", help="one short round, no claims")
    parser.add_argument("ways", nargs="*", default=WAYS)
    options = parser.parse_args()
    if options.smoke:
        options.rounds, options.seconds = 1, 1
    options.priority = ["chrt", "--fifo", "1"] if options.realtime else []
    missing = [tool for tool in ["wrk", "ip", "taskset", "setpriv", "curl"] if not shutil.which(tool)]
    if os.geteuid() != 0 or missing or not os.path.exists("/dev/net/tun"):
        print(f"SKIPPED: needs root, /dev/net/tun and the programs {missing}")
        return 77
    counting = shutil.which("perf") is not None
    rows = {way: [] for way in options.ways}
    with Lab():
        for number in range(options.rounds):
            for way in options.ways:
                rows[way].append(run(way, options, False))
        # In a round of their own: counting costs time.
        calls = {way: run(way, options, True)["calls"] if counting else float("nan") for way in options.ways}
    median = lambda way, key: statistics.median(row[key] for row in rows[way])
    print(f"wrk -t1 -c{options.connections} -d{options.seconds}s, {options.rounds} rounds interleaved, server on CPU "
          f"{options.server_cpus}, wrk on CPU {options.client_cpus}"
          f"{', real-time priority' if options.realtime else ''}; medians")
    print(f"{'way':14}{'requests/s':>12}{'server busy':>13}{'CPU us/req':>12}{'switches/req':>14}{'calls/req':>11}")
    for way in options.ways:
        print(f"{way:14}{median(way, 'rate'):12.0f}{median(way, 'busy'):13.2f}{median(way, 'cpu_us'):12.2f}"
              f"{median(way, 'switches'):14.4f}{calls[way]:11.2f}")
    for way in options.ways:
        for base in options.ways:
            if not way.startswith("kernel") and base.startswith("kernel"):
                ratios = [own["rate"] / other["rate"] for own, other in zip(rows[way], rows[base])]
                print(f"requests/s, {way} : {base} = {spread(ratios)}")
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"rounds": rows, "calls": calls}, file, indent=1)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RuntimeError as problem:
        print(problem, file=sys.stderr)
        sys.exit(1)
