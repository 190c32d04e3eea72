"""The benchmark table: each figure of ours beside a peer's or a limit's from the same run, as a ratio.

    ./run bench [--quick] [NAME]...

Every row is the median of several runs, ours and the peer's in turn, so that whatever else the machine does falls on
both. Rows beyond their limit are marked and make the status 1. Absolute numbers are for the reader; only ratios count.
"""

import argparse
import base64
import contextlib
import itertools
import os
import random
import re
import resource
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import canlog  # noqa: E402
from integration import application_port, devices, endpoint, peers, uplink_service  # noqa: E402

BIN = os.environ["FIELDPIPE_BIN"]
ENVIRONMENT = {"PATH": f"{BIN}:/usr/sbin:/usr/bin:/bin", "FC_TOKEN": "t" * 64, "MEMFAULT_PROJECT_KEY": "k" * 32, "LC_ALL": "C.UTF-8", "HOME": "/dev/null"}


class Run:
    """One finished process: seconds of wall time, status."""

    def __init__(self, command, stdin=None, stdout=subprocess.DEVNULL, expect=0):
        with open(stdin or os.devnull, "rb") as source:
            start = time.perf_counter()
            self.status = subprocess.run(command, stdin=source, stdout=stdout, env=ENVIRONMENT, stderr=subprocess.DEVNULL,
                                         check=False).returncode
            self.seconds = time.perf_counter() - start
        if expect is not None and self.status != expect:
            raise RuntimeError(f"{command}: status {self.status}")


def resident_mib(command, stdin, stdout=subprocess.DEVNULL):
    """Peak resident memory. time(1) asks for it, because the system counts what a process was forked from."""
    with tempfile.NamedTemporaryFile("r") as report:
        Run(("/usr/bin/time", "-f", "%M", "-o", report.name, *command), stdin, stdout)
        return int(report.read()) / 1024


def alternate(runs, *makes):
    """Runs each of `makes` in turn, `runs` times after a warm-up; gives the median seconds of each."""
    for make in makes:
        make()
    times = [[make() for make in makes] for _ in range(runs)]
    return [statistics.median(column) for column in zip(*times)]


class Table:
    """Prints rows as they come and remembers whether one is beyond its limit."""

    def __init__(self):
        self.beyond = 0
        print(f"{'what':58} {'ours':>12} {'peer':>12} {'ratio':>8}  limit")

    def row(self, what, ours, peer, ratio, limit, at_most=True):
        within = ratio <= limit if at_most else ratio >= limit
        self.beyond += not within
        print(f"{what:58} {ours:>12} {peer:>12} {ratio:8.2f}  {'<=' if at_most else '>='} {limit:g}"
              f"{'' if within else '   BEYOND'}", flush=True)


def ms(seconds):
    return f"{seconds * 1000:.1f} ms"


def rate(count, seconds):
    return f"{count / seconds / 1e6:.2f} M/s" if count / seconds > 1e6 else f"{count / seconds / 1e3:.1f} k/s"


def bench_encode(table, folder, options):
    """fc-encode and fc-decode over a candump log."""
    log = f"{folder}/car.log"
    lines = 2_000_000 // (10 if options.quick else 1)
    canlog.write(log, lines)
    plain, packed, text = f"{folder}/plain", f"{folder}/packed", f"{folder}/text"

    def timed(*command, stdin=log):
        return lambda: Run(command, stdin=stdin).seconds

    encode = ("fc-encode", "--compress", "none")
    wc, ours = alternate(options.runs, timed("wc", "-l"), timed(*encode))
    table.row(f"fc-encode plain, {lines:,} lines, against wc -l", ms(ours), ms(wc), ours / wc, 9)

    with open(plain, "wb") as out:
        resident = [resident_mib(encode, log, out)]
    with open(packed, "wb") as out:
        resident.append(resident_mib(("fc-encode",), log, out))
    # log2asc knows the classic frames that are most of the log, and needs the interfaces' names.
    peer, plain_time, packed_time = alternate(max(3, options.runs // 3), timed("log2asc", "-I", log, "can0", "can1"),
                                              timed(*encode), timed("fc-encode"))
    table.row("fc-encode plain, lines a second, against log2asc", rate(lines, plain_time), rate(lines, peer),
              peer / plain_time, 15, at_most=False)
    table.row("fc-encode gzip level 6, time, against log2asc", ms(packed_time), ms(peer), packed_time / peer, 0.45)

    ours_bytes = sum(len(body) - 1 for body in frames(packed))
    peer_bytes = sum(gzip_bytes(body) for body in frames(plain))
    table.row("fc-encode gzip level 6, bytes, against zlib level 6", f"{ours_bytes:,}", f"{peer_bytes:,}",
              ours_bytes / peer_bytes, 1.01)
    if os.cpu_count() > 1:
        one, two = alternate(options.runs, timed("taskset", "-c", "0", "fc-encode"), timed("fc-encode"))
        table.row("fc-encode gzip level 6, one core against two", ms(two), ms(one), one / two, 1.6, at_most=False)

    encoded, decoded = alternate(options.runs, timed(*encode), timed("fc-decode", "--to", "candump", stdin=plain))
    table.row("fc-decode to candump log, against fc-encode plain", ms(decoded), ms(encoded), decoded / encoded, 2)
    with open(text, "wb") as out:
        resident.append(resident_mib(("fc-decode", "--to", "candump"), packed, out))
    table.row("peak memory of all of these", f"{max(resident):.1f} MiB", "16 MiB", max(resident) / 16, 1)


def write_database(path, messages):
    """A database of messages with eight signals each; the first 90 have identifiers from 0x080 on, seven apart."""
    rng = random.Random(3)
    with open(path, "w", encoding="ascii") as file:
        file.write('VERSION ""\n\nNS_ :\n\nBS_:\n\nBU_: ECU GW\n\n')
        for number in range(messages):
            identifier = 0x80 + 7 * number if number < 90 else 0x80000000 | 0x10000 + number
            file.write(f"BO_ {identifier} Message{number}: 8 ECU\n")
            for signal in range(8):
                order, start = (1, 8 * signal) if signal % 2 else (0, 8 * signal + 7)
                file.write(f' SG_ Signal_{number}_{signal} : {start}|8@{order}{rng.choice("+-")} '
                           f'({rng.choice(("1", "0.1", "0.01", "0.5"))},{rng.choice(("0", "-40"))}) [0|0] '
                           f'"{rng.choice(("", "V", "km/h"))}" GW\n')
            file.write("\n")


def bench_signals(table, folder, options):
    """fc-decode and fc-encode with a database."""
    log, database, large, medium = (f"{folder}/{name}" for name in ("signals.log", "car.dbc", "large.dbc", "medium.dbc"))
    count = 1_000_000 // (10 if options.quick else 1)
    rng = random.Random(5)
    with open(log, "w", encoding="ascii") as file:
        for n in range(count):
            file.write(f"({1_700_000_000 + n // 4000}.{n % 4000 * 250:06d}) can{n & 1} {0x80 + 7 * rng.randrange(90):03X}#{rng.getrandbits(64):016X}\n")
    write_database(database, 90)
    write_database(medium, 2_300)
    write_database(large, 11_300)

    decode = ("fc-decode", "--dbc", database)
    [seconds] = alternate(options.runs, lambda: Run(decode, log).seconds)
    goal = 3e6
    table.row(f"fc-decode --dbc, {count:,} frames of 8 signals to NDJSON", rate(count, seconds), "3 M/s", count / seconds / goal, 1,
              at_most=False)
    [seconds] = alternate(options.runs, lambda: Run(("fc-encode", "--to", "json", "--device-id", "d", "--compress", "none", "--dbc",
                                                     database), log).seconds)
    table.row("fc-encode --to json --dbc, of the same", rate(count, seconds), "0.5 M/s", count / seconds / 0.5e6, 1, at_most=False)
    empty = f"{folder}/empty"
    open(empty, "wb").close()
    start, loaded, quick = alternate(options.runs, lambda: Run(("fc-decode",), empty).seconds,
                                     lambda: Run(("fc-decode", "--dbc", large), empty).seconds,
                                     lambda: Run(("fc-decode", "--dbc", medium), empty).seconds)
    table.row(f"load of a database of {os.path.getsize(large) / 1e6:.1f} MB", ms(loaded - start), "100 ms", (loaded - start) / 0.1, 1)
    table.row(f"start with a database of {os.path.getsize(medium) / 1e6:.1f} MB", ms(quick), "20 ms", quick / 0.02, 1)
    memory = resident_mib(decode, log)
    table.row("fc-decode --dbc, peak memory", f"{memory:.1f} MiB", "16 MiB", memory / 16, 1)


def frames(path):
    """The records of a frame stream."""
    with open(path, "rb") as file:
        while header := file.read(8):
            assert header[:4] == b"\0fp1", header
            yield file.read(int.from_bytes(header[4:], "big"))


def gzip_bytes(body):
    compressor = zlib.compressobj(6, zlib.DEFLATED, 31)
    return len(compressor.compress(body)) + len(compressor.flush())


def bench_start(table, folder, options):
    """From start to the first byte out, and to --help."""
    line = f"{folder}/line"
    canlog.write(line, 1)

    def first_byte():
        start = time.perf_counter()
        with open(line, "rb") as source:
            with subprocess.Popen(("fc-encode",), stdin=source, stdout=subprocess.PIPE, env=ENVIRONMENT) as process:
                process.stdout.read(1)
                took = time.perf_counter() - start
                process.stdout.read()
        return took

    def help_of(tool, status):
        return lambda: Run((tool, "--help"), expect=status).seconds

    runs = 5 * options.runs
    [first] = alternate(runs, first_byte)
    table.row("fc-encode, start to first byte", ms(first), "3 ms", first / 0.003, 1)
    wc, ours = alternate(runs, lambda: Run(("wc", "--version")).seconds, help_of("fc-encode", 0))
    table.row("fc-encode --help against wc --version", ms(ours), ms(wc), ours / wc, 2)
    peer, pub, sub = alternate(runs, help_of("mosquitto_pub", 1), help_of("mqtt-pub", 0), help_of("mqtt-sub", 0))
    table.row("mqtt-pub --help against mosquitto_pub --help", ms(pub), ms(peer), pub / peer, 1.8)
    table.row("mqtt-sub --help against mosquitto_pub --help", ms(sub), ms(peer), sub / peer, 1.8)


def bench_publish(table, folder, options):
    """mqtt-pub against mosquitto_pub into the same broker."""
    lines = f"{folder}/lines"
    count = 65_000  # more would make mosquitto_pub lose some and still exit 0
    with open(lines, "w", encoding="ascii") as file:
        file.writelines(f"{n:0100d}\n" for n in range(count))
    # The broker is told to drop nothing of what waits for a subscriber.
    with peers.Broker("max_queued_messages 0") as broker:
        for qos, limit in ((1, 1.3), (0, 0.8)):
            def publish(tool, qos=qos):
                command = (tool, "-p", str(broker.port), "-t", "bench", "-q", str(qos), "-l")
                return lambda: Run(command, lines).seconds

            peer, ours = alternate(options.runs, publish("mosquitto_pub"), publish("mqtt-pub"))
            table.row(f"mqtt-pub -l -q {qos}, {count:,} lines, against mosquitto_pub", rate(count, ours),
                      rate(count, peer), peer / ours, limit, at_most=False)
        arrived, status = all_arrive(broker, folder, 200_000)
        table.row("of 200,000 lines at QoS 1 arrived, with status 0", f"{arrived:,}", "200,000",
                  arrived / 200_000 if status == 0 else 0, 1, at_most=False)
        memory = resident_mib(("mqtt-pub", "-p", str(broker.port), "-t", "bench", "-l"), lines)
        table.row("mqtt-pub, peak memory", f"{memory:.1f} MiB", "16 MiB", memory / 16, 1)
    memory = stalled_memory()
    table.row("mqtt-pub before a stalled broker, resident", f"{memory:.1f} MiB", "16 MiB", memory / 16, 1)


def all_arrive(broker, folder, count):
    """How many different lines a subscriber got of `count` published, and the publisher's status."""
    lines = f"{folder}/many"
    with open(lines, "w", encoding="ascii") as file:
        file.writelines(f"{n}\n" for n in range(count))
    with peers.Subscriber(broker, "all") as subscriber:
        status = Run(("mqtt-pub", "-p", str(broker.port), "-t", "all", "-l", "-q", "1"), lines, expect=None).status
        if status == 0:
            subscriber.wait(count, 60)
        return len({message.payload for message in subscriber.messages}), status


def stalled_memory():
    """Peak memory of a publisher with endless input, of which the broker acknowledges nothing."""
    stalled = threading.Event()

    def script(wire, _):
        wire.accept()
        wire.expect(peers.PUBLISH)
        stalled.set()
        while wire.read(60):
            pass

    with peers.FakeBroker(script) as broker, subprocess.Popen(("yes", "x" * 1000), stdout=subprocess.PIPE) as endless:
        command = ("mqtt-pub", "-p", str(broker.port), "-t", "bench", "-l", "-q", "1", "--deadline", "3s")
        with subprocess.Popen(command, stdin=endless.stdout, env=ENVIRONMENT, stderr=subprocess.DEVNULL) as process:
            endless.stdout.close()
            stalled.wait(10)
            memory = 0
            while process.poll() is None:
                with contextlib.suppress(AssertionError, FileNotFoundError):
                    memory = max(memory, peers.peak_memory_kib(process.pid) / 1024)
                select.select([], [], [], 0.05)
        endless.kill()
    return memory


def measured(*command):
    """What a run of spool_bench says of itself: seconds, bytes written, records, KiB of memory."""
    result = subprocess.run((os.path.join(os.path.dirname(BIN), "tests/spool_bench"), *map(str, command)), capture_output=True, check=True)
    return [float(field) for field in result.stdout.split()]


def bench_spool(table, _, options):
    """The spool against SQLite as a queue, and mqtt-pub with and without one. On a disk, not in memory."""
    records, batch = 200_000 // (10 if options.quick else 1), 100
    with tempfile.TemporaryDirectory(dir=os.environ.get("FIELDPIPE_DISK", "/var/tmp")) as disk:
        folders = itertools.count()

        def fresh(*command):
            folder = f"{disk}/{next(folders)}"
            os.mkdir(folder, 0o700)
            figures = measured(command[0], folder, *command[1:])
            shutil.rmtree(folder)
            return figures

        written = []

        def accepted():
            figures = fresh("spool", records, batch)
            written.append(figures[1] / records)
            return figures[0]

        peer, ours = alternate(max(3, options.runs // 3), lambda: fresh("sqlite", records, batch)[0], accepted)
        table.row(f"spool, {records:,} records of 64 devices by {batch}, against SQLite", rate(records, ours), rate(records, peer),
                  peer / ours, 3, at_most=False)
        per_record = statistics.median(written)
        table.row("spool, bytes written to the disk for a record of 300", f"{per_record:.0f}", "500", per_record / 500, 1)

        os.mkdir(f"{disk}/large", 0o700)
        many = 1_000_000 // (10 if options.quick else 1)
        measured("spool", f"{disk}/large", many, 1000)
        seconds, _, found, memory = measured("open", f"{disk}/large")
        if found != many:
            raise RuntimeError(f"{found} of {many} records were found")
        table.row(f"open of a spool of {many:,} records", ms(seconds), "1000 ms", seconds, 1)
        table.row("its memory", f"{memory / 1024:.1f} MiB", "32 MiB", memory / 1024 / 32, 1)

        lines, count = f"{disk}/lines", 65_000
        with open(lines, "w", encoding="ascii") as file:
            file.writelines(f"{n:0100d}\n" for n in range(count))
        with peers.Broker("max_queued_messages 0") as broker:
            publish = ("mqtt-pub", "-p", str(broker.port), "-t", "bench", "-l")

            def spooled():
                return Run((*publish, "--spool", f"{disk}/spool-{next(folders)}"), lines).seconds

            peer, ours = alternate(options.runs, lambda: Run(publish, lines).seconds, spooled)
            table.row("mqtt-pub --spool, against without", rate(count, ours), rate(count, peer), peer / ours, 0.5, at_most=False)
            memory = resident_mib((*publish, "--spool", f"{disk}/memory"), lines)
            table.row("mqtt-pub --spool, peak memory", f"{memory:.1f} MiB", "16 MiB", memory / 16, 1)
        # A backlog of the default 64 MiB: what was left, until it is opened and gone.
        many = f"{disk}/many"
        with open(many, "w", encoding="ascii") as file:
            file.writelines(f"{n:0300d}\n" for n in range(180_000))
        unsent = ("mqtt-pub", "-p", "1", "-t", "bench", "-l", "--spool", f"{disk}/backlog", "--drain-timeout", "0s")
        Run(unsent, many, expect=75)
        with peers.Broker("max_queued_messages 0") as broker:
            memory = resident_mib(("mqtt-pub", "-p", str(broker.port), "-t", "bench", "--spool", f"{disk}/backlog"), os.devnull)
        table.row("mqtt-pub --spool with a backlog of 64 MiB, peak memory", f"{memory:.1f} MiB", "32 MiB", memory / 32, 1)


def bench_latency(table, _, options):
    """A frame typed into an idle pipeline, until the subscriber has it."""
    samples = 50 if options.quick else 300
    with peers.Broker() as broker, peers.Subscriber(broker, "latency") as subscriber:
        encode = subprocess.Popen(("fc-encode", "--max-frames", "1"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT)
        publish = subprocess.Popen(("mqtt-pub", "-p", str(broker.port), "-t", "latency"), stdin=encode.stdout, env=ENVIRONMENT)
        encode.stdout.close()
        times = []
        for sample, line in enumerate(canlog.lines(samples)):
            start = time.perf_counter()
            encode.stdin.write(line.encode())
            encode.stdin.flush()
            while len(subscriber.messages) <= sample:
                select.select([], [], [], 0.0001)
            times.append(time.perf_counter() - start)
        encode.stdin.close()
        if encode.wait() or publish.wait():
            raise RuntimeError("the idle pipeline failed")
    # The first one pays for the connection.
    median = statistics.median(times[1:])
    table.row("a frame typed into an idle pipeline, to the subscriber", ms(median), "5 ms", median / 0.005, 1)


class Nginx:
    """An endpoint that is fast enough not to be the limit: TLS on a free port, one worker, 202 to everything."""

    def __init__(self, folder):
        self.folder = f"{folder}/nginx"
        os.mkdir(self.folder)
        self.authority = peers.Authority(self.folder)
        self.port = peers.free_port()
        self.url = f"https://localhost:{self.port}"
        certificate, key = self.authority.server
        scratch = "".join(f"{what}_temp_path {self.folder}/{what};" for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(f"{self.folder}/nginx.conf", "w", encoding="ascii") as file:
            file.write(f"""daemon off; worker_processes 1; pid {self.folder}/pid; error_log {self.folder}/log;
                events {{ worker_connections 2000; multi_accept on; }}
                http {{ access_log off; keepalive_requests 1000000000; {scratch} client_max_body_size 16m; client_body_buffer_size 1m;
                    server {{ listen 127.0.0.1:{self.port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};
                        location / {{ return 202; }} }} }}""")

    def __enter__(self):
        self.process = subprocess.Popen((*other_core(), "/usr/sbin/nginx", "-e", f"{self.folder}/log", "-c", f"{self.folder}/nginx.conf"))

        def accepts():
            with contextlib.closing(socket.socket()) as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        peers.wait_for(accepts, "nginx")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


# Clients and the server that they load stay out of each other's way.
def our_core():
    return ("taskset", "-c", "0") if os.cpu_count() > 1 else ()


def other_core():
    return ("taskset", "-c", "1") if os.cpu_count() > 1 else ()


SESSION = """
import os, requests, sys, time
url, authority, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
session = requests.Session()
session.trust_env, session.verify = False, authority
headers = {"Memfault-Project-Key": "k" * 32, "Content-Type": "application/octet-stream"}
before, start = sum(os.times()[:2]), time.perf_counter()
for n in range(count):
    assert session.post(f"{url}/api/v0/chunks/D{n % 64}", data=b"x" * 300, headers=headers).status_code == 202
print(time.perf_counter() - start, sum(os.times()[:2]) - before)
"""

WRK = 'wrk.method = "POST"; wrk.body = string.rep("x", 300); wrk.headers["Memfault-Project-Key"] = string.rep("k", 32)\n'


class Backlog:
    """A spool with chunks of 300 bytes that wait, `each` of so many devices, as D0 to D<devices - 1>, in turn."""

    def __init__(self, folder, devices, each):
        self.count = devices * each
        self.spool = f"{folder}/backlog-{devices}-{each}"
        self.scratch = f"{folder}/scratch"
        lines = f"{folder}/lines"
        rng = random.Random(7)
        with open(lines, "w", encoding="ascii") as file:
            for _ in range(each):
                for device in range(devices):
                    chunk = base64.b64encode(rng.randbytes(300)).decode()
                    file.write(f'{{"device":"D{device}","chunk":"{chunk}"}}\n')
        Run((*self.relay(self.spool, "http://127.0.0.1:1"), "--from", "ndjson", "--drain-timeout", "0"), lines, expect=75)
        os.unlink(lines)

    @staticmethod
    def relay(spool, url, *options):
        return (*our_core(), "mflt-relay", "--spool", spool, "--spool-max-bytes", "1GiB", "--endpoint", url, *options)

    def upload(self, url, authority, *options, expect=0, stdout=subprocess.DEVNULL):
        """Delivers a copy of it: seconds and CPU seconds, with start and recovery."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        shutil.copytree(self.spool, self.scratch)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = Run(self.relay(self.scratch, url, "--cafile", authority, *options), expect=expect, stdout=stdout).seconds
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def bench_upload(table, folder, options):
    """mflt-relay delivers a backlog over TLS."""
    quick = 10 if options.quick else 1
    runs = max(3, options.runs // 3)
    singles = Backlog(folder, 64, 1000 if quick == 1 else 300)
    batches = Backlog(folder, 1, 200_000 // quick)
    script = f"{folder}/post.lua"
    with open(script, "w", encoding="ascii") as file:
        file.write(WRK)
    with Nginx(folder) as nginx:
        posts = 3000 // quick
        figures = {"relay": [], "session": [], "wrk": [], "batches": []}
        for _ in range(runs):
            figures["relay"].append([value / singles.count for value in singles.upload(nginx.url, nginx.authority.ca, "--batch-chunks", "1")])
            session = subprocess.run((*our_core(), "/usr/bin/python3", "-c", SESSION, nginx.url, nginx.authority.ca, str(posts)),
                                     stdout=subprocess.PIPE, env=ENVIRONMENT, check=True).stdout
            figures["session"].append([float(value) / posts for value in session.split()])
            wrk = subprocess.run((*our_core(), "wrk", "-t", "1", "-c", "8", "-d", "2s", "-s", script, f"{nginx.url}/api/v0/chunks/D0"),
                                 stdout=subprocess.PIPE, env=ENVIRONMENT, check=True).stdout.decode()
            figures["wrk"].append([1 / float(re.search(r"Requests/sec: +([0-9.]+)", wrk)[1])])
            figures["batches"].append([value / batches.count for value in batches.upload(nginx.url, nginx.authority.ca)])
    ours, session, wrk, batch = ([statistics.median(column) for column in zip(*figures[name])] for name in figures)

    def each(seconds):
        return f"{1 / seconds / 1e3:.1f} k/s"

    table.row("mflt-relay, single chunks of 64 devices, against requests", each(ours[0]), each(session[0]), session[0] / ours[0], 10, at_most=False)
    table.row("the same against wrk with 8 connections", each(ours[0]), each(wrk[0]), wrk[0] / ours[0], 0.25, at_most=False)
    table.row("CPU seconds for 10,000 of them, against requests", f"{ours[1] * 1e4:.2f} s", f"{session[1] * 1e4:.2f} s", ours[1] / session[1], 0.15)
    table.row("mflt-relay, one device in batches of 100", each(batch[0]), "100 k/s", 1 / batch[0] / 1e5, 1, at_most=False)
    bench_delayed_upload(table, folder, quick)


def bench_delayed_upload(table, folder, quick):
    """A server that takes 50 ms for each answer, but for one device so long that this one is under way all the time."""
    delay, connections, batch, devices, requests = 0.05, 8, 100, 1000, 1 if quick > 1 else 3
    bound = connections * batch / delay
    slow = 0.9 * devices * batch / bound
    backlog = Backlog(folder, devices, requests * batch)
    authority = peers.Authority(tempfile.mkdtemp(dir=folder))
    rates = []
    for script in ([{"delay": delay}], [{"path": "*/D0", "delay": slow}, {"delay": delay}]):
        with endpoint.Endpoint(script, tls=authority.server) as server:
            backlog.upload(server.url, authority.ca, "--batch-chunks", str(batch), "--connections", str(connections))
            others = sorted((request for request in server.requests if request.device != "D0"), key=lambda request: request.answered)
            rates.append(sum(len(request.chunks) for request in others) / (others[-1].answered - others[0].began))
    table.row("mflt-relay, 1,000 devices, answers after 50 ms, of the bound", f"{rates[0] / 1e3:.1f} k/s", f"{bound / 1e3:.1f} k/s", rates[0] / bound, 0.9, at_most=False)
    table.row(f"the same beside a device with answers after {slow:.0f} s", f"{rates[1] / 1e3:.1f} k/s", f"{rates[0] / 1e3:.1f} k/s", rates[1] / rates[0], 0.9, at_most=False)


KEY = "0123456789abcdef0123456789ABCDEF"
NOWHERE = "http://127.0.0.1:9"  # nothing is delivered, so that only the way in is measured


def relay(folder, *arguments, endpoint=NOWHERE, **streams):
    """A relay with a spool of its own below `folder`."""
    spool = tempfile.mkdtemp(dir=folder)
    return subprocess.Popen(("mflt-relay", "--endpoint", endpoint, "--spool", spool, "--device", "BENCH", "--quiet", *arguments),
                            env={**ENVIRONMENT, "MEMFAULT_PROJECT_KEY": KEY}, stderr=subprocess.DEVNULL, **streams)


def stopped(process):
    process.terminate()
    for stream in (process.stdin, process.stdout):
        if stream:
            with contextlib.suppress(BrokenPipeError):
                stream.close()
    process.wait()


def accepted(process, count):
    """Reads until so many records are accepted; gives what came in part behind them."""
    have, rest = 0, b""
    while have < count:
        block = os.read(process.stdout.fileno(), 1 << 16)
        if not block:
            raise RuntimeError("the relay ended")
        whole, _, rest = (rest + block).rpartition(b"\n")
        have += whole.count(b'"sequence"')
    return have


def delivered(process, count):
    """Reads until so many chunks are delivered."""
    have, rest = 0, b""
    while have < count:
        block = os.read(process.stdout.fileno(), 1 << 16)
        if not block:
            raise RuntimeError("the relay ended")
        whole, _, rest = (rest + block).rpartition(b"\n")
        have += sum(map(int, re.findall(rb'"chunks":(\d+),"bytes":\d+,"status":202', whole)))


def counted(process, path, name, count):
    """Waits until a figure of the relay is so high, looking each time it is asked to write them."""
    value = -1
    while value < count:
        select.select([], [], [], 0.005)
        if not os.path.exists(path):
            continue  # it may not take signals yet
        process.send_signal(signal.SIGUSR1)
        with open(path, encoding="ascii") as file:
            value = next((int(line.split()[1]) for line in file if line.startswith(f"mflt_relay_{name} ")), -1)


def ingest_from_pipe(folder, count, in_flight):
    """Seconds for `count` chunks of 300 bytes, `in_flight` of them unacknowledged at a time."""
    lines = [random.Random(n).randbytes(300).hex().encode() + b"\n" for n in range(in_flight)]
    process = relay(folder, "--ack", "--from", "hex", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    start = time.perf_counter()
    sent = in_flight
    os.write(process.stdin.fileno(), b"".join(lines))
    done = 0
    while done < count:
        done += accepted(process, 1)
        more = min(in_flight - (sent - done), count - sent)
        os.write(process.stdin.fileno(), b"".join(lines[:more]))
        sent += more
    seconds = time.perf_counter() - start
    stopped(process)
    return seconds


def one_sync_a_record(folder, count):
    """Seconds for the same on a file, each record with an fdatasync of its own."""
    data = random.Random(1).randbytes(300)
    with tempfile.NamedTemporaryFile(dir=folder, buffering=0) as file:
        start = time.perf_counter()
        for _ in range(count):
            file.write(data)
            os.fdatasync(file.fileno())
        return time.perf_counter() - start


def ingest_from_broker(folder, options):
    """The rates at which mosquitto_sub and mflt-relay empty a session."""
    count = 5_000 if options.quick else 50_000
    topic = f"prod/board/BENCH/memfault/{KEY}/chunk"
    messages = f"{folder}/messages"
    with open(messages, "w", encoding="ascii") as file:
        file.writelines(f"{n:0300d}\n" for n in range(count))
    with peers.Broker("max_queued_messages 0", "max_inflight_messages 100", "set_tcp_nodelay true") as broker:
        def fill():
            Run(("mqtt-pub", "-p", str(broker.port), "-t", topic, "-l", "-q", "1"), messages)

        def peer():
            command = ("mosquitto_sub", "-p", str(broker.port), "-t", topic, "-q", "1", "-c", "-i", "peer")
            Run((*command, "-E"))
            fill()
            return Run((*command, "-C", str(count))).seconds

        def ours():
            command = ("--broker", broker.url, "--id", "ours", "--metrics-file", f"{folder}/metrics")
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{folder}/metrics")
            process = relay(folder, *command, stdout=subprocess.DEVNULL)
            counted(process, f"{folder}/metrics", "mqtt_connects_total", 1)
            Run(("mqtt-pub", "-p", str(broker.port), "-t", topic, "-m", "first", "-q", "1"))
            counted(process, f"{folder}/metrics", "accepted_total", 1)
            stopped(process)
            fill()
            os.unlink(f"{folder}/metrics")
            start = time.perf_counter()
            process = relay(folder, *command, stdout=subprocess.DEVNULL)
            counted(process, f"{folder}/metrics", "accepted_total", count)
            seconds = time.perf_counter() - start
            stopped(process)
            return seconds

        return count, *alternate(min(options.runs, 5), peer, ours)


def resident(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS:"))


def bench_ingest(table, folder, options):
    """mflt-relay: chunks into the spool, and what it takes of memory."""
    count = 1_000 if options.quick else 10_000

    def synced():
        return one_sync_a_record(folder, count // 10) * 10

    peer, ours = alternate(options.runs, synced, lambda: ingest_from_pipe(folder, count, 64))
    table.row("durable chunks, 64 in flight, against a sync a record", rate(count, ours), rate(count, peer), peer / ours, 3, at_most=False)
    messages, peer, ours = ingest_from_broker(folder, options)
    table.row("durable chunks of a broker, against mosquitto_sub -q 1", rate(messages, ours), rate(messages, peer), peer / ours, 0.8,
              at_most=False)

    process = relay(folder, "--ack", "--from", "hex", "--spool-max-bytes", "100MiB", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    os.write(process.stdin.fileno(), b"00\n")
    accepted(process, 1)
    idle = resident(process)
    table.row("mflt-relay, idle, resident", f"{idle:.1f} MiB", "16 MiB", idle / 16, 1)
    chunk = random.Random(1).randbytes(300).hex().encode() + b"\n"
    backlog = (64 << 20) // 360
    feeder = threading.Thread(target=lambda: [process.stdin.write(chunk * 100) for _ in range(backlog // 100)] and process.stdin.flush())
    feeder.start()
    accepted(process, backlog // 100 * 100)
    feeder.join()
    full = resident(process)
    table.row("mflt-relay with 64 MiB to deliver, resident", f"{full:.1f} MiB", "32 MiB", full / 32, 1)
    stopped(process)

    with endpoint.Endpoint(strict=False) as server:
        server.on_request = lambda _: server.requests.clear()
        process = relay(folder, "--from", "hex", "--batch-chunks", "1000", endpoint=server.url, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        total = 100_000 if options.quick else 1_000_000
        sizes = []
        for _ in range(10):
            feeder = threading.Thread(target=lambda: process.stdin.write(b"00112233445566778899\n" * (total // 10)) and process.stdin.flush())
            feeder.start()
            delivered(process, total // 10)
            feeder.join()
            sizes.append(resident(process))
        stopped(process)
    table.row(f"the same after {total:,} chunks, against after a tenth", f"{sizes[-1]:.1f} MiB", f"{sizes[0]:.1f} MiB", sizes[-1] / sizes[0], 1.1)


def discard(port):
    """Reads what one application sends, and lets it end."""
    buffer = bytearray(1 << 20)
    connection = port.accept()
    while connection.socket.recv_into(buffer):
        pass
    connection.close()


def bench_uplink(table, folder, options):
    """uplink-send into a socket that discards what comes, and into one that takes nothing."""
    count = 5_000_000 // (10 if options.quick else 1)
    forms = {"plain numbers": "{0}.{1}\n", "JSON points": '{{"temperature":{0}.{1},"ok":true}}\n'}
    with application_port.Port() as port:
        for form, line in forms.items():
            lines = f"{folder}/lines"
            with open(lines, "w", encoding="ascii") as file:
                file.writelines(line.format(n % 100, n % 7) for n in range(count))

            def send():
                reader = threading.Thread(target=discard, args=(port,))
                reader.start()
                seconds = Run(("uplink-send", "-c", port.address, "--stream", "s"), stdin=lines).seconds
                reader.join()
                return seconds

            [seconds] = alternate(options.runs, send)
            table.row(f"uplink-send, {form} a second", rate(count, seconds), "500 k/s", count / seconds / 500_000, 1, at_most=False)
        with subprocess.Popen(("yes", "1"), stdout=subprocess.PIPE) as endless:
            command = ("uplink-send", "-c", port.address, "--stream", "s")
            with subprocess.Popen(command, stdin=endless.stdout, env=ENVIRONMENT, stderr=subprocess.DEVNULL) as process:
                endless.stdout.close()
                connection = port.accept()
                # The input stands still once no memory is left to take.
                ticks = -1
                while ticks != (ticks := cpu_ticks(process.pid)):
                    select.select([], [], [], 0.3)
                memory = peers.peak_memory_kib(process.pid) / 1024
                process.kill()
                connection.close()
            endless.kill()
    table.row("uplink-send, memory before a service that reads nothing", f"{memory:.1f} MiB", "24 MiB", memory / 24, 1)


def points(first, last, stream="load"):
    """Lines of an application, each a point of 100 bytes as it goes up."""
    lines = (f'{{"stream":"{stream}","sequence":{n},"timestamp":{1700000000000 + n},"value":{n * 0.25:.2f},"pad":"' for n in range(first, last + 1))
    return "".join(line + "x" * (117 - len(line)) + '"}\n' for line in lines).encode()


def confirmed(connection, data, number):
    """Sends lines and waits until uplink-serve has them on the disk."""
    connection.sendall(data + uplink_service.point("fieldpipe_stored", number).encode() + b"\n")
    answer = b""
    while not answer.endswith(b'{"stored":%d}\n' % number):
        answer += connection.recv(4096)


def through_service(service, data, number):
    """Seconds until the broker has acknowledged points that go through uplink-serve."""
    before = service.figures()["points_delivered_total"]
    start = time.perf_counter()
    with socket.create_connection(("127.0.0.1", service.ports["main"])) as connection:
        confirmed(connection, data, 1)
        while service.figures()["points_delivered_total"] < before + number:
            select.select([], [], [], 0.02)  # asking costs the service time
    return time.perf_counter() - start


def bench_serve(table, folder, options):
    """uplink-serve: points through its spool into a broker, against mqtt-pub; actions; what it takes of memory."""
    configuration = ('[tcpapps.main]\nport = {main}\nactions = [{ name = "act" }]\n[streams.load]\nbatch_size = 100\n'
                     '[streams.one]\nbatch_size = 1\n')
    count = 1_000_000 // (10 if options.quick else 1)
    runs = min(options.runs, 5)
    with peers.Broker() as broker:
        with uplink_service.Service(configuration, broker.port) as service:
            peers.wait_for(lambda: service.figures()["mqtt_connected"], "connection")
            idle = resident(service.running)
            data = points(1, count)
            [seconds] = alternate(runs, lambda: through_service(service, data, count))
            table.row("uplink-serve, points a second in batches of 100", rate(count, seconds), "200 k/s", count / seconds / 200_000, 1,
                      at_most=False)
            single = count // 10
            data = points(1, single, "one")
            lines = f"{folder}/points"
            with open(lines, "wb") as file:
                file.writelines(b"[" + line.replace(b'"stream":"one",', b"") + b"]\n" for line in data.splitlines())
            publish = ("mqtt-pub", "-p", str(broker.port), "-t", "bench", "-l", "-q", "1")
            peer, ours = alternate(runs, lambda: Run(publish, lines).seconds, lambda: through_service(service, data, single))
            table.row("uplink-serve, messages of one point, against mqtt-pub -q 1", rate(single, ours), rate(single, peer), peer / ours,
                      0.8, at_most=False)
            latency = action_latency(service, broker)
            table.row("uplink-serve, action to application, median", ms(latency), "2 ms", latency / 0.002, 1)
        table.row("uplink-serve, idle, resident", f"{idle:.1f} MiB", "12 MiB", idle / 12, 1)
    memory = full_service(configuration)
    table.row("uplink-serve with 64 MiB queued and 1,000 connections tried", f"{memory:.1f} MiB", "24 MiB", memory / 24, 1)


def action_latency(service, broker):
    """The median from the publish of an action to its line at the application."""
    wire = peers.Wire(socket.create_connection(broker.address()))
    wire.send(peers.packet(peers.CONNECT, peers.text("MQTT") + bytes([4, 2]) + b"\0\0" + peers.text("latency")))
    wire.expect(peers.CONNACK)
    times = []
    with socket.create_connection(("127.0.0.1", service.ports["main"])) as application:
        confirmed(application, b"", 1)
        for number in range(200):
            action = f'{{"action_id":"{number}","name":"act","payload":"{{}}"}}'.encode()
            start = time.perf_counter()
            wire.send(peers.publish(f"{service.prefix}/actions", action, number + 1, 1))
            application.recv(4096)
            times.append(time.perf_counter() - start)
            wire.expect(peers.PUBACK)
            confirmed(application, uplink_service.status(str(number), "Completed").encode() + b"\n", number + 2)
    wire.socket.close()
    return statistics.median(times)


def full_service(configuration):
    """Resident memory before a broker that is away, with a full spool."""
    with uplink_service.Service(configuration, 1, "--spool-max-bytes", "80MiB") as service:
        total = (64 << 20) // 140
        with socket.create_connection(("127.0.0.1", service.ports["main"])) as connection:
            for first in range(1, total, 20_000):
                confirmed(connection, points(first, min(first + 19_999, total)), first)
        for _ in range(1000):
            socket.create_connection(("127.0.0.1", service.ports["main"])).close()
        with socket.create_connection(("127.0.0.1", service.ports["main"])) as connection:
            confirmed(connection, b"", 1)
        return resident(service.running)


@contextlib.contextmanager
def simulated(*options):
    """smp-sim; gives the place where it is."""
    with subprocess.Popen(("smp-sim", *options), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENVIRONMENT, text=True) as device:
        try:
            yield device.stdout.readline().strip()
        finally:
            device.terminate()


@contextlib.contextmanager
def bare_server():
    """Sends SMP requests back as their own answers, and does nothing else."""
    server = ("import socket\ns = socket.socket(type=socket.SOCK_DGRAM)\ns.bind(('127.0.0.1', 0))\nprint(s.getsockname()[1], flush=True)\n"
              "while True:\n    data, peer = s.recvfrom(2048)\n    s.sendto(bytes((data[0] | 1,)) + data[1:], peer)")
    with subprocess.Popen((sys.executable, "-c", server), stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"udp:127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


def bench_smp(table, folder, options):
    """smp-query against smp-sim: uploads with a window, an echo, many requests, memory."""
    delay = 0.02
    parts = 120 if options.quick else 240
    image = f"{folder}/image"
    for kind, overhead in (("udp", 28), ("serial", 4)):
        for buffer in (384, 1024, 2048):
            # What of a packet is file: the rest is header, map, offset and length.
            packet = min(buffer, 1500 - overhead) if kind == "udp" else buffer - overhead
            chunk = packet - 8 - 18
            with open(image, "wb") as file:
                file.write(devices.image(size=parts * chunk))
            with simulated("--listen", kind, "--buf-size", f"{buffer}B", "--buf-count", "4", "--delay", "20ms", "--slot-size", "1MiB") as place:
                upload = ("smp-query", "-c", place, "image", "upload", image)
                erase = ("smp-query", "-c", place, "image", "erase")

                def timed(*window):
                    Run(erase)
                    return Run((*upload, *window)).seconds

                one = timed("--window", "1")
                ours = statistics.median(timed() for _ in range(options.runs // 3))
            size = os.path.getsize(image)
            table.row(f"image upload, {kind}, {buffer}-byte buffers, against window 1", rate(size, ours), rate(size, one),
                      one / ours, 2.5, at_most=False)
            most = 3 * chunk / delay
            table.row("   against window x chunk / delay", rate(size, ours), rate(most, 1), size / ours / most, 0.9, at_most=False)

    with simulated("--listen", "udp") as place:
        [echo] = alternate(5 * options.runs, lambda: Run(("smp-query", "-c", place, "echo", "x")).seconds)
        table.row("smp-query echo over UDP, from start to end", ms(echo), "15 ms", echo / 0.015, 1)
    requests = f"{folder}/requests"
    count = 10_000
    with open(requests, "w", encoding="ascii") as file:
        file.writelines(f'{{"id":{n},"group":0,"command":0,"op":"write","payload":{{"d":"{n}"}}}}\n' for n in range(count))
    with bare_server() as place:
        many = ("smp-query", "-c", place, "--window", "32", "-")
        [seconds] = alternate(options.runs, lambda: Run(many, requests).seconds)
        table.row(f"{count:,} requests over one connection, a second", rate(count, seconds), "20.0 k/s", count / seconds / 20_000, 1, at_most=False)
        resident = [resident_mib(many, requests)]
    with simulated("--listen", "udp", "--slot-size", "1MiB") as place:
        resident.append(resident_mib(("smp-query", "-c", place, "image", "upload", image), None))
    table.row("smp-query, peak memory of these", f"{max(resident):.1f} MiB", "12 MiB", max(resident) / 12, 1)


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return sum(map(int, file.read().rsplit(")", 1)[1].split()[11:13]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a tenth of the input and few runs")
    parser.add_argument("names", nargs="*", help="encode, signals, start, publish, spool, latency, upload, uplink, serve, smp, ingest; all without one")
    options = parser.parse_args()
    options.runs = 3 if options.quick else 9
    table = Table()
    with tempfile.TemporaryDirectory() as folder:
        for name in options.names or ("encode", "signals", "start", "publish", "spool", "latency", "upload", "uplink", "serve", "smp", "ingest"):
            globals()[f"bench_{name}"](table, folder, options)
    return 1 if table.beyond else 0


if __name__ == "__main__":
    sys.exit(main())
