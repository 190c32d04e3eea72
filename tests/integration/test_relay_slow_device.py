# SPDX-License-Identifier: MIT
"""A device whose requests the server leaves open does not hold up the others, whatever --connections says."""

import base64
import json
import tempfile
import unittest

import tools
from integration.endpoint import Endpoint
from integration.peers import Running


class SlowDevice(unittest.TestCase):
    def test_others_are_delivered_meanwhile(self):
        lines = [json.dumps({"device": device, "chunk": base64.b64encode(device.encode()).decode()}) for device in ("SLOW", "A", "B")]
        with tempfile.TemporaryDirectory() as folder, Endpoint([{"path": "*/SLOW", "hold": "the others"}]) as server:
            with Running("mflt-relay", "--spool", folder, "--endpoint", server.url, "--connections", "1", "--drain-timeout", "60s",
                         env=tools.environment(MEMFAULT_PROJECT_KEY="k" * 32)) as relay:
                relay.stdin.write("".join(line + "\n" for line in lines).encode())
                relay.stdin.close()
                server.wait(lambda: server.chunks("A") and server.chunks("B"), "the chunks of the others")
                self.assertEqual(server.chunks("SLOW"), [])
                server.release("the others")
                code, out = relay.finish()
            self.assertEqual(code, 0, relay.stderr)
            self.assertEqual({json.loads(line)["device"] for line in out.splitlines()}, {"SLOW", "A", "B"})
            self.assertEqual(server.chunks("SLOW"), [b"SLOW"])
            self.assertLessEqual(len({request.connection for request in server.requests}), 2)


if __name__ == "__main__":
    unittest.main()
