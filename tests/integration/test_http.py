# SPDX-License-Identifier: MIT
"""HTTP requests of lib/http against the scripted endpoint: answers, limits, certificates, what a broken server does."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest
import warnings
from pathlib import Path

import tools
from integration.endpoint import Endpoint, Violation, read_multipart
from integration.peers import Authority

DRIVER = str(tools.BUILD / "tests/http_driver")
ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nX-Mark: yes\r\n\r\nok"


class Http(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="fieldpipe-http-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.authority = Authority(cls.folder)

    def send(self, lines, *options, trusted=True, env=None):
        """Answers to these requests, in the order they came, and the connections that were made."""
        if trusted:
            options = ("--cafile", self.authority.ca, *options)
        result = tools.run(DRIVER, *options, stdin="\n".join(lines).encode() + b"\n", env=env)
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        *answers, last = [json.loads(line) for line in result.stdout.splitlines()]
        return answers, last["connections"]

    def one(self, rule, *options, method="GET", **endpoint):
        """The answer when the endpoint does this."""
        with Endpoint([rule], tls=self.authority.server, strict=False, **endpoint) as server:
            answers, _ = self.send([f"{method} {server.url}/x"], *options)
            return answers[0]

    def failure(self, *arguments, **named):
        answer = self.one(*arguments, **named)
        return answer["complete"], answer["failure"]

    def test_a_request_is_what_it_should_be(self):
        with Endpoint(tls=self.authority.server, strict=False) as server:
            answers, _ = self.send([f"POST {server.url}/a?b=%2B some text", f"GET {server.url}/none"], "--header",
                                   "X-One=1", "--header", "Content-Type=a/b", "--header", "X-Empty=", "--connections", "1")
            self.assertEqual([(a["status"], a["complete"], a["failure"], a["error"]) for a in answers],
                             [(202, True, "none", ""), (404, True, "none", "")])
            post, get = server.requests
        self.assertEqual((post.method, post.path, post.body), ("POST", "/a?b=%2B", b"some text"))
        self.assertEqual(sorted(post.headers), [("Content-Length", "9"), ("Content-Type", "a/b"), ("Host", f"localhost:{server.port}"), ("User-Agent", "fieldpipe"),
                                                ("X-Empty", ""), ("X-One", "1")])
        self.assertEqual((get.method, get.body, get.header("Content-Length")), ("GET", b"", ""))

    def test_connections_are_kept_and_limited(self):
        with Endpoint(tls=self.authority.server, strict=False) as server:
            answers, connections = self.send([f"POST {server.url}/{i} x" for i in range(100)], "--connections", "4")
            self.assertEqual({a["status"] for a in answers}, {202})
            self.assertEqual(len(server.requests), 100)
            self.assertEqual({request.connection for request in server.requests}, {1, 2, 3, 4})
            self.assertEqual(connections, 4)

    def test_a_kept_connection_that_was_closed_is_replaced(self):
        with Endpoint([{"drop": True, "skip": 1, "times": 1}], tls=self.authority.server, strict=False) as server:
            answers, connections = self.send([f"POST {server.url}/{i} x" for i in range(3)], "--connections", "1")
            self.assertEqual([a["status"] for a in answers], [202, 202, 202])
            self.assertEqual(connections, 2)
            self.assertEqual([r.path for r in server.requests], ["/0", "/1", "/1", "/2"])

    def test_redirects_are_not_followed(self):
        with Endpoint(tls=self.authority.server, strict=False) as other:
            for status in (301, 302, 303, 307, 308):
                answer = self.one({"status": status, "headers": {"Location": f"{other.url}/"}}, method="POST")
                self.assertEqual((answer["status"], answer["complete"], answer["failure"]), (status, True, "none"))
            self.assertEqual(other.requests, [])

    def test_reset_and_end_at_each_point_of_an_answer(self):
        head = ANSWER.index(b"\r\n\r\n") + 4
        for what in ("reset_at", "end_at"):
            for at in range(len(ANSWER)):
                with self.subTest(what=what, at=at):
                    self.assertEqual(self.failure({"raw": ANSWER.hex(), what: at}), (at >= head, "reset"))
        self.assertEqual(self.failure({"raw": ANSWER.hex()}), (True, "none"))

    def test_limits_of_time(self):
        paced = {"body": "x" * 1000, "pace": [10, 0.05]}
        for name, rule, options, complete in (
                ("no answer", {"hold": "never"}, ("--timeout", "200ms"), False),
                ("slow header", {"raw": ANSWER.hex(), "pace": [1, 0.1]}, ("--timeout", "500ms"), False),
                ("slow body", paced, ("--timeout", "1s"), True),
                ("stalled", {"hold": "never"}, ("--stall", "1"), False),
                ("dribbling", {**paced, "pace": [1, 0.1]}, ("--stall", "2"), False)):
            with self.subTest(name):
                answer = self.one(rule, *options)
                self.assertEqual((answer["complete"], answer["failure"]), (complete, "timeout"))
                self.assertLess(answer["seconds"], 30)
        self.assertEqual(self.failure({}, "--connect-timeout", "200ms", connections=[{"delay": 50}]), (False, "timeout"))

    def test_limits_of_size(self):
        answer = self.one({"header_bytes": 60000})
        self.assertEqual((answer["complete"], answer["failure"]), (True, "none"))
        for rule in ({"header_bytes": 70000}, {"header_bytes": 10_000_000}, {"interim": 10000}):
            with self.subTest(rule):
                answer = self.one(rule)
                self.assertEqual((answer["complete"], answer["failure"], answer["error"]),
                                 (False, "malformed", "a header of more than 64KiB"))
        answer = self.one({"status": 200, "body": "x" * 1048576}, "--keep", "10")
        self.assertEqual((answer["body"], answer["body_bytes"], answer["failure"]), ("x" * 10, 1048576, "none"))
        answer = self.one({"status": 200, "body": "x" * 10_000_000})
        self.assertEqual((answer["complete"], answer["failure"], answer["error"]), (True, "malformed", "a body of more than 1MiB"))
        self.assertEqual(self.one({"interim": 100})["failure"], "none")

    def test_what_is_no_http(self):
        for raw in (b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9):
            with self.subTest(raw):
                self.assertEqual(self.failure({"raw": raw.hex()})[1], "malformed")
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
        self.assertEqual(self.failure({"raw": chunked.hex()}), (True, "reset"))
        answer = self.one({"raw": (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").hex()})
        self.assertEqual((answer["complete"], answer["failure"], answer["body"]), (True, "reset", "abc"))
        answer = self.one({"raw": b"HTTP/1.1 103 Early\r\n\r\n".hex()})
        self.assertEqual((answer["complete"], answer["failure"]), (False, "reset"))

    def test_fields_of_the_answer_are_those_of_the_last_block(self):
        raw = (b"HTTP/1.1 103 Early\r\nRetry-After: 1\r\n\r\nHTTP/1.1 503 No\r\nretry-after: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
               b"0\r\nRetry-After: 9\r\n\r\n")
        answer = self.one({"raw": raw.hex()})
        self.assertEqual((answer["status"], answer["retry_after"]), (503, "5"))

    def test_an_answer_before_the_body_is_read(self):
        answer = self.one({"early": True, "status": 413, "close": True}, "--fill", "300", method="POST")
        self.assertEqual((answer["status"], answer["complete"]), (413, True))

    def test_certificates(self):
        authority = self.authority
        with tempfile.TemporaryDirectory() as folder:
            stranger = Authority(folder)
            for name, pair, reason in (("expired", authority.expired, "certificate has expired"),
                                       ("early", authority.early, "certificate is not yet valid"),
                                       ("other host", authority.other_host, "no alternative certificate subject name matches"),
                                       ("other authority", stranger.server, "unable to get local issuer certificate")):
                with self.subTest(name), Endpoint(tls=pair, strict=False) as server:
                    answers, _ = self.send([f"POST {server.url}/ secret"])
                    self.assertEqual((answers[0]["complete"], answers[0]["failure"]), (False, "tls"))
                    self.assertIn(reason, answers[0]["error"])
                    self.assertEqual(server.requests, [])
            with Endpoint(tls=authority.server) as server:
                answers, _ = self.send([f"GET {server.url}/"], trusted=False)
                self.assertEqual(answers[0]["failure"], "tls")

    def test_old_versions_of_tls_are_refused(self):
        with Endpoint(tls=self.authority.server) as server:
            server.context.set_ciphers("ALL:@SECLEVEL=0")
            with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
                server.context.minimum_version = server.context.maximum_version = ssl.TLSVersion.TLSv1_1
            answers, _ = self.send([f"GET {server.url}/"])
            self.assertEqual(answers[0]["failure"], "tls")

    def test_our_own_certificate(self):
        cert, key = self.authority.client
        with Endpoint(tls=self.authority.server, client_authority=self.authority.ca) as server:
            answers, _ = self.send([f"GET {server.url}/"], "--cert", cert, "--key", key)
            self.assertEqual(answers[0]["status"], 404)
            answers, _ = self.send([f"GET {server.url}/"])
            self.assertNotEqual(answers[0]["failure"], "none")
            self.assertEqual(len(server.requests), 1)

    def test_authorities_on_disk_are_read_for_each_connection(self):
        with tempfile.TemporaryDirectory() as folder, Endpoint([{"close": True}], tls=self.authority.server) as server:
            stranger = Authority(folder)
            trusted = Path(folder, "trusted.pem")
            shutil.copy(stranger.ca, trusted)
            driver = subprocess.Popen([DRIVER, "--cafile", trusted, "--connections", "1", "--interactive"], text=True,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=tools.environment())
            with driver:
                failures = []
                for authority in (stranger, self.authority, stranger):
                    shutil.copy(authority.ca, trusted)
                    driver.stdin.write(f"GET {server.url}/\n")
                    driver.stdin.flush()
                    failures.append(json.loads(driver.stdout.readline())["failure"])
            self.assertEqual(failures, ["tls", "none", "tls"])

    def test_downloads_go_to_the_sink_and_can_be_resumed(self):
        data = os.urandom(3_000_000)
        with Endpoint([{"end_at": 100_000, "file": True, "times": 1}], tls=self.authority.server, files={"/f": data}) as server:
            answers, _ = self.send([f"SAVE {server.url}/f"])
            saved = answers[0]["saved_bytes"]
            self.assertEqual((answers[0]["status"], answers[0]["failure"], answers[0]["body"]), (200, "reset", ""))
            self.assertGreater(saved, 90_000)
            answers, _ = self.send([f"SAVE {server.url}/f", f"SAVE {server.url}/none", f"STOP {server.url}/f"], "--header",
                                   f"Range=bytes={saved}-", "--connections", "1")
        self.assertEqual((answers[0]["status"], answers[0]["saved_bytes"]), (206, len(data) - saved))
        self.assertEqual((answers[1]["status"], answers[1]["saved_bytes"]), (404, 0))
        self.assertEqual((answers[2]["status"], answers[2]["failure"]), (206, "sink"))

    def test_proxies_come_from_the_environment(self):
        # A proxy of its own: each CONNECT gets the next of these answers.
        said = []

        def proxy(listener):
            for answer in (b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n"):
                connection, _ = listener.accept()
                with connection:
                    said.append(connection.recv(4096).decode())
                    connection.sendall(answer)

        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=proxy, args=(listener,), daemon=True)
            thread.start()
            env = tools.environment(https_proxy=f"http://127.0.0.1:{listener.getsockname()[1]}",
                                    http_proxy=f"http://127.0.0.1:{listener.getsockname()[1]}")
            answers, _ = self.send(["POST https://example.invalid/path secret"] * 2, "--connections", "1", "--header",
                                   "X-Key=verysecret", env=env)
            thread.join()
            self.assertEqual([(a["status"], a["complete"], a["failure"]) for a in answers],
                             [(407, True, "connect"), (0, False, "connect")])
            for text in said:
                self.assertTrue(text.startswith("CONNECT example.invalid:443 HTTP/1.1\r\n"))
                self.assertNotIn("secret", text)
            with Endpoint(strict=False) as server:  # what goes to this machine in the clear goes to no proxy
                answers, _ = self.send([f"GET {server.url}/"], env=env)
                self.assertEqual(answers[0]["status"], 404)

    def test_a_host_that_does_not_answer_or_exist(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        answers, _ = self.send([f"GET https://127.0.0.1:{port}/"])
        self.assertEqual((answers[0]["status"], answers[0]["failure"]), (0, "connect"))
        answers, _ = self.send(["GET https://host.invalid/"])
        self.assertEqual((answers[0]["failure"], answers[0]["error"]), ("resolve", "could not resolve host: host.invalid"))

    def test_a_name_server_that_does_not_answer_holds_up_nobody_else(self):
        with Endpoint(tls=self.authority.server, strict=False) as server:
            lines = ["GET https://silent.invalid/"] + [f"POST {server.url}/{i} x" for i in range(20)]
            options = ("--cafile", self.authority.ca, "--connections", "2", "--connect-timeout", "1s")
            result = tools.run(f"{DRIVER}_unresolved", *options, stdin="\n".join(lines).encode())
            self.assertEqual((result.returncode, result.stderr), (0, b""))
            *answers, slow, _ = [json.loads(line) for line in result.stdout.splitlines()]
            self.assertEqual({a["status"] for a in answers}, {202})
            self.assertLess(max(a["seconds"] for a in answers), 1)
            self.assertEqual((slow["failure"], slow["url"]), ("timeout", "https://silent.invalid/"))
            self.assertLess(slow["seconds"], 20)


class TheEndpointIsStrict(unittest.TestCase):
    def test_multipart(self):
        part = b"--B\r\nContent-Type: application/octet-stream\r\nContent-Length: 3\r\n\r\nabc\r\n"
        self.assertEqual(read_multipart(part + part + b"--B--\r\n", b"B"), [b"abc", b"abc"])
        for body in (b"", b"--B--\r\n", part, part + b"--B--", part + b"--B--\r\n\r\n", b"\r\n" + part + b"--B--\r\n",
                     part.replace(b"abc", b"ab") + b"--B--\r\n", part.replace(b"abc", b"abcd") + b"--B--\r\n",
                     part.replace(b": 3", b": 03") + b"--B--\r\n", part.replace(b"\r\n", b"\n") + b"--B--\n",
                     part.replace(b"abc", b"aBc") + b"--B--\r\n", part.replace(b"Content-Type: application/octet-stream\r\n", b"") + b"--B--\r\n"):
            with self.subTest(body), self.assertRaises(Violation):
                read_multipart(body, b"B")

    def test_what_no_client_may_send(self):
        good = ("POST /api/v0/chunks/A HTTP/1.1", "Host: a", f"Memfault-Project-Key: {'k' * 32}", "Content-Type: application/octet-stream",
                "Content-Length: 1")
        cases = [good[0].replace("/A", "/.."), good[0].replace("/A", "/a%2fb"), good[0].replace("1.1", "1.0")]
        requests = [(case, *good[1:]) for case in cases] + [good[:n] + good[n + 1:] for n in range(1, 5)]
        requests += [(*good, "Expect: 100-continue"), (*good[:4], "Transfer-Encoding: chunked")]
        for lines in requests:
            with self.subTest(lines), self.assertRaises(Violation), Endpoint() as server:
                with socket.create_connection(("127.0.0.1", server.port)) as connection:
                    connection.sendall("\r\n".join((*lines, "", "x")).encode())
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(4096):
                        pass
        with Endpoint() as server, socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall("\r\n".join((*good, "", "x")).encode())
            self.assertTrue(connection.recv(4096).startswith(b"HTTP/1.1 202 "))
            self.assertEqual(server.chunks("A"), [b"x"])


if __name__ == "__main__":
    unittest.main()
