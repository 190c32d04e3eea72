# SPDX-License-Identifier: MIT
"""Every example of the man pages and of README.md's pipelines runs, against peers of our own, and does something."""

import base64
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

import canlog
from contract.pages import examples
from integration import application_port, devices, endpoint, peers
from integration.peers import wait_for
from tools import BIN, SOURCE, TIMEOUT, TOOLS, environment, run

KEY = "0123456789abcdef0123456789ABCDEF"
FIRMWARE = devices.image()
# What an example says, and what stands for it here. The programs of an example are the real ones but for these three,
# which cannot be had: candump wants a CAN interface, and sensor and install-firmware are the reader's own.
SUBSTITUTIONS = [
    (r"\bcandump -L \w+", "cat candump.log"),
    (r"\bcandump can0\b", "cat candump.txt"),
    (r"\bsensor \|", "cat readings |"),
    (r"\binstall-firmware ([\w/]+)", r"cmp \1 fw.bin"),
    # Peers on this machine for others, the plain broker where an example has no certificate. The broker of those who
    # name none comes from the environment.
    (r"mqtts://broker(?=\S* [^|]*--cert)", "mqtts://localhost:{tls}"),
    (r"mqtts?://broker\b", "mqtt://localhost:{plain}"),
    (r"-h broker\b", "-h localhost -p {plain}"),
    (r"-h other\b", "-h localhost -p {other}"),
    (r":505\d\b", ":{uplink}"),
    (r"127\.0\.0\.1:1337\b", "127.0.0.1:{smp}"),
    (r"-c udp:10\.0\.0\.7\b", "-c {device}"),
    # Places in the scratch folder.
    (r"/var/spool/car\b", "car-spool"),
    (r"/var/tmp/", "./"),
    (r"/tmp/ttySIM\b", "ttySIM"),
    # An end for what has none: a journal in a file, the messages that the broker has of each kind, and twice.
    (r"\bjournalctl -f\b", "journalctl --file system.journal"),
    (r"\bmqtt-sub (?![^|]*(?:-C|--idle-timeout))", "mqtt-sub -C {retained} "),
    (r"--idle-timeout 200ms", "--idle-timeout 2s"),
    (r"while sleep 10; do", "for i in 1 2; do"),
]
# Those that wait for somebody: while_NAME() below does what they wait for.
WAITING = re.compile(r"(smp-sim) |(mflt-relay) --broker |(uplink-serve) (?!.*--check-config)|(uplink-send) (?=[^|]*--exec )|"
                     r"(mqtt-sub) (?=.*\| mflt-decode )")
RETAINED = 5  # of each kind
LOG = [*canlog.lines(100), *(f"(1700000000.9{n}0000) can0 123#{n:02X}\n" for n in range(10))]
CHUNK = "CAKmAgIDAQpqc2Vuc29yLWh1YglrMS40LjIrZzNmMmEGZGR2dDIEogEDBQCYrQ=="
# The files that examples name.
FILES = {
    "candump.log": "".join(LOG),
    "candump.txt": "".join(re.sub(r"\S+ (\w+) (\w+)#(\w*)\n", lambda match: "  {}  {:>8}   [{}]  {}\n".format(
        match[1], match[2], len(match[3]) // 2, bytes.fromhex(match[3]).hex(" ").upper()), line) for line in LOG if "##" not in line),
    "relative.log": " (000.000000)  can0  123   [2]  11 22\n (000.100000)  can0  123   [2]  11 23\n",
    "readings": "21.5\n21.50\n",
    "config.json": '{"rate": 10}\n',
    "token": "secret\n",
    "key": f"{KEY}\n",
    "keys": f"DEMO1 {KEY}  # the first one\nDEMO2 {KEY}\n",
    "device.json": '{"device_serial":"DEMO1","hardware_version":"dvt2","software_type":"main","current_version":"1.4.2"}\n',
    "chunks.ndjson": f'{{"device":"DEMO1","chunk":"{CHUNK}"}}\n' * 3,
    # Two chunks of one heartbeat, with a reboot behind it.
    "console.log": "[00:00:10] INFO: MC:SFQCpwIBAwEHalRFU1RTRVJJQUwKbXRlc3Qtc29mdHdhcmUJajEuMC4wLXRlcw==:\n"
                   "[00:00:30] INFO: MC:gCx0Bm10ZXN0LWhhcmR3YXJlBKEBoXJjaHVua190ZXN0X3N1Y2Nlc3MBMeQ=:\n"
                   f"\x1b[1;32mMC:{CHUNK}:\x1b[0m\r\n",
    "drive.csv": "speed,gear\n12.5,1\n,N\n",
    "topic": f"prod/board/DEMO/memfault/{KEY}/chunk\n",
    "uplink.toml": 'persistence_path = "state"\n[streams.load]\nbatch_size = 1\n'
                   '[tcpapps.main]\nunix = "app.sock"\nactions = [{ name = "reboot", timeout = 60 }]\n',
    # Of the identifiers that canlog makes.
    "car.dbc": "".join(f'BO_ {0x80 + 7 * n} Message{n}: 8 ECU\n SG_ Value{n} : 7|16@0+ (0.1,-40) [0|0] "V" GW\n' for n in range(60)),
}
# In the form that systemd-journal-remote makes a journal of.
JOURNAL = (b"__REALTIME_TIMESTAMP=1700000000000000\n__MONOTONIC_TIMESTAMP=1\n_BOOT_ID=0123456789abcdef0123456789abcdef\n"
           b"PRIORITY=6\nSYSLOG_IDENTIFIER=a\nMESSAGE=b\n\n")


def readme_pipelines(text):
    """The indented blocks of the section on pipelines."""
    section = re.search(r"^## Pipelines\n(.*?)(?=^## )", text, re.MULTILINE | re.DOTALL).group(1)
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in re.findall(r"(?:^    .*\n)+", section, re.MULTILINE)]


def substituted(command, **ports):
    for pattern, replacement in SUBSTITUTIONS:
        command = re.sub(pattern, replacement.format(**ports), command)
    return command


class Examples(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        for name, text in FILES.items():
            (cls.folder / name).write_text(text)
        (cls.folder / "fw.bin").write_bytes(FIRMWARE)
        message = run("fc-encode", "--quiet", stdin="".join(LOG).encode()).stdout[8:]  # without the frame header
        (cls.folder / "message.bin").write_bytes(message)
        subprocess.run(["/lib/systemd/systemd-journal-remote", "-o", cls.folder / "system.journal", "-"], input=JOURNAL, check=True,
                       stderr=subprocess.DEVNULL)
        authority = peers.Authority(cls.folder)
        certificate, key = authority.server
        for kind in ("pem", "key"):
            os.symlink(f"client.{kind}", cls.folder / f"car.{kind}")
        tls = (f"cafile {authority.ca}", f"certfile {certificate}", f"keyfile {key}", "require_certificate true")
        cls.brokers = {name: cls.enterClassContext(peers.Broker("log_type all", *lines))
                       for name, lines in {"plain": (), "other": (), "tls": tls}.items()}
        cls.ports = {name: broker.port for name, broker in cls.brokers.items()} | {"retained": RETAINED}
        (cls.folder / "gateway.json").write_text(
            json.dumps({"project_id": "demo", "device_id": "1", "broker": "localhost", "port": cls.ports["plain"]}))
        cls.endpoint = cls.enterClassContext(endpoint.Endpoint([], files={"/fw.bin": FIRMWARE}))
        cls.endpoint.play([{"path": "/api/v0/releases/latest*", "status": 200, "body": json.dumps(
            {"version": "1.5.0", "artifacts": [{"url": cls.endpoint.url + "/fw.bin", "file_size": len(FIRMWARE),
                                                "md5": hashlib.md5(FIRMWARE).hexdigest()}]})},
            {"path": "*/refused", "status": 400}])
        cls.uplink = cls.enterClassContext(application_port.Service())
        cls.ports["uplink"] = cls.uplink.address.removeprefix(":")
        cls.ports["smp"] = peers.free_port()
        records = [{"topic": f"fleet/{number}", "json": {"value": number}} for number in range(RETAINED)]
        records += [{"topic": f"flexconnect/{number}", "payload_b64": base64.b64encode(message).decode()} for number in range(RETAINED)]
        cls.prepare(0, "mqtt-pub", "--broker", cls.brokers["plain"].url, "--from", "envelope",
                    stdin="".join(json.dumps(record | {"qos": 1, "retain": True}) + "\n" for record in records))
        # What earlier runs have left in spools: records of a pipeline that had no broker, chunks of a relay that were
        # refused and that it could not deliver.
        cls.prepare(75, "mqtt-pub", "--broker", "mqtt://127.0.0.1:1", "-t", "t", "--spool", cls.folder / "mqtt-pub", "--drain-timeout", "0s",
                    stdin="1\n2\n")
        relay = ("mflt-relay", "--project-key-file", cls.folder / "key", "--spool", cls.folder / "mflt-relay", "--endpoint")
        chunk = base64.b64decode(CHUNK).hex() + "\n"
        cls.prepare(1, *relay, cls.endpoint.url, "--device", "refused", stdin=chunk)
        cls.prepare(75, *relay, "http://127.0.0.1:1", "--device", "DEMO1", "--drain-timeout", "0s", stdin=chunk)

    @classmethod
    def prepare(cls, status, *command, stdin):
        result = run(*command, stdin=stdin.encode())
        if result.returncode != status:
            raise AssertionError(f"{command}: status {result.returncode}: {result.stderr}")

    def furnish(self, scratch, command):
        """The folder that an example is typed in: its files, and the spools of earlier runs as copies of its own."""
        for entry in self.folder.iterdir():
            if entry.is_file() and not (entry.name == "fw.bin" and "--fetch" in command):
                os.symlink(entry, scratch / entry.name)
        shutil.copytree(self.folder / "mqtt-pub", scratch / "car-spool")
        shutil.copytree(self.folder / "mflt-relay", scratch / "fieldpipe/mflt-relay")
        if "fieldpipe-spool" in command:
            shutil.copytree(self.folder / "mflt-relay", scratch / "spool")
        return {path: path.stat().st_mtime_ns for path in scratch.rglob("*")}

    def at_peers(self, device):
        """How much the peers have seen."""
        return (sum(broker.log().count("Received PUBLISH") for broker in self.brokers.values()), len(self.endpoint.requests),
                len(self.uplink.lines), len(device.requests))

    def execute(self, command):
        """The status and standard error of an example, and whether it has printed, written or sent anything."""
        device = devices.Device()
        with tempfile.TemporaryDirectory() as name, devices.Udp(device) as server:
            scratch = Path(name)
            files, seen = self.furnish(scratch, command), self.at_peers(device)
            self.subscriptions = self.subscriptions_so_far()
            waiting = WAITING.match(command)
            command = substituted(command, device=server.place, **self.ports)
            local = f"mqtt://localhost:{self.ports['plain']}"
            variables = environment(FC_TOKEN="secret", MQTT_PUB_BROKER=local, MQTT_SUB_BROKER=local, XDG_STATE_HOME=name,
                                    MFLT_RELAY_ENDPOINT=self.endpoint.url, MFLT_OTA_API=self.endpoint.url,
                                    UPLINK_SEND_CONNECT=self.uplink.address)
            shell = subprocess.Popen(["bash", "-e", "-o", "pipefail", "-c", command], cwd=scratch, env=variables, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
            try:
                expected = getattr(self, "while_" + waiting[waiting.lastindex].replace("-", "_"))(shell, scratch) if waiting else 0
                stdout, stderr = shell.communicate(timeout=TIMEOUT)
            except BaseException as error:
                os.killpg(shell.pid, signal.SIGKILL)
                raise AssertionError(f"{command}\n{shell.communicate()[1].decode()}") from error
            new = [path for path in scratch.rglob("*") if not path.is_dir() and path.stat().st_mtime_ns != files.get(path)]
            worked = bool(waiting or stdout or any(path.stat().st_size for path in new) or self.at_peers(device) != seen)
            return 0 if shell.returncode == expected else shell.returncode, f"{command}\n{stderr.decode()}", worked

    def while_smp_sim(self, shell, scratch):
        place = shell.stdout.readline().decode().strip()
        result = run("smp-query", "-c", place, "echo", "hello", cwd=scratch)
        self.assertEqual((result.returncode, result.stdout), (0, b'{"r":"hello"}\n'), result.stderr)
        return self.interrupt(shell)

    def while_mflt_relay(self, shell, _scratch):
        self.publish_chunks("fleet/DEMO2/chunks")
        self.endpoint.wait(lambda: len(self.endpoint.chunks("DEMO2")) == RETAINED, "the chunks")
        return self.interrupt(shell)

    def while_mqtt_sub(self, _shell, _scratch):
        self.publish_chunks(f"prod/board/DEMO1/memfault/{KEY}/chunk")
        return 0

    def while_uplink_serve(self, shell, scratch):
        def published():
            return self.brokers["plain"].log().count("'/tenants/demo/devices/1/events/load/jsonarray'")

        before = published()
        self.prepare(0, "uplink-send", "--connect", f"unix:{scratch}/app.sock", "--retry", "--stream", "load", "--wait-stored", stdin="1\n")
        wait_for(lambda: published() > before, "the point")
        return self.interrupt(shell)

    def while_uplink_send(self, shell, _scratch):
        connection = wait_for(lambda: next((one for one in self.uplink.connections if one.socket.fileno() >= 0), None), "a connection")
        connection.action("update_firmware", json.dumps({"url": f"{self.endpoint.url}/fw.bin"}), "update")
        answer = wait_for(lambda: next((line for line in self.uplink.lines if line.get("action_id") == "update"
                                        and line["state"] in ("Completed", "Failed")), None), "an answer")
        self.assertEqual((answer["state"], answer["errors"]), ("Completed", []))
        return self.interrupt(shell)

    def interrupt(self, shell):
        """^C; the status that comes of it."""
        os.killpg(shell.pid, signal.SIGINT)
        return -signal.SIGINT

    def subscriptions_so_far(self):
        return self.brokers["plain"].log().count("Sending SUBACK")

    def publish_chunks(self, topic):
        """When somebody has subscribed who had not."""
        wait_for(lambda: self.subscriptions_so_far() > self.subscriptions, "a subscription")
        self.prepare(0, "mqtt-pub", "--broker", self.brokers["plain"].url, "-t", topic, "--from", "base64", stdin=f"{CHUNK}\n" * RETAINED)

    def check(self, command):
        with self.subTest(command=command):
            status, text, worked = self.execute(command)
            self.assertEqual(status, 0, text)
            self.assertTrue(worked, f"nothing came of {text}")

    def test_man_pages(self):
        for tool in TOOLS:
            commands = examples((SOURCE / f"man/{tool}.1").read_text())
            self.assertGreaterEqual(len(commands), 3, tool)
            for command in commands:
                self.assertIn(tool, command)
                self.check(command)

    def test_readme(self):
        pipelines = readme_pipelines((SOURCE / "README.md").read_text())
        self.assertEqual(len(pipelines), 5)
        for command in pipelines:
            self.check(command)

    def test_a_wrong_example_fails(self):
        commands = examples(".Sh EXAMPLES\nText:\n.Pp\n.Dl fc-decode --no-such message.bin | jq .\n.Sh SEE ALSO\n")
        self.assertEqual(len(commands), 1)
        status, text, _ = self.execute(commands[0])
        self.assertEqual(status, 64)
        self.assertIn("--no-such: unknown option", text)

    def test_an_example_of_which_nothing_comes_is_seen(self):
        self.assertEqual(self.execute("fc-decode message.bin | jq -c 'select(.id == 5)'")[::2], (0, False))


if __name__ == "__main__":
    unittest.main()
