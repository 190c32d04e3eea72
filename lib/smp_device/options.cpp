// SPDX-License-Identifier: MIT
#include "smp_device/options.h"

#include <charconv>
#include <limits>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "cli/file.h"
#include "cli/secret.h"
#include "core/text.h"
#include "io/options.h"
#include "memfault/identity.h"
#include "smp/console.h"
#include "smp/image_file.h"

namespace fieldpipe::smp_device {
namespace {

// What stands in for the key of a project, of which it has the form and no more.
constexpr std::string_view kMadeUpKey = "0123456789abcdef0123456789ABCDEF";

constexpr std::size_t kMostImageBytes = std::size_t{64} << 20U;

std::function<Result<void>(std::string_view)> share(double& target) {
  return [&target](std::string_view text) -> Result<void> {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || !(value >= 0 && value <= 1)) {
      return fail(ErrorCode::kUsage, fmt::format("'{}' is not a number from 0 to 1", printable(text)));
    }
    target = value;
    return {};
  };
}

Result<void> add_missing(std::string_view text, std::vector<Missing>& to) {
  const std::size_t slash = std::min(text.find('/'), text.size());
  const auto group = smp::parse_group(text.substr(0, slash));
  if (!group) return tl::make_unexpected(group.error());
  Missing missing{*group, std::nullopt};
  if (slash < text.size()) {
    missing.id = parse_integer<std::uint8_t>(text.substr(slash + 1));
    if (!missing.id) {
      return fail(ErrorCode::kUsage,
                  fmt::format("'{}' is no command from 0 to 255", printable(text.substr(slash + 1))));
    }
  }
  to.push_back(missing);
  return {};
}

}  // namespace

Options::Options() {
  profile.serial = "SIM1";
  profile.hardware_version = "sim";
  profile.software_type = "app";
  profile.current_version = "1.0.0";
}

void declare(cli::OptionTable& table, Options& options) {
  Profile& profile = options.profile;
  Faults& faults = options.server.faults;
  table
      .parsed("listen", "PLACE", "place to be at: udp[:HOST:PORT], tcp[:HOST:PORT], serial[:PATH] or raw[:PATH]",
              [&options](std::string_view text) -> Result<void> {
                auto place = parse_place(text);
                if (!place) return fail(std::move(place));
                options.place = *std::move(place);
                return {};
              })
      .default_text("udp");
  table.flag("trace", options.server.traces, "print each packet as a JSON line, behind the first line");
  io::declare(table, options.stop);

  table.section("Device");
  table.text("device", "SERIAL", profile.serial, "the serial of the device");
  table.text("hardware-version", "VERSION", profile.hardware_version, "its hardware version");
  table.text("software-type", "TYPE", profile.software_type, "its software type");
  table.text("current-version", "VERSION", profile.current_version, "the version of its first image");
  table.text("project-key-file", "FILE", options.project_key_file, "file with its project key")
      .completes(cli::Completes::kFiles)
      .default_text("a made-up one");
  table.flag("no-key", options.no_key, "no project key was configured");
  table.flag("deny-memfault", profile.denies_memfault, "the application refuses the group memfault");
  table
      .parsed("without", "GROUP[/ID]", "lacks a group or a command, as fs or os/3",
              [&profile](std::string_view text) { return add_missing(text, profile.missing); })
      .repeats();
  table.text("firmware", "FILE", options.image, "the first image, as an MCUboot image file")
      .completes(cli::Completes::kFiles)
      .default_text("a small one of that version");
  table.size("slot-size", profile.slot_bytes, 4096, kMostImageBytes, "room for an image");
  table.flag("crash", profile.test_crashes, "an image under test does not start, and MCUboot goes back");
  table.size("buf-size", profile.buffer_bytes, 96, 65535, "bytes of a buffer");
  table.integer("buf-count", "COUNT", profile.buffers, 1U, 64U, "buffers, of which one less holds requests");
  table.size("line-length", options.line_bytes, 8, smp::kMaxConsoleLineBytes, "longest line of a console frame");
  table.duration("reset-delay", profile.reset_delay, "from the answer to a reset until it happens");
  table.duration("boot-time", profile.boot_time, "from a reset until the device answers again");

  table.section("Faults");
  table.parsed("drop", "SHARE", "lose this share of the packets, both ways", share(faults.drop)).default_text("0");
  table.parsed("garble", "SHARE", "damage a byte in this share", share(faults.garble)).default_text("0");
  table.parsed("duplicate", "SHARE", "repeat this share", share(faults.duplicate)).default_text("0");
  table.parsed("reorder", "SHARE", "hold this share back, so that others overtake", share(faults.reorder))
      .default_text("0");
  table.duration("delay", faults.delay, "answer so much later");
  table.integer("seed", "N", faults.seed, std::uint64_t{0}, std::numeric_limits<std::uint64_t>::max(),
                "the same faults in each run; another number, others");
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  table.integer("reboot-after", "COUNT", options.server.restart_after, std::uint64_t{1}, kMost,
                "lose power with this request");
  table.integer("cut-after", "COUNT", options.server.cut_after, std::uint64_t{1}, kMost,
                "lose the link with this request, for the time of --boot-time");
  table.flag("reenumerate", options.server.reenumerates, "a port at PATH goes away while the device starts");
}

Result<Profile> profile(const Options& options) {
  Profile profile = options.profile;
  if (!options.no_key) {
    auto key = cli::read_secret({.option = "--project-key-file",
                                 .path = options.project_key_file,
                                 .environment = {},
                                 .credential = "project-key"});
    if (!key) return fail(std::move(key));
    if (!*key) *key = kMadeUpKey;
    if (auto checked = memfault::check_project_key(**key); !checked) {
      return fail(ErrorCode::kConfig, "--project-key-file: " + checked.error().what);
    }
    profile.project_key = **std::move(key);
  }
  if (options.image.empty()) {
    profile.image = make_image(smp::parse_image_version(profile.current_version).value_or(smp::ImageVersion{}));
    return profile;
  }
  auto image = cli::read_file(options.image, profile.slot_bytes, ErrorCode::kBadData);
  if (!image) return fail(std::move(image));
  const auto decoded = smp::decode_image_file(as_bytes(*image));
  if (!decoded) return tl::make_unexpected(Error(decoded.error()).in(options.image));
  profile.image = *std::move(image);
  return profile;
}

}  // namespace fieldpipe::smp_device
