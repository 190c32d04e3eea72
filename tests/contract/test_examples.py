# SPDX-License-Identifier: MIT
"""Every example of the man pages and of README.md's pipelines runs, against peers of our own."""

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
from integration import application_port, devices, endpoint, peers
from tools import BIN, SOURCE, TIMEOUT, TOOLS, environment, run

KEY = "0123456789abcdef0123456789ABCDEF"
FIRMWARE = devices.image()
# What an example says, and what stands for it here: local brokers for others, the plain one where an example has no
# certificate, and an end for what has none. The broker of those who name none comes from the environment.
SUBSTITUTIONS = [
    (r"mqtts://broker(?=\S* [^|]*--cert)", "mqtts://localhost:{tls}"),
    (r"mqtts?://broker\b", "mqtt://localhost:{plain}"),
    (r"-h broker\b", "-h localhost -p {plain}"),
    (r"-h other\b", "-h localhost -p {other}"),
    (r"/var/spool/car\b", "car-spool"),
    (r":505\d\b", ":{uplink}"),
    (r"\buplink-send (?=[^|]*--exec )", "briefly uplink-send "),
    (r"^smp-sim ", "briefly smp-sim "),
    (r"127\.0\.0\.1:1337\b", "127.0.0.1:{smp}"),
    (r"/tmp/ttySIM\b", "ttySIM"),
    (r"while sleep 10; do", "for i in 1 2; do"),
    (r"-c udp:10\.0\.0\.7\b", "-c {device}"),
    (r"\bmqtt-sub (?![^|]*(?:-C|--idle-timeout))", "mqtt-sub --idle-timeout 200ms "),
]
# Runs for ever; it has done its work by then.
SUBSTITUTIONS.append((r"(mflt-relay --broker .*)", r"timeout -s INT 0.3 \1 || [ $? = 124 ]"))
SUBSTITUTIONS.append((r"(uplink-serve (?!.*--check-config).*)", r"timeout -s INT 0.3 \1 || [ $? = 124 ]"))
# Programs that examples take for granted.
STUBS = {
    "briefly": 'timeout 0.5 "$@"; [ $? -eq 124 ]',
    "candump": "exec head -n 100 '{folder}/candump.log'",
    "journalctl": "echo '{{\"__REALTIME_TIMESTAMP\":\"1700000000000000\",\"PRIORITY\":\"6\",\"SYSLOG_IDENTIFIER\":\"a\",\"MESSAGE\":\"b\"}}'",
    "sensor": "printf '21.5\\n21.50\\n'",
}
# The files that examples name.
FILES = {
    "candump.log": "".join(canlog.lines(1000)),
    "relative.log": " (000.000000)  can0  123   [2]  11 22\n (000.100000)  can0  123   [2]  11 23\n",
    "config.json": '{"rate": 10}\n',
    "token": "secret\n",
    "key": f"{KEY}\n",
    "keys": f"DEMO1 {KEY}  # the first one\n",
    "device.json": '{"device_serial":"DEMO1","hardware_version":"dvt2","software_type":"main","current_version":"1.4.2"}\n',
    "chunks.ndjson": '{"device":"DEMO1","chunk":"CAKmAgIDAQpqc2Vuc29yLWh1YglrMS40LjIrZzNmMmEGZGR2dDIEogEDBQCYrQ=="}\n' * 3,
    # Two chunks of one heartbeat, with a reboot behind it.
    "console.log": "[00:00:10] INFO: MC:SFQCpwIBAwEHalRFU1RTRVJJQUwKbXRlc3Qtc29mdHdhcmUJajEuMC4wLXRlcw==:\n"
                   "[00:00:30] INFO: MC:gCx0Bm10ZXN0LWhhcmR3YXJlBKEBoXJjaHVua190ZXN0X3N1Y2Nlc3MBMeQ=:\n"
                   "\x1b[1;32mMC:CAKmAgIDAQpqc2Vuc29yLWh1YglrMS40LjIrZzNmMmEGZGR2dDIEogEDBQCYrQ==:\x1b[0m\r\n",
    "drive.csv": "speed,gear\n12.5,1\n,N\n",
    "topic": "prod/board/DEMO/memfault/0123456789abcdef0123456789ABCDEF/chunk\n",
    "uplink.toml": 'persistence_path = "state"\n[tcpapps.main]\nunix = "app.sock"\nactions = [{ name = "reboot", timeout = 60 }]\n',
    "gateway.json": '{"project_id": "demo", "device_id": "1", "broker": "localhost", "port": 1}\n',
    # Of the identifiers that canlog makes.
    "car.dbc": "".join(f'BO_ {0x80 + 7 * n} Message{n}: 8 ECU\n SG_ Value{n} : 7|16@0+ (0.1,-40) [0|0] "V" GW\n' for n in range(60)),
}


def unescaped(text):
    return text.replace("\\e", "\\").replace("\\&", "").replace("\\-", "-")


def examples(page):
    """The commands below EXAMPLES: each .Dl line, and each .Bd -literal block as one."""
    section = re.search(r"^\.Sh EXAMPLES\n(.*?)(?=^\.Sh )", page, re.MULTILINE | re.DOTALL)
    found = re.findall(r"^\.Dl ([^\n]+)$|^\.Bd -literal[^\n]*\n(.*?)^\.Ed$", section.group(1), re.MULTILINE | re.DOTALL)
    return [unescaped(line or block) for line, block in found]


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
        message = run("fc-encode", "--quiet", stdin="".join(canlog.lines(10)).encode()).stdout[8:]  # without the frame header
        (cls.folder / "message.bin").write_bytes(message)
        (cls.folder / "bin").mkdir()
        for name, script in STUBS.items():
            stub = cls.folder / "bin" / name
            stub.write_text("#!/bin/sh\n" + script.format(folder=cls.folder) + "\n")
            stub.chmod(0o755)
        authority = peers.Authority(cls.folder)
        certificate, key = authority.server
        for kind in ("pem", "key"):
            os.symlink(f"client.{kind}", cls.folder / f"car.{kind}")
        brokers = {"plain": peers.Broker(), "other": peers.Broker(),
                   "tls": peers.Broker(f"cafile {authority.ca}", f"certfile {certificate}", f"keyfile {key}", "require_certificate true")}
        for broker in brokers.values():
            cls.enterClassContext(broker)
        cls.endpoint = cls.enterClassContext(endpoint.Endpoint([], files={"/fw.bin": FIRMWARE}))
        cls.endpoint.play([{"path": "/api/v0/releases/latest*", "status": 200, "body": json.dumps(
            {"version": "1.5.0", "artifacts": [{"url": cls.endpoint.url + "/fw.bin", "file_size": len(FIRMWARE),
                                                "md5": hashlib.md5(FIRMWARE).hexdigest()}]})}])
        cls.ports = {name: broker.port for name, broker in brokers.items()}
        # Of a pipeline that could not deliver, and whose broker refused nothing.
        run("mqtt-pub", "--broker", "mqtt://127.0.0.1:1", "-t", "t", "--spool", cls.folder / "kept", "--drain-timeout", "0s", stdin=b"1\n2\n")
        uplink = cls.enterClassContext(application_port.Service())
        cls.ports["smp"] = peers.free_port()
        cls.ports["uplink"] = uplink.address.removeprefix(":")
        cls.ports["device"] = cls.enterClassContext(devices.Udp(devices.Device())).place
        (cls.folder / "fw.bin").write_bytes(FIRMWARE)
        records = [{"topic": f"fleet/{number}", "json": {"value": number}, "qos": 1, "retain": True} for number in range(5)]
        records += [{"topic": "flexconnect/bin", "payload_b64": base64.b64encode(message).decode(), "qos": 1, "retain": True}]
        result = run("mqtt-pub", "--broker", brokers["plain"].url, "--from", "envelope",
                     stdin="".join(json.dumps(record) + "\n" for record in records).encode())
        if result.returncode:
            raise AssertionError(result.stderr)

    def execute(self, command):
        """The status and standard error of an example, in a scratch folder of its own."""
        command = substituted(command, **self.ports)
        with tempfile.TemporaryDirectory() as scratch:
            for entry in self.folder.iterdir():
                os.symlink(entry, Path(scratch, entry.name))
            shutil.copytree(self.folder / "kept", Path(scratch, "spool"))
            local = f"mqtt://localhost:{self.ports['plain']}"
            variables = environment(PATH=f"{self.folder}/bin:{BIN}:{os.environ['PATH']}", FC_TOKEN="secret",
                                    MQTT_PUB_BROKER=local, MQTT_SUB_BROKER=local, XDG_STATE_HOME=scratch,
                                    MFLT_RELAY_ENDPOINT=self.endpoint.url, MFLT_OTA_API=self.endpoint.url,
                                    UPLINK_SEND_CONNECT=f":{self.ports['uplink']}")
            shell = subprocess.Popen(["bash", "-e", "-o", "pipefail", "-c", command], cwd=scratch, env=variables, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
            try:
                _, stderr = shell.communicate(timeout=TIMEOUT)
            except subprocess.TimeoutExpired:
                os.killpg(shell.pid, signal.SIGKILL)
                return None, f"did not end: {command}\n{shell.communicate()[1].decode()}"
            return shell.returncode, f"{command}\n{stderr.decode()}"

    def check(self, command):
        with self.subTest(command=command):
            status, text = self.execute(command)
            self.assertEqual(status, 0, text)

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
        status, text = self.execute(commands[0])
        self.assertEqual(status, 64)
        self.assertIn("--no-such: unknown option", text)


if __name__ == "__main__":
    unittest.main()
