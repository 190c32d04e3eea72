# SPDX-License-Identifier: MIT
"""A D-Bus of our own with a fake org.bluez on it: Bluetooth for tests, without a radio."""

import pathlib
import subprocess
import tempfile

from tools import BUILD, environment

FAKE = BUILD / "tests" / "fake_bluez"

CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={folder}/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
    <allow user="*"/>
  </policy>
</busconfig>
"""


class Bluetooth:
    """`with Bluetooth("--bond", "123456") as radio:` and then programs run with env=radio.environment."""

    ADDRESS = "C0:FF:EE:00:00:01"
    NAME = "Bench Device"

    def __init__(self, *options, bluez=True):
        self._folder = tempfile.TemporaryDirectory(prefix="fieldpipe-bus-")
        configuration = pathlib.Path(self._folder.name, "bus.conf")
        configuration.write_text(CONFIGURATION.format(folder=self._folder.name))
        self._bus = subprocess.Popen(
            ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--nopidfile", "--print-address"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # it complains of limits it cannot raise
        self._bus.stdout.readline()  # it listens once it has told where
        self.environment = environment(DBUS_SYSTEM_BUS_ADDRESS=f"unix:path={self._folder.name}/bus")
        self.fake = None
        if bluez:
            self.fake = subprocess.Popen([FAKE, *map(str, options)], env=self.environment, stdout=subprocess.PIPE,
                                         text=True)
            assert self.fake.stdout.readline() == "ready\n"

    def stop(self):
        """Ends all of it and gives what the fake printed."""
        said = ""
        for process in filter(None, (self.fake, self._bus)):
            process.terminate()
            said = said or (process.communicate()[0] if process is self.fake else "")
        self._bus.stdout.close()
        self._bus.wait()
        self._folder.cleanup()
        return said

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._bus.returncode is None:
            self.stop()
