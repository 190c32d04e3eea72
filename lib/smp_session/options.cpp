// SPDX-License-Identifier: MIT
#include "smp_session/options.h"

#include <limits>

namespace fieldpipe::smp_session {

void declare(cli::OptionTable& table, CommandOptions& options) {
  table.section("Commands");
  table.flag("show-key", options.show_key, "with memfault, print the project key, too");
  table
      .text("save-project-key", "FILE", options.save_project_key,
            "with memfault, write the project key to this file, mode 0600, before anything is printed")
      .completes(cli::Completes::kFiles);
  table.flag("force", options.force, "with reset and upgrade, also where the device says that it is busy");
  table.integer("boot-mode", "N", options.boot_mode, std::uint64_t{0}, std::uint64_t{255},
                "with reset, 1 stays in the boot loader");
  table.integer("image", "N", options.image, std::uint32_t{0}, std::numeric_limits<std::uint32_t>::max(),
                "with image upload and upgrade, number of the image");
  table
      .integer("slot", "N", options.slot, std::uint32_t{0}, std::numeric_limits<std::uint32_t>::max(),
               "with image erase, the slot")
      .default_text("the device's, 1");
  table.flag("newer-only", options.newer_only,
             "with image upload and upgrade, have the device refuse what is not newer");
  table.choice("mode", "MODE", options.mode,
               {{"test", UpgradeMode::kTest}, {"permanent", UpgradeMode::kPermanent}, {"upload", UpgradeMode::kUpload}},
               "with upgrade, test and confirm, mark for good, or upload only");
  table.flag("no-confirm", options.no_confirm, "with upgrade, leave the confirmation to the device");
  table.flag("dry-run", options.dry_run, "with upgrade, print what would be done");
  table.duration("reboot-timeout", options.reboot_timeout, "with upgrade, how long swapping and starting may take");
}

void declare(cli::OptionTable& table, Options& options) {
  SessionSettings& session = options.session;
  table.section("Connection");
  table
      .parsed("connect", "ADDRESS",
              "the device: serial:PATH[@BAUD], raw:PATH[@BAUD], udp:HOST[:PORT], tcp:HOST:PORT or ble:NAME",
              [&options](std::string_view text) -> Result<void> {
                if (auto target = parse_target(text); !target) return fail(std::move(target));
                options.connect = text;
                return {};
              })
      .letter('c');
  table.duration("timeout", session.timeout, "time limit for an answer, of each attempt")
      .default_text("5s; 40s for erasing and hashing; parts of uploads as answers take");
  table.duration("connect-timeout", session.transport.connect_timeout, "time limit for a connection");
  table.duration("wait", session.wait, "wait this long for port and device to appear; scan: listen so long");
  table.integer("retries", "COUNT", session.retries, 0U, 100U, "repeats of what may be repeated, as reads may");
  table.choice("smp-version", "VERSION", session.version, {{"2", smp::Version::k2}, {"1", smp::Version::k1}},
               "version of the protocol; 1 for stacks that choke on 2");
  table
      .integer("window", "COUNT", session.window, std::size_t{1}, Session::kMaxUnderWay, "requests under way at a time")
      .default_text("one less than the device has buffers, at most 8");
  table.size("mtu", session.transport.mtu_bytes, 96, 65535, "what the link under UDP carries");
  const std::initializer_list<std::pair<std::string_view, std::optional<bool>>> levels{{"on", true}, {"off", false}};
  table.choice("dtr", "LEVEL", session.transport.lines.dtr, levels, "the line DTR of a serial port")
      .default_text("on, as the system sets it");
  table.choice("rts", "LEVEL", session.transport.lines.rts, levels, "the line RTS of a serial port")
      .default_text("on, as the system sets it");
  table.size("line-length", session.transport.line_bytes, 8, smp::kMaxConsoleLineBytes,
             "longest line of a console frame");
  table.duration("line-delay", session.transport.line_delay, "pause behind each line of a console frame")
      .default_text("none, and 10ms in repeats");
  table
      .text("console", "FILE", options.console,
            "append what a console prints besides frames to this file, - for stdout")
      .completes(cli::Completes::kFiles);
  table.section("Bluetooth");
  table.text("adapter", "NAME", session.transport.adapter, "the adapter, as hci0").default_text("the first that is on");
  table.flag("pair", session.transport.pair, "pair first, and not only where the device asks for it");
  table
      .text("passkey-file", "FILE", session.transport.passkey_file,
            "file with the passkey that the device shows, read when it is asked for")
      .completes(cli::Completes::kFiles);
  table.flag("forget", session.transport.forget, "drop the bond and the services that are remembered first");
  declare(table, options.command);
  table.section("Output");
  table.flag("json-errors", options.json_errors, "print failures as JSON on stdout, too");
  cli::declare(table, options.progress);
}

}  // namespace fieldpipe::smp_session
