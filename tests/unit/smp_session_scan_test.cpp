// SPDX-License-Identifier: MIT

#include <filesystem>
#include <fstream>
#include <string>

#include <doctest/doctest.h>

#include "scratch.h"
#include "smp_session/scan.h"

namespace fieldpipe::smp_session {
namespace {

namespace fs = std::filesystem;

// A file system with what scan_serial() looks at.
struct Root {
  Scratch scratch;
  fs::path path = scratch.path;

  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((path / name).parent_path());
    std::ofstream(path / name) << text;
  }
};

TEST_CASE("serial ports with what is known of their adapters") {
  const Root root;
  for (const char* name : {"idVendor", "idProduct"}) root.write(std::string("sys/devices/usb1/1-1/") + name, "2fe3\n");
  root.write("sys/devices/usb1/1-1/manufacturer", "ZEPHYR\n");
  root.write("sys/devices/usb1/1-1/product", "CDC \"ACM\"\n");
  fs::create_directories(root.path / "sys/devices/usb1/1-1/1-1:1.0");
  fs::create_directories(root.path / "sys/class/tty/ttyACM0");
  fs::create_directory_symlink(root.path / "sys/devices/usb1/1-1/1-1:1.0", root.path / "sys/class/tty/ttyACM0/device");
  // A chip on the board, a port of it that is not there, and a virtual console.
  root.write("sys/class/tty/ttyS0/type", "4\n");
  root.write("sys/class/tty/ttyS1/type", "0\n");
  for (const char* port : {"ttyS0", "ttyS1"}) fs::create_directories(root.path / "sys/class/tty" / port / "device");
  fs::create_directories(root.path / "sys/class/tty/tty1");
  fs::create_directories(root.path / "dev/serial/by-id");
  fs::create_symlink("../../ttyACM0", root.path / "dev/serial/by-id/usb-ZEPHYR-if00");
  std::string out;
  REQUIRE(scan_serial(out, root.path));
  CHECK(out == R"({"kind":"serial","connect":"serial:/dev/serial/by-id/usb-ZEPHYR-if00","path":"/dev/ttyACM0",)"
               R"("manufacturer":"ZEPHYR","product":"CDC \"ACM\"","usb":"2fe3:2fe3"})"
               "\n"
               R"({"kind":"serial","connect":"serial:/dev/ttyS0","path":"/dev/ttyS0"})"
               "\n");
}

TEST_CASE("a machine without ports") {
  const Root root;
  std::string out;
  REQUIRE(scan_serial(out, root.path));
  CHECK(out.empty());
}

}  // namespace
}  // namespace fieldpipe::smp_session
