// SPDX-License-Identifier: MIT
#include "smp_device/device.h"

#include <algorithm>
#include <array>
#include <concepts>
#include <string_view>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "core/text.h"
#include "smp/enumeration.h"
#include "smp/error.h"
#include "smp/fs.h"
#include "smp/image.h"
#include "smp/memfault.h"
#include "smp/settings.h"
#include "smp/shell.h"
#include "smp/stat.h"
#include "smp/zephyr.h"

namespace fieldpipe::smp_device {
namespace {

using smp::Group;
using smp::Op;

// General codes that only devices need.
constexpr std::int64_t kCorrupt = 9;
constexpr std::int64_t kTooNew = 13;

// Codes of groups.
constexpr std::int64_t kOsInvalidFormat = 2;
constexpr std::int64_t kOsNoAnswer = 3;
constexpr std::int64_t kOsClockNotSet = 4;
constexpr std::int64_t kStatInvalidName = 3;
constexpr std::int64_t kShellEmpty = 3;
constexpr std::int64_t kEnumIndexTooLarge = 4;

// What a part of a file leaves of a buffer for the rest of the answer.
constexpr std::size_t kPartOverheadBytes = 44;

// What MCUboot's serial recovery says of itself.
constexpr std::uint32_t kRecoveryBufferBytes = 1024;

struct GroupRow {
  Group group;
  std::string_view name;
};
// In the order of Zephyr's linker, which is that of the names.
constexpr std::array kGroups{
    GroupRow{Group::kEnum, "enum mgmt"},
    GroupRow{Group::kFs, "fs mgmt"},
    GroupRow{Group::kImage, "img mgmt"},
    GroupRow{Group::kMemfault, "memfault mgmt"},
    GroupRow{Group::kOs, "os mgmt"},
    GroupRow{Group::kSettings, "settings mgmt"},
    GroupRow{Group::kShell, "shell mgmt"},
    GroupRow{Group::kStat, "stat mgmt"},
    GroupRow{Group::kZephyr, "zephyr basic mgmt"},
};

// Letters of the formats of `info`, in the order of the output.
constexpr std::array<std::pair<char, std::string_view>, 9> kInfo{{{'s', "Zephyr"},
                                                                  {'n', "unknown"},
                                                                  {'r', "684c9e8f32e4"},
                                                                  {'v', "4.4.0"},
                                                                  {'b', "Wed Jun  3 22:19:37 2026"},
                                                                  {'m', "posix"},
                                                                  {'p', "x86"},
                                                                  {'i', "native_sim/native"},
                                                                  {'o', "Zephyr"}}};

}  // namespace

// One command: what it is and who answers.
struct Device::Row {
  smp::Command command;
  Answer (*serve)(Device& device, Bytes payload);
};

struct Device::Serving {
  template <typename C, auto kServe>
  static Answer serve(Device& device, Bytes payload) {
    // What takes no input does not look at it.
    typename C::Request request;
    if constexpr (!std::same_as<typename C::Request, smp::Nothing>) {
      const auto value = smp::decode_payload(payload);
      if (!value) return refuse(smp::kInvalid);
      auto decoded = smp::decode<typename C::Request>(*value);
      if (!decoded) return refuse(smp::kInvalid);
      request = *std::move(decoded);
    }
    return kServe(device, request);
  }
  template <typename C, auto kServe>
  static constexpr Row row(Op op = C::kCommand.op) {
    return {{C::kCommand.group, C::kCommand.id, op}, &serve<C, kServe>};
  }
};

struct Device::Table : Serving {
  static constexpr std::array kRows{
      row<smp::image::Upload, [](Device& d, const auto& request) { return d.slots_.upload(request); }>(),
      row<smp::os::Echo, [](Device& d, const auto& request) { return d.echo(request); }>(),
      row<smp::os::Echo, [](Device& d, const auto& request) { return d.echo(request); }>(Op::kRead),
      row<smp::os::TaskStatistics, [](Device& d, const auto&) { return d.tasks(); }>(),
      row<smp::os::MemoryPools, [](Device& d, const auto&) { return d.pools(); }>(),
      row<smp::os::ReadDateTime, [](Device& d, const auto&) { return d.read_clock(); }>(),
      row<smp::os::WriteDateTime, [](Device& d, const auto& request) { return d.set_clock(request); }>(),
      row<smp::os::Reset, [](Device& d, const auto& request) { return d.reset(request); }>(),
      row<smp::os::Parameters, [](Device& d, const auto&) { return d.parameters(); }>(),
      row<smp::os::Info, [](Device& d, const auto& request) { return d.info(request); }>(),
      row<smp::os::BootLoader, [](Device& d, const auto& request) { return d.boot_loader(request); }>(),
      row<smp::image::ReadState, [](Device& d, const auto&) { return d.slots_.state(); }>(),
      row<smp::image::WriteState, [](Device& d, const auto& request) { return d.slots_.set_state(request); }>(),
      row<smp::image::Erase, [](Device& d, const auto& request) { return d.slots_.erase(request); }>(),
      row<smp::image::ReadSlots, [](Device& d, const auto&) { return d.slots_.info(); }>(),
      row<smp::stat::List, [](Device& d, const auto&) { return d.list_statistics(); }>(),
      row<smp::stat::Read, [](Device& d, const auto& request) { return d.read_statistics(request.name); }>(),
      row<smp::settings::Read, [](Device& d, const auto& request) { return d.settings_.read(request); }>(),
      row<smp::settings::Write, [](Device& d, const auto& request) { return d.settings_.write(request); }>(),
      row<smp::settings::Delete, [](Device& d, const auto& request) { return d.settings_.remove(request); }>(),
      row<smp::settings::Commit, [](Device&, const auto&) { return answer(smp::Nothing{}); }>(),
      row<smp::settings::Load, [](Device& d, const auto&) { return d.settings_.load(); }>(),
      row<smp::settings::Save, [](Device& d, const auto&) { return d.settings_.save(); }>(),
      row<smp::fs::Download, [](Device& d, const auto& request) { return d.files_.download(request); }>(),
      row<smp::fs::Upload, [](Device& d, const auto& request) { return d.files_.upload(request); }>(),
      row<smp::fs::Status, [](Device& d, const auto& request) { return d.files_.status(request); }>(),
      row<smp::fs::Hash, [](Device& d, const auto& request) { return d.files_.hash(request); }>(),
      row<smp::fs::HashTypes, [](Device& d, const auto&) { return d.files_.hash_types(); }>(),
      row<smp::fs::Close, [](Device& d, const auto&) { return d.files_.close(); }>(),
      row<smp::shell::Execute, [](Device& d, const auto& request) { return d.execute(request.arguments); }>(),
      row<smp::enumeration::Count,
          [](Device& d, const auto&) { return answer(smp::enumeration::Count::Response{d.groups().size()}); }>(),
      row<smp::enumeration::List,
          [](Device& d, const auto&) { return answer(smp::enumeration::List::Response{d.groups()}); }>(),
      row<smp::enumeration::Single,
          [](Device& d, const auto& request) -> Answer {
            const auto groups = d.groups();
            const auto index = request.index.value_or(0);
            if (index >= groups.size()) return refuse(Group::kEnum, kEnumIndexTooLarge);
            return answer(smp::enumeration::Single::Response{groups[index], index + 1 == groups.size()});
          }>(),
      row<smp::enumeration::ReadDetails,
          [](Device& d, const auto& request) { return d.describe_groups(request.groups); }>(),
      row<smp::zephyr::EraseStorage, [](Device& d, const auto&) { return d.settings_.erase(); }>(),
      row<smp::memfault::ReadDeviceInfo, [](Device& d, const auto&) { return d.device_info(); }>(),
      row<smp::memfault::ReadProjectKey, [](Device& d, const auto&) { return d.project_key(); }>(),
  };
};

Device::Device(Profile profile, MonotonicTime now)
    : profile_(std::move(profile)),
      slots_(profile_.image, profile_.slot_bytes, profile_.test_crashes),
      files_(profile_.buffer_bytes > 2 * kPartOverheadBytes ? profile_.buffer_bytes - kPartOverheadBytes
                                                            : profile_.buffer_bytes / 2),
      now_(now),
      started_(now) {}

void Device::receive(Bytes buffer, MonotonicTime now, std::vector<std::string>& answers) {
  now_ = now;
  while (runs()) {
    const auto header = smp::decode_header(buffer);
    if (!header) return;
    buffer = buffer.subspan(smp::kHeaderBytes);

    smp::Header reply = *header;
    reply.version = std::min(header->version, smp::Version::k2);
    // A request whose op is none is answered as a write.
    reply.op = header->op == Op::kRead ? Op::kReadResponse : Op::kWriteResponse;
    reply.flags = 0;
    const bool is_whole = header->length <= buffer.size();
    auto served = !is_whole                          ? refuse(kCorrupt)
                  : header->version != reply.version ? refuse(kTooNew)
                  : state_ == State::kRecovery       ? serve_recovery(*header, buffer.first(header->length))
                                                     : serve(*header, buffer.first(header->length));
    if (served && served->size() > buffer_bytes() - smp::kHeaderBytes) {
      // Lists of the enumeration group were seen to be called corrupt, because their encoder fails.
      served = refuse(header->group == Group::kEnum ? kCorrupt : smp::kMessageSize);
    }
    smp::append_packet(answers.emplace_back(), reply,
                       as_bytes(served ? *served : print_failure(served.error(), reply.version)));
    if (!served) return;
    buffer = buffer.subspan(header->length);
  }
}

bool Device::is_missing(Group group, std::uint8_t id) const {
  return std::any_of(profile_.missing.begin(), profile_.missing.end(),
                     [&](const Missing& missing) { return missing.group == group && missing.id.value_or(id) == id; });
}

Answer Device::serve(const smp::Header& header, Bytes payload) {
  const smp::Command command{header.group, header.command, header.op};
  const auto row = std::find_if(Table::kRows.begin(), Table::kRows.end(),
                                [&](const Row& candidate) { return candidate.command == command; });
  if (row == Table::kRows.end() || is_missing(command.group, command.id)) return refuse(smp::kNotSupported);
  if (command.group == Group::kMemfault && profile_.denies_memfault) return refuse(smp::kAccessDenied);
  return row->serve(*this, payload);
}

Answer Device::serve_recovery(const smp::Header& header, Bytes payload) {
  const smp::Command command{header.group, header.command, header.op};
  if (command == smp::os::Parameters::kCommand) {
    return answer(smp::os::Parameters::Response{kRecoveryBufferBytes, 1});
  }
  if (command == smp::image::ReadState::kCommand) return slots_.recovery_state();
  if (command == smp::image::Upload::kCommand) {
    return Table::serve<smp::image::Upload, [](Device& d, const auto& request) {
      return d.slots_.recovery_upload(request);
    }>(*this, payload);
  }
  if (command == smp::os::Reset::kCommand) {
    auto done = reset({});
    if (!done) return done;
    std::string ok;
    cbor::encode(ok, cbor::Value::Map{{"rc", 0}}, cbor::Lengths::kIndefinite);
    return ok;
  }
  return refuse(smp::kNotSupported);
}

void Device::advance(MonotonicTime now) {
  if (resets_ && now >= *resets_) {
    const bool stays = stays_in_boot_loader_;
    restart(*resets_);
    stays_in_boot_loader_ = stays;
  }
  if (!runs() && now >= started_) {
    if (!stays_in_boot_loader_) slots_.start();
    state_ = stays_in_boot_loader_ ? State::kRecovery : State::kFirmware;
  }
}

std::optional<MonotonicTime> Device::deadline() const {
  if (!runs()) return started_;
  return resets_;
}

std::uint32_t Device::buffer_bytes() const {
  return state_ == State::kRecovery ? kRecoveryBufferBytes : profile_.buffer_bytes;
}

void Device::restart(MonotonicTime now) {
  resets_.reset();
  stays_in_boot_loader_ = false;
  slots_.lose_memory();
  (void)files_.close();
  (void)settings_.load();
  state_ = State::kStarting;
  started_ = now + profile_.boot_time;
  ++starts_;
}

Answer Device::echo(const smp::os::Echo::Request& request) { return answer(smp::os::Echo::Response{request.text}); }

Answer Device::tasks() {
  const auto make = [](std::int64_t priority, std::uint64_t id, std::uint64_t state, std::uint64_t stack) {
    smp::os::Task task;
    task.priority = priority;
    task.id = id;
    task.state = state;
    task.stack_size = stack;
    task.stack_used = 6;
    return task;
  };
  return answer(smp::os::TaskStatistics::Response{{{"", make(-16, 0, 4, 6)},
                                                   {"mcumgr smp", make(3, 1, 128, 512)},
                                                   {"sysworkq", make(-1, 2, 2, 576)},
                                                   {"shell_dummy", make(14, 3, 2, 512)},
                                                   {"idle", make(15, 4, 0, 64)},
                                                   {"main", make(0, 5, 4, 544)}}});
}

Answer Device::pools() {
  return answer(smp::os::MemoryPools::Response{{{"pool_a", {64, 10, 7, 3}}, {"pool_b", {128, 4, 4, 4}}}});
}

Answer Device::read_clock() {
  if (!clock_) return refuse(Group::kOs, kOsClockNotSet);
  const auto time = std::chrono::floor<std::chrono::seconds>(
      *clock_ + std::chrono::duration_cast<std::chrono::nanoseconds>(now_ - clock_set_));
  return answer(smp::os::ReadDateTime::Response{fmt::format("{:%FT%T}", fmt::gmtime(time.time_since_epoch().count()))});
}

Answer Device::set_clock(const smp::os::WriteDateTime::Request& request) {
  constexpr std::size_t kLeast = 19;  // without a fraction
  constexpr std::size_t kMost = 26;
  if (request.datetime.size() < kLeast || request.datetime.size() > kMost) return refuse(smp::kInvalid);
  const auto time = parse_wall_time(request.datetime + "Z");
  if (!time) return refuse(smp::kInvalid);
  clock_ = *time;
  clock_set_ = now_;
  return answer(smp::Nothing{});
}

Answer Device::reset(const smp::os::Reset::Request& request) {
  resets_ = now_ + profile_.reset_delay;
  stays_in_boot_loader_ = request.boot_mode == std::uint64_t{1};
  return answer(smp::Nothing{});
}

Answer Device::parameters() { return answer(smp::os::Parameters::Response{profile_.buffer_bytes, profile_.buffers}); }

Answer Device::info(const smp::os::Info::Request& request) {
  const std::string format = request.format.value_or("s");
  const bool all = format.find('a') != std::string::npos;
  const bool known = std::all_of(format.begin(), format.end(), [](char letter) {
    return letter == 'a' ||
           std::any_of(kInfo.begin(), kInfo.end(), [&](const auto& row) { return row.first == letter; });
  });
  if (!known) return refuse(Group::kOs, kOsInvalidFormat);
  smp::os::Info::Response response;
  for (const auto& [letter, value] : kInfo) {
    if (!all && format.find(letter) == std::string::npos) continue;
    if (!response.output.empty()) response.output += ' ';
    response.output += value;
  }
  return answer(response);
}

Answer Device::boot_loader(const smp::os::BootLoader::Request& request) {
  constexpr std::int64_t kSwapWithoutScratch = 3;
  smp::os::BootLoader::Response response;
  if (!request.query) {
    response.name = "MCUboot";
  } else if (*request.query == "mode") {
    response.mode = kSwapWithoutScratch;
  } else {
    return refuse(Group::kOs, kOsNoAnswer);
  }
  return answer(response);
}

Answer Device::list_statistics() {
  return answer(smp::stat::List::Response{{"flash_sim_stats", "flash_sim_thresholds", "smp_svr_stats"}});
}

Answer Device::read_statistics(const std::string& name) {
  smp::stat::Read::Response response;
  response.name = name;
  if (name == "flash_sim_stats") {
    response.values = {{"bytes_written", slots_.written_bytes()}};
  } else if (name == "flash_sim_thresholds") {
    response.values = {{"max_write_calls", 0}, {"max_erase_calls", 0}, {"max_len", 0}};
  } else if (name == "smp_svr_stats") {
    response.values = {{"ticks", static_cast<std::uint64_t>(
                                     std::chrono::duration_cast<std::chrono::seconds>(now_ - started_).count())}};
  } else {
    return refuse(Group::kStat, kStatInvalidName);
  }
  return answer(response);
}

Answer Device::execute(const std::vector<std::string>& arguments) {
  constexpr std::int64_t kNoExec = -8;  // -ENOEXEC
  if (arguments.empty()) return refuse(Group::kShell, kShellEmpty);
  smp::shell::Execute::Response response;
  response.status = 0;
  if (arguments == std::vector<std::string>{"kernel", "version"}) {
    response.output = "\r\nZephyr version 4.4.0\r\n";
  } else {
    response.output = fmt::format("\r\n\x1b[1;31m{}: command not found\r\n\x1b[m", arguments.front());
    response.status = kNoExec;
  }
  return answer(response);
}

std::vector<std::uint16_t> Device::groups() const {
  std::vector<std::uint16_t> groups;
  for (const GroupRow& row : kGroups) {
    const bool missing = std::any_of(profile_.missing.begin(), profile_.missing.end(), [&](const Missing& candidate) {
      return candidate.group == row.group && !candidate.id;
    });
    if (!missing) groups.push_back(static_cast<std::uint16_t>(row.group));
  }
  return groups;
}

Answer Device::describe_groups(const std::optional<std::vector<std::uint16_t>>& wanted) {
  smp::enumeration::ReadDetails::Response response;
  for (const std::uint16_t number : groups()) {
    if (wanted && std::find(wanted->begin(), wanted->end(), number) == wanted->end()) continue;
    const auto group = static_cast<Group>(number);
    // Zephyr counts the rows of its table, gaps included.
    std::uint64_t handlers = 0;
    for (const Row& row : Table::kRows) {
      if (row.command.group == group && !is_missing(group, row.command.id)) {
        handlers = std::max<std::uint64_t>(handlers, row.command.id + std::uint64_t{1});
      }
    }
    const auto* const name =
        std::find_if(kGroups.begin(), kGroups.end(), [&](const GroupRow& row) { return row.group == group; });
    response.groups.push_back({number, std::string(name->name), handlers});
  }
  return answer(response);
}

Answer Device::device_info() {
  return answer(smp::memfault::ReadDeviceInfo::Response{
      profile_.serial, profile_.hardware_version, profile_.software_type,
      slots_.original_runs() ? profile_.current_version : smp::print(slots_.version())});
}

Answer Device::project_key() {
  if (!profile_.project_key) return refuse(Group::kMemfault, smp::kMemfaultNoProjectKey);
  return answer(smp::memfault::ReadProjectKey::Response{*profile_.project_key});
}

}  // namespace fieldpipe::smp_device
