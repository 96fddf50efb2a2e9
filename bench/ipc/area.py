# SPDX-License-Identifier: Apache-2.0
"""Round trips between two processes, and what a node costs that has nothing to do.

The round trips are those of bench_ping_pong: "atoll" is a request from port to port by plain
threads, "atoll executors" the same by two executors, as the peers of an isolated node do it.
"""
import contextlib
import json
import os
import time

from harness import BIN, must
from nbd_client import Client

from measure import compare, machine, servers

PROGRAM = os.path.join(BIN, "bench_ping_pong")
EXECUTORS = "atoll executors"
IDLE_SECONDS = 10
IDLE_PERCENT = 0.5
# Until what an open and a first request leave to be done is done.
SETTLE_SECONDS = 3
MIB = 1 << 20

ROUND_TRIP = "round trip, {}"
MANY = "32 requests in flight, {}"
APART, ONE_CPU, TWO_CPUS = ("spinning, a CPU each", "blocked, both on one CPU",
                            "blocked, a CPU each")


class Case:
    """One row of the report: contender -> measurement of bench_ping_pong, and what is wanted."""

    def __init__(self, name, contenders, metric="ns", goals=None):
        self.name, self.contenders, self.metric = name, contenders, metric
        self.goals = goals or {}


def _blocked(where):
    return {"atoll": f"port-blocked-{where}", EXECUTORS: f"executors-blocked-{where}",
            "futex": f"futex-{where}", "eventfd": f"eventfd-{where}",
            "Unix sockets": f"sockets-{where}"}


def _many_blocked(where):
    return {"atoll": f"port-32-blocked-{where}", EXECUTORS: f"executors-32-blocked-{where}",
            "Unix sockets": f"sockets-32-{where}"}


CASES = (
    Case(ROUND_TRIP.format(APART),
         {"atoll": "port-spinning", EXECUTORS: "executors-spinning",
          "shared words": "words-spinning"}, goals={"shared words": 1.5}),
    Case(ROUND_TRIP.format(ONE_CPU), _blocked("one-cpu"), goals={"futex": 1.2}),
    Case(ROUND_TRIP.format(TWO_CPUS), _blocked("two-cpus")),
    Case(MANY.format(APART), {"atoll": "port-32-spinning", EXECUTORS: "executors-32-spinning"},
         "iops"),
    Case(MANY.format(ONE_CPU), _many_blocked("one-cpu"), "iops"),
    Case(MANY.format(TWO_CPUS), _many_blocked("two-cpus"), "iops"),
)


def run(options, report):
    known = must(PROGRAM, "--list").split()
    for case in CASES:
        if options.match not in case.name:
            continue
        missing = sorted(set(case.contenders.values()) - set(known))
        if missing:
            print(f"not measured, for it takes two CPUs: {case.name}")
            continue
        _run_case(case, options, report)
    _run_idle(options, report)


def _run_case(case, options, report):
    wanted = [name for name in case.contenders
              if not options.peers or name in options.peers or name == "atoll"]

    def measure(name):
        return json.loads(must(PROGRAM, "--json", case.contenders[name]))

    samples = compare.interleave(wanted, measure, options.rounds, case.name)
    report.add(case.name, samples, case.metric, case.goals)


IDLE = {"idle node, fused": servers.AtollServer, "idle node, isolated": servers.AtollIsolated}


def _run_idle(options, report):
    """Nodes with one volume that is open and one client that is connected and has read once. They
    are idle at the same time: CPU time is counted, so neither disturbs the other."""
    wanted = [name for name in IDLE if options.match in name]
    if not wanted:
        return
    with contextlib.ExitStack() as stack:
        pids = {}
        for name in wanted:
            compare.progress(f"starting: {name}")
            pids[name] = _start_idle(IDLE[name], options, stack)
        time.sleep(SETTLE_SECONDS)
        samples = {name: [] for name in wanted}
        for number in range(options.rounds):
            compare.progress(f"idle nodes: round {number + 1} of {options.rounds}")
            for name, percent in _cpu_percents(pids, max(IDLE_SECONDS, options.seconds)).items():
                samples[name].append({"cpu_percent": percent})
    compare.progress("")
    for name in wanted:
        report.add(name, {"atoll": samples[name]}, "cpu_percent", limit=IDLE_PERCENT)


def _start_idle(kind, options, stack):
    server = kind(os.path.join(options.folder, kind.placement), 64 * MIB)
    server.start()
    stack.callback(server.stop)
    server.node.ok("open", server.export)
    client = stack.enter_context(Client(server.socket, server.export))
    client.read(0, 4096)
    return server.pids()


def _cpu_percents(pids, seconds):
    before, began = _cpu_ns(pids), time.monotonic_ns()
    time.sleep(seconds)
    after, took = _cpu_ns(pids), time.monotonic_ns() - began
    return {name: (after[name] - before[name]) / took * 100 for name in pids}


def _cpu_ns(pids):
    """To the nanosecond, which /proc does not tell of all threads of a process together: by the
    processes' CPU clocks, whose numbers the kernel makes of pids so (clock_getcpuclockid)."""
    return {name: sum(time.clock_gettime_ns(~pid << 3 | 2) for pid in list_)
            for name, list_ in pids.items()}
