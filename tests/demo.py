"""The main pipeline at work: a CAN log to a broker and back, over TLS with client certificates.

    ./run demo

Starts a mosquitto of its own on a free port with a throwaway certificate authority, publishes a log as FlexConnect
messages, takes them from the broker again and compares. Leaves nothing behind.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import canlog  # noqa: E402
import tools  # noqa: E402
from integration import peers  # noqa: E402

FRAMES = 200_000


def shown(step, command):
    """Prints a pipeline as one would type it."""
    print(f"\n# {step}\n{command}", flush=True)


def main():
    print(f"fieldpipe {tools.VERSION}: a CAN log to an MQTT broker and back\n")
    with tempfile.TemporaryDirectory(prefix="fieldpipe-demo-") as name:
        folder = Path(name)
        canlog.write(folder / "car.log", FRAMES)
        (folder / "token").write_text("a-token-of-the-demo\n")
        authority = peers.Authority(folder)
        certificate, key = authority.server
        with peers.Broker(f"cafile {authority.ca}", f"certfile {certificate}", f"keyfile {key}",
                          "require_certificate true", "max_queued_messages 0") as broker:
            print(f"A mosquitto broker listens on port {broker.port}; it wants TLS and client certificates.")
            return pipeline(folder, broker)


def pipeline(folder, broker):
    identity = f"--broker mqtts://localhost:{broker.port} --cafile ca.pem --cert client.pem --key client.key"
    environment = tools.environment()

    def run(command):
        return subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=folder, env=environment, check=False).returncode

    # The session is made before anything is published, so that the subscriber can come when it likes.
    take = f"mqtt-sub {identity} -c --id demo -q 1 -t flexconnect/bin --to frames"
    ready = run(f"{take} --exit-after-subscribe")
    publish = (f"cat car.log | fc-encode --token-file token | tee sent |\n"
               f"  mqtt-pub {identity} -t flexconnect/bin")
    shown("The log, as candump -L prints it, becomes FlexConnect messages, which go to the broker.", publish)
    published = run(publish)
    messages = sum(1 for _ in records(folder / "sent"))
    receive = f"{take} -C {messages} |\n  tee received | fc-decode --to candump > back.log"
    shown("Back from the broker, decoded to a candump log again.", receive)
    received = run(receive)

    # A message holds milliseconds and the bus number, and not the bit rate switch of CAN FD.
    sent = [comparable(line) for line in (folder / "car.log").read_text().splitlines()]
    back = [comparable(line) for line in (folder / "back.log").read_text().splitlines()]
    equal = sent == back and not (ready or published or received)
    print(f"\nframes in:  {len(sent):,} ({(folder / 'car.log').stat().st_size:,} bytes of text)"
          f"\nmessages:   {messages:,} ({(folder / 'sent').stat().st_size:,} bytes, compressed; "
          f"{'the same' if (folder / 'sent').read_bytes() == (folder / 'received').read_bytes() else 'others'} came back)"
          f"\nframes out: {len(back):,}, {'equal to' if equal else 'NOT equal to'} those that went in")
    return 0 if equal else 1


def records(path):
    """The records of a frame stream."""
    with open(path, "rb") as file:
        while header := file.read(8):
            yield file.read(int.from_bytes(header[4:], "big"))


def comparable(line):
    time, interface, frame = line.split()
    return time[:-4], interface, frame.replace("##1", "##0")


if __name__ == "__main__":
    sys.exit(main())
