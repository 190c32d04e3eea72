// SPDX-License-Identifier: MIT
#include "smp_session/scan.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string_view>
#include <vector>

#include "core/text.h"
#include "json/writer.h"

#ifdef FIELDPIPE_BLUETOOTH
#include "smp_session/bluetooth_transport.h"
#endif

namespace fieldpipe::smp_session {
namespace {

namespace fs = std::filesystem;

// The first line of a small file of sysfs; empty where there is none.
std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return std::string(trimmed(line));
}

void append_member(std::string& out, std::string_view key, std::string_view value) {
  if (value.empty()) return;
  out.push_back(',');
  json::append_string(out, key);
  out.push_back(':');
  json::append_string(out, value);
}

// A port of a chip on the board that is not there has a driver all the same, and the type 0 (linux, serial_core.h).
bool is_present(const fs::path& entry) {
  const std::string type = first_line(entry / "type");
  return type.empty() || type != "0";
}

}  // namespace

Result<void> scan_serial(std::string& out, const std::string& root) {
  std::error_code ignored;
  std::map<std::string, std::string> lasting;  // device name -> path below by-id
  for (const auto& link : fs::directory_iterator(root + "/dev/serial/by-id", ignored)) {
    lasting[fs::read_symlink(link.path(), ignored).filename()] = "/dev/serial/by-id/" + link.path().filename().string();
  }
  std::vector<fs::path> ports;
  for (const auto& entry : fs::directory_iterator(root + "/sys/class/tty", ignored)) {
    // Consoles and pseudo terminals have no device behind them.
    if (fs::exists(entry.path() / "device", ignored) && is_present(entry.path())) ports.push_back(entry.path());
  }
  std::sort(ports.begin(), ports.end());
  for (const fs::path& port : ports) {
    const std::string name = port.filename();
    const std::string path = "/dev/" + name;
    const auto by_id = lasting.find(name);
    out += R"({"kind":"serial","connect":)";
    json::append_string(out, "serial:" + (by_id != lasting.end() ? by_id->second : path));
    append_member(out, "path", path);
    // The interface of the adapter, and above it the adapter.
    const fs::path device = fs::canonical(port / "device", ignored);
    for (fs::path up = device; up.has_relative_path() && up != up.root_path(); up = up.parent_path()) {
      if (!fs::exists(up / "idVendor", ignored)) continue;
      append_member(out, "manufacturer", first_line(up / "manufacturer"));
      append_member(out, "product", first_line(up / "product"));
      append_member(out, "serial", first_line(up / "serial"));
      append_member(out, "usb", first_line(up / "idVendor") + ":" + first_line(up / "idProduct"));
      break;
    }
    out += "}\n";
  }
  return {};
}

void scan(std::string& out, const std::string& adapter, std::chrono::nanoseconds listen, io::Loop& loop,
          cli::Report& report) {
  if (auto found = scan_serial(out); !found) report.fail(found.error());
#ifdef FIELDPIPE_BLUETOOTH
  if (auto heard = scan_bluetooth(out, adapter, monotonic_now() + listen, loop); !heard) {
    report.say("Bluetooth: " + heard.error().what);
  }
#endif
}

}  // namespace fieldpipe::smp_session
