// SPDX-License-Identifier: MIT
#include "smp_session/commands.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "cbor/codec.h"
#include "cbor/json.h"
#include "cli/file.h"
#include "core/text.h"
#include "io/file.h"
#include "io/output.h"
#include "json/reader.h"
#include "memfault/identity.h"
#include "smp/enumeration.h"
#include "smp/memfault.h"
#include "smp/os.h"
#include "smp/settings.h"
#include "smp/shell.h"
#include "smp/stat.h"
#include "smp/zephyr.h"
#include "smp_session/upgrade.h"
#include "smp_session/upload.h"

namespace fieldpipe::smp_session {
namespace {

// Images and files to send, which are held in memory.
constexpr std::size_t kMaxFileBytes = std::size_t{64} << 20U;

template <smp::Message T>
Answered answered(const T& message) {
  Answered result;
  smp::append_json(result.json, message);
  return result;
}

template <typename C>
Outcome<Answered> print_response(Outcome<cbor::Value> payload) {
  auto response = Session::decoded<C>(std::move(payload));
  if (!response) return pass(std::move(response));
  return answered(*response);
}

// --- commands of one request

template <typename C>
Command one(const typename C::Request& message = {}) {
  return {{}, Plan{make_request<C>(message), print_response<C>}, {}};
}

// One that does the same when it comes twice.
Command repeatable(Command command) {
  command.plan->request.repeatable = true;
  return command;
}

Command slow(Command command) {
  command.plan->request.slow = true;
  return command;
}

Command many(std::function<Outcome<Answered>(Session&, cli::Progress&)> run) {
  return {{}, std::nullopt, {std::move(run), false}};
}

Command offline(std::function<Outcome<Answered>()> run) {
  return {{}, std::nullopt, {[run = std::move(run)](Session&, cli::Progress&) { return run(); }, true}};
}

// --- memfault

constexpr std::string_view kGroupHint =
    "CONFIG_MEMFAULT_MCUMGR_GRP=y builds the group into the firmware (Memfault SDK 1.36)";
constexpr std::string_view kKeyHint =
    "CONFIG_MEMFAULT_PROJECT_KEY, or CONFIG_MEMFAULT_NCS_PROJECT_KEY in nRF Connect, gives the firmware its key";
constexpr std::string_view kAccessHint =
    "the access callback of the firmware (memfault_mcumgr_set_access_callback) does not allow it";

// Names the setting of the firmware that is missing.
template <typename T>
Outcome<T> with_memfault_hint(Outcome<T> outcome) {
  if (outcome) return outcome;
  Failure failure = std::move(outcome).error();
  std::string& hint = failure.error.hint;
  if (failure.is_general(smp::kNotSupported)) hint = kGroupHint;
  if (failure.is_general(smp::kAccessDenied)) hint = kAccessHint;
  if (failure.is_general(smp::kMessageSize)) hint = "CONFIG_MCUMGR_TRANSPORT_NETBUF_SIZE is too small for the answer";
  // The second is what version 1 makes of the first.
  if (failure.is(smp::Group::kMemfault, smp::kMemfaultNoProjectKey) || failure.is_general(smp::kNoEntry))
    hint = kKeyHint;
  return tl::make_unexpected(std::move(failure));
}

template <typename C>
Outcome<Answered> print_memfault(Outcome<cbor::Value> payload) {
  return print_response<C>(with_memfault_hint(std::move(payload)));
}

template <typename C>
Command memfault_one() {
  return {{}, Plan{make_request<C>(), print_memfault<C>}, {}};
}

// All that a gateway wants to know; the key is left out unless it was asked for.
struct MemfaultRecord {
  smp::memfault::ReadDeviceInfo::Response info;
  std::optional<std::string> project_key;

  template <typename Self, typename Fields>
  static void fields(Self& self, Fields& f) {
    smp::memfault::ReadDeviceInfo::Response::fields(self.info, f);
    f("project_key", self.project_key);
  }
};

Outcome<Answered> run_memfault(Session& session, const CommandOptions& options) {
  auto info = with_memfault_hint(session.ask<smp::memfault::ReadDeviceInfo>());
  if (!info) return pass(std::move(info));
  MemfaultRecord record{*std::move(info), std::nullopt};
  if (options.show_key || !options.save_project_key.empty()) {
    auto key = with_memfault_hint(session.ask<smp::memfault::ReadProjectKey>());
    if (!key) return pass(std::move(key));
    if (!options.save_project_key.empty()) {
      if (auto checked = memfault::check_project_key(key->project_key); !checked) {
        return tl::make_unexpected(Failure(std::move(checked).error().in("malformed answer")));
      }
      // Before the record is printed: who reads it may go for the key at once.
      auto saved = io::replace_file(options.save_project_key, key->project_key + "\n", 0600, io::Durable::kYes);
      if (!saved) return pass(std::move(saved));
    }
    if (options.show_key) record.project_key = key->project_key;
  }
  return answered(record);
}

// --- os

struct InfoField {
  char letter;
  std::string_view name;
};
constexpr std::array<InfoField, 9> kInfoFields{{{'s', "kernel"},
                                                {'n', "node"},
                                                {'r', "release"},
                                                {'v', "version"},
                                                {'b', "build_time"},
                                                {'m', "machine"},
                                                {'p', "processor"},
                                                {'i', "platform"},
                                                {'o', "os"}}};

struct NamedTexts {
  smp::Named<std::string> texts;

  template <typename Self, typename Fields>
  static void fields(Self& self, Fields& f) {
    f.members(self.texts);
  }
};

// Values may hold the spaces that join them, so each is asked for by itself; one that this build does not know is left
// out.
Outcome<Answered> run_info(Session& session) {
  NamedTexts fields;
  for (const auto& [letter, name] : kInfoFields) {
    auto value = session.ask<smp::os::Info>({std::string(1, letter)});
    if (value) {
      fields.texts.emplace_back(name, std::move(value->output));
    } else if (!value.error().device || value.error().is_general(smp::kNotSupported)) {
      return pass(std::move(value));
    }
  }
  return answered(fields);
}

Outcome<Answered> run_bootloader(Session& session) {
  auto loader = session.ask<smp::os::BootLoader>();
  if (!loader) return pass(std::move(loader));
  if (loader->name == "MCUboot") {
    auto mode = session.ask<smp::os::BootLoader>({"mode"});
    if (!mode && !mode.error().device) return pass(std::move(mode));
    if (mode) {
      loader->mode = mode->mode;
      loader->no_downgrade = mode->no_downgrade;
    }
  }
  return answered(*loader);
}

Outcome<Answered> print_reset(Outcome<cbor::Value> payload) {
  if (!payload && payload.error().is_general(smp::kBusy)) payload.error().error.hint = "--force resets all the same";
  return print_response<smp::os::Reset>(std::move(payload));
}

std::string now_text() { return fmt::format("{:%Y-%m-%dT%H:%M:%S}", fmt::gmtime(std::chrono::system_clock::now())); }

// --- image

Result<smp::ByteString> parse_hash(std::string_view text) {
  smp::ByteString hash;
  if (auto decoded = decode_hex(text, hash.bytes); !decoded || hash.bytes.empty()) {
    return fail(ErrorCode::kUsage, fmt::format("'{}' is no hash in hex", printable(text)),
                "image state shows the hashes");
  }
  return hash;
}

Result<Command> write_state(Words operands, bool confirm) {
  smp::image::WriteState::Request request;
  request.confirm = confirm;
  if (!operands.empty()) {
    auto hash = parse_hash(operands[0]);
    if (!hash) return fail(std::move(hash));
    request.hash = *std::move(hash);
  }
  return repeatable(one<smp::image::WriteState>(request));
}

template <typename F>
Command with_file(const std::string& path, F&& use) {
  return many([path, use](Session& session, cli::Progress& progress) -> Outcome<Answered> {
    auto file = cli::read_file(path, kMaxFileBytes, ErrorCode::kBadData);
    if (!file) return pass(std::move(file));
    return use(session, as_bytes(*file), progress);
  });
}

template <typename F>
Command with_image(const std::string& path, F&& use) {
  return with_file(path, [path, use](Session& session, Bytes file, cli::Progress& progress) -> Outcome<Answered> {
    auto image = read_image(file);
    if (!image) return tl::make_unexpected(Failure(std::move(image).error()).in(path));
    return use(session, file, *image, progress);
  });
}

// --- settings, files, shell, groups

// Text, `hex:` with digits, or the content of `@FILE`.
Result<smp::ByteString> parse_bytes(const std::string& text) {
  constexpr std::string_view kHex = "hex:";
  smp::ByteString bytes;
  if (text.starts_with(kHex)) {
    if (auto decoded = decode_hex(std::string_view(text).substr(kHex.size()), bytes.bytes); !decoded) {
      return fail(ErrorCode::kUsage, fmt::format("'{}': {}", printable(text), decoded.error().what));
    }
  } else if (text.starts_with('@')) {
    auto file = cli::read_file(text.substr(1), smp::kMaxPayloadBytes, ErrorCode::kUsage);
    if (!file) return fail(std::move(file));
    bytes.bytes = *std::move(file);
  } else {
    bytes.bytes = text;
  }
  return bytes;
}

struct Transferred {
  std::uint64_t bytes = 0;

  template <typename Self, typename Fields>
  static void fields(Self& self, Fields& f) {
    f("bytes", self.bytes);
  }
};

Outcome<Answered> run_download(Session& session, const std::string& name, const std::string& path,
                               cli::Progress& progress) {
  auto out = io::Output::open(path, true);
  if (!out) return pass(std::move(out));
  auto bytes = download_file(
      session, name,
      [&](std::string_view part) -> Result<void> {
        out->buffer().append(part);
        return out->full() ? out->flush(session.loop()) : Result<void>();
      },
      progress);
  // The device keeps the file open until then, or until it gets tired of it.
  auto closed = session.is_open() ? close_file(session) : Outcome<void>();
  if (!bytes) return pass(std::move(bytes));
  if (!closed && !closed.error().device) return pass(std::move(closed));
  if (auto finished = out->finish(session.loop()); !finished) return pass(std::move(finished));
  return answered(Transferred{*bytes});
}

Outcome<Answered> print_shell(Outcome<cbor::Value> payload) {
  auto response = Session::decoded<smp::shell::Execute>(std::move(payload));
  if (!response) return pass(std::move(response));
  if (!response->status) response->status = std::exchange(response->old_status, std::nullopt);
  Answered result = answered(*response);
  if (response->status.value_or(0) != 0) result.negative = fmt::format("status {}", *response->status);
  return result;
}

// Details where the device gives them, else the numbers with the names that are known.
Outcome<Answered> run_enum(Session& session) {
  auto details = session.ask<smp::enumeration::ReadDetails>();
  if (details) return answered(*details);
  if (!details.error().device) return pass(std::move(details));
  auto list = session.ask<smp::enumeration::List>();
  if (!list) return pass(std::move(list));
  smp::enumeration::ReadDetails::Response response;
  for (const std::uint16_t group : list->groups) {
    const auto name = smp::group_name(static_cast<smp::Group>(group));
    response.groups.push_back({group, name ? std::optional(std::string(*name)) : std::nullopt, std::nullopt});
  }
  return answered(response);
}

Outcome<Answered> print_payload(Outcome<cbor::Value> payload) {
  if (!payload) return pass(std::move(payload));
  Answered result;
  cbor::append_json(result.json, *payload);
  return result;
}

Result<Command> make_raw(Words operands) {
  const auto group = smp::parse_group(operands[0]);
  if (!group) return tl::make_unexpected(group.error());
  const auto id = parse_integer<std::uint8_t>(operands[1]);
  if (!id) return fail(ErrorCode::kUsage, fmt::format("'{}' is not a number from 0 to 255", printable(operands[1])));
  const bool write = operands[2] == "write";
  if (!write && operands[2] != "read") {
    return fail(ErrorCode::kUsage, fmt::format("'{}' is neither read nor write", printable(operands[2])));
  }
  auto plan = plan_raw(*group, *id, write, operands.size() > 3 ? std::string_view(operands[3]) : "{}");
  if (!plan) return fail(std::move(plan));
  return Command{{}, *std::move(plan), {}};
}

// --- the table

struct Entry {
  std::string_view words;
  std::string_view operands;
  std::size_t least;  // operands
  std::size_t most;
  Result<Command> (*make)(Words operands, const CommandOptions& options);
};

constexpr std::size_t kAny = 1000;

constexpr auto kCommands = std::to_array<Entry>({
    {"memfault", "", 0, 0,
     [](Words, const CommandOptions& options) -> Result<Command> {
       return many([options](Session& session, cli::Progress&) { return run_memfault(session, options); });
     }},
    {"memfault info", "", 0, 0,
     [](Words, const CommandOptions&) -> Result<Command> { return memfault_one<smp::memfault::ReadDeviceInfo>(); }},
    {"memfault key", "", 0, 0,
     [](Words, const CommandOptions&) -> Result<Command> { return memfault_one<smp::memfault::ReadProjectKey>(); }},
    {"echo", "TEXT", 1, 1,
     [](Words operands, const CommandOptions&) -> Result<Command> {
       return repeatable(one<smp::os::Echo>({operands[0]}));
     }},
    {"params", "", 0, 0, [](Words, const CommandOptions&) -> Result<Command> { return one<smp::os::Parameters>(); }},
    {"info", "", 0, 0,
     [](Words, const CommandOptions&) -> Result<Command> {
       return many([](Session& session, cli::Progress&) { return run_info(session); });
     }},
    {"bootloader", "", 0, 0,
     [](Words, const CommandOptions&) -> Result<Command> {
       return many([](Session& session, cli::Progress&) { return run_bootloader(session); });
     }},
    {"tasks", "", 0, 0, [](Words, const CommandOptions&) -> Result<Command> { return one<smp::os::TaskStatistics>(); }},
    {"pools", "", 0, 0, [](Words, const CommandOptions&) -> Result<Command> { return one<smp::os::MemoryPools>(); }},
    {"datetime", "", 0, 0,
     [](Words, const CommandOptions&) -> Result<Command> { return one<smp::os::ReadDateTime>(); }},
    {"datetime set", "[TIME]", 0, 1,
     [](Words operands, const CommandOptions&) -> Result<Command> {
       return repeatable(one<smp::os::WriteDateTime>({operands.empty() ? now_text() : operands[0]}));
     }},
    {"reset", "", 0, 0,
     [](Words, const CommandOptions& options) -> Result<Command> {
       Plan plan{make_request<smp::os::Reset>({options.force, options.boot_mode}), print_reset};
       plan.request.may_go = true;
       return Command{{}, std::move(plan), {}};
     }},
    {"image state", "", 0, 0,
     [](Words, const CommandOptions&) -> Result<Command> { return one<smp::image::ReadState>(); }},
    {"image test", "HASH", 1, 1,
     [](Words operands, const CommandOptions&) -> Result<Command> { return write_state(operands, false); }},
    {"image confirm", "[HASH]", 0, 1,
     [](Words operands, const CommandOptions&) -> Result<Command> { return write_state(operands, true); }},
    {"image upload", "FILE", 1, 1,
     [](Words operands, const CommandOptions& options) -> Result<Command> {
       return with_image(operands[0],
                         [options](Session& session, Bytes file, const smp::ImageFile& image,
                                   cli::Progress& progress) -> Outcome<Answered> {
                           auto result =
                               upload_image(session, file, image, {options.image, options.newer_only}, progress);
                           if (!result) return pass(std::move(result));
                           return answered(*result);
                         });
     }},
    {"image erase", "", 0, 0,
     [](Words, const CommandOptions& options) -> Result<Command> {
       return slow(repeatable(one<smp::image::Erase>({options.slot})));
     }},
    {"image slots", "", 0, 0,
     [](Words, const CommandOptions&) -> Result<Command> { return one<smp::image::ReadSlots>(); }},
    {"image info", "FILE", 1, 1,
     [](Words operands, const CommandOptions&) -> Result<Command> {
       return offline([path = operands[0]]() -> Outcome<Answered> {
         auto file = cli::read_file(path, kMaxFileBytes, ErrorCode::kBadData);
         if (!file) return pass(std::move(file));
         auto described = describe_image(as_bytes(*file));
         if (!described) return tl::make_unexpected(Failure(std::move(described).error()).in(path));
         return *std::move(described);
       });
     }},
    {"stat list", "", 0, 0, [](Words, const CommandOptions&) -> Result<Command> { return one<smp::stat::List>(); }},
    {"stat read", "NAME", 1, 1,
     [](Words operands, const CommandOptions&) -> Result<Command> { return one<smp::stat::Read>({operands[0]}); }},
    {"settings read", "NAME", 1, 1,
     [](Words operands, const CommandOptions&) -> Result<Command> {
       return one<smp::settings::Read>({operands[0], std::nullopt});
     }},
    {"settings write", "NAME VALUE", 2, 2,
     [](Words operands, const CommandOptions&) -> Result<Command> {
       auto value = parse_bytes(operands[1]);
       if (!value) return fail(std::move(value));
       return one<smp::settings::Write>({operands[0], *std::move(value)});
     }},
    {"settings delete", "NAME", 1, 1,
     [](Words operands, const CommandOptions&) -> Result<Command> {
       return one<smp::settings::Delete>({operands[0]});
     }},
    {"settings load", "", 0, 0,
     [](Words, const CommandOptions&) -> Result<Command> { return one<smp::settings::Load>(); }},
    {"settings save", "", 0, 0,
     [](Words, const CommandOptions&) -> Result<Command> { return one<smp::settings::Save>(); }},
    {"settings commit", "", 0, 0,
     [](Words, const CommandOptions&) -> Result<Command> { return one<smp::settings::Commit>(); }},
    {"fs download", "NAME FILE", 2, 2,
     [](Words operands, const CommandOptions&) -> Result<Command> {
       if (operands[1] == "-") return fail(ErrorCode::kUsage, "-: a file, because stdout has the results");
       return many([name = operands[0], path = operands[1]](Session& session, cli::Progress& progress) {
         return run_download(session, name, path, progress);
       });
     }},
    {"fs upload", "FILE NAME", 2, 2,
     [](Words operands, const CommandOptions&) -> Result<Command> {
       return with_file(
           operands[0],
           [name = operands[1]](Session& session, Bytes file, cli::Progress& progress) -> Outcome<Answered> {
             auto result = upload_file(session, file, name, progress);
             if (!result) return pass(std::move(result));
             return answered(*result);
           });
     }},
    {"fs status", "NAME", 1, 1,
     [](Words operands, const CommandOptions&) -> Result<Command> { return one<smp::fs::Status>({operands[0]}); }},
    {"fs hash", "NAME [TYPE]", 1, 2,
     [](Words operands, const CommandOptions&) -> Result<Command> {
       smp::fs::Hash::Request request{operands[0], std::nullopt, std::nullopt, std::nullopt};
       if (operands.size() > 1) request.type = operands[1];
       return slow(one<smp::fs::Hash>(request));
     }},
    {"fs types", "", 0, 0, [](Words, const CommandOptions&) -> Result<Command> { return one<smp::fs::HashTypes>(); }},
    {"fs close", "", 0, 0,
     [](Words, const CommandOptions&) -> Result<Command> { return repeatable(one<smp::fs::Close>()); }},
    {"shell", "-- WORD...", 1, kAny,
     [](Words operands, const CommandOptions&) -> Result<Command> {
       return Command{
           {}, Plan{make_request<smp::shell::Execute>({{operands.begin(), operands.end()}}), print_shell}, {}};
     }},
    {"enum", "", 0, 0,
     [](Words, const CommandOptions&) -> Result<Command> {
       return many([](Session& session, cli::Progress&) { return run_enum(session); });
     }},
    {"storage erase", "", 0, 0,
     [](Words, const CommandOptions&) -> Result<Command> { return slow(one<smp::zephyr::EraseStorage>()); }},
    {"raw", "GROUP ID read|write [JSON]", 3, 4,
     [](Words operands, const CommandOptions&) -> Result<Command> { return make_raw(operands); }},
    {"upgrade", "FILE", 1, 1,
     [](Words operands, const CommandOptions& options) -> Result<Command> {
       return with_image(operands[0], [options](Session& session, Bytes file, const smp::ImageFile& image,
                                                cli::Progress& progress) {
         return upgrade(session, file, image, options, progress);
       });
     }},
    // By itself it needs no device, and is done before a command is looked for.
    {"scan", "", 0, 0,
     [](Words, const CommandOptions&) -> Result<Command> { return fail(ErrorCode::kUsage, "is no part of a batch"); }},
});

std::size_t count_words(std::string_view words) {
  return 1 + static_cast<std::size_t>(std::count(words.begin(), words.end(), ' '));
}

std::string_view first_word(std::string_view words) { return words.substr(0, words.find(' ')); }

// For a hint: all commands that begin with this word, or, where there are none, the first words of all.
std::string command_list(std::string_view first) {
  const bool known = std::any_of(kCommands.begin(), kCommands.end(),
                                 [first](const Entry& entry) { return first_word(entry.words) == first; });
  std::string list;
  for (const Entry& entry : kCommands) {
    const std::string_view shown = known ? entry.words : first_word(entry.words);
    if ((known && first_word(entry.words) != first) || list.ends_with(shown)) continue;
    list += (list.empty() ? "" : ", ") + std::string(shown);
  }
  return list;
}

bool begins_with(Words words, std::string_view name) {
  for (const std::string& word : words) {
    if (!name.starts_with(word) || (name.size() > word.size() && name[word.size()] != ' ')) return false;
    if (name.size() == word.size()) return true;
    name.remove_prefix(word.size() + 1);
  }
  return false;
}

}  // namespace

Result<Command> parse_command(Words words, const CommandOptions& options) {
  if (words.empty()) return fail(ErrorCode::kUsage, "no command", command_list({}));
  const Entry* found = nullptr;
  std::vector<std::string> names;
  for (const Entry& entry : kCommands) {
    if (begins_with(words, entry.words) && (found == nullptr || entry.words.size() > found->words.size()))
      found = &entry;
    names.emplace_back(entry.words);
  }
  if (found == nullptr) {
    std::string spelled;
    for (const std::string& word : words.first(std::min<std::size_t>(words.size(), 2))) {
      spelled += (spelled.empty() ? "" : " ") + word;
    }
    const auto near = cli::nearest(spelled, names);
    return fail(ErrorCode::kUsage, fmt::format("'{}' is no command", printable(spelled)),
                near ? fmt::format("did you mean {}?", *near) : command_list(words[0]));
  }
  const Words operands = words.subspan(count_words(found->words));
  if (operands.size() < found->least || operands.size() > found->most) {
    const std::string usage = fmt::format("{}{}{}", found->words, found->operands.empty() ? "" : " ", found->operands);
    return fail(ErrorCode::kUsage,
                operands.size() < found->least
                    ? fmt::format("{}: an operand is missing", found->words)
                    : fmt::format("{}: unexpected operand '{}'", found->words, printable(operands[found->most])),
                usage);
  }
  auto command = found->make(operands, options);
  if (!command) return tl::make_unexpected(std::move(command).error().in(found->words));
  command->name = found->words;
  return command;
}

Result<Plan> plan_raw(smp::Group group, std::uint8_t id, bool write, std::string_view payload_json) {
  json::Reader reader;
  auto payload = cbor::parse_json(reader, payload_json);
  if (!payload) {
    Error error = std::move(payload).error();
    error.code = ErrorCode::kUsage;
    return tl::make_unexpected(std::move(error).in("payload"));
  }
  Plan plan{{.command = {group, id, write ? smp::Op::kWrite : smp::Op::kRead},
             .payload = {},
             .timeout = std::nullopt,
             .retries = std::nullopt},
            print_payload};
  cbor::encode(plan.request.payload, *payload);
  return plan;
}

std::vector<std::string> command_words() {
  std::vector<std::string> all;
  for (const Entry& entry : kCommands) {
    for (std::string_view rest = entry.words; !rest.empty();) {
      const std::string_view word = rest.substr(0, rest.find(' '));
      if (std::find(all.begin(), all.end(), word) == all.end()) all.emplace_back(word);
      rest.remove_prefix(std::min(rest.size(), word.size() + 1));
    }
  }
  return all;
}

}  // namespace fieldpipe::smp_session
