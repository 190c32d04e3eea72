// SPDX-License-Identifier: MIT
#include "smp_session/batch.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "cli/parser.h"
#include "core/text.h"
#include "json/writer.h"
#include "smp_session/options.h"

namespace fieldpipe::smp_session {
namespace {

// Lines that are read ahead: those that wait behind one whose answer is late.
constexpr std::size_t kMaxItems = 1024;

std::string_view kind(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUsage:
    case ErrorCode::kConfig: return "USAGE";
    case ErrorCode::kBadData: return "MALFORMED";
    case ErrorCode::kNoInput:
    case ErrorCode::kIo:
    case ErrorCode::kReaderGone: return "IO";
    case ErrorCode::kRefused: return "REFUSED";
    case ErrorCode::kUnavailable: return "UNAVAILABLE";
    case ErrorCode::kDenied: return "DENIED";
    case ErrorCode::kBug: break;
  }
  return "BUG";
}

}  // namespace

void append_error(std::string& out, const Failure& failure) {
  out += R"("error":{)";
  if (failure.device) {
    const auto name = smp::code_name(*failure.device);
    out += R"("group":)";
    json::append_string(out, smp::print_group(*failure.device));
    out += R"(,"code":)";
    if (name) {
      json::append_string(out, *name);
    } else {
      out += "null";
    }
    out += fmt::format(R"(,"rc":{})", failure.device->rc);
  } else {
    out += fmt::format(R"("code":"{}")", kind(failure.error.code));
  }
  out += R"(,"message":)";
  json::append_string(out, failure.error.what);
  if (!failure.error.hint.empty()) {
    out += R"(,"hint":)";
    json::append_string(out, failure.error.hint);
  }
  out.push_back('}');
}

Batch::Batch(Session& session, const CommandOptions& options, cli::Progress& progress)
    : session_(session),
      options_(options),
      progress_(progress),
      splitter_(record::Framing::kLines, record::kDefaultMaxRecordBytes) {}

Result<void> Batch::run(io::Input& in, io::Output& out) {
  auto window = session_.window();
  if (!window) return tl::make_unexpected(std::move(window).error().error);
  window_ = *window;
  starved_ = true;
  for (;;) {
    if (auto taken = take_lines(in); !taken) return taken;
    if (auto advanced = advance_queue(out); !advanced) return advanced;
    if (items_.empty() && at_end_) return out.flush(session_.loop());
    if (session_.loop().stop_signal()) return out.flush(session_.loop());
    if (auto waited = await(in, out); !waited) {
      // What was answered goes out all the same.
      if (auto flushed = out.flush(session_.loop()); !flushed) return flushed;
      return waited;
    }
  }
}

bool Batch::can_take() const {
  const bool held = !items_.empty() && items_.back().procedure;
  return !starved_ && !held && items_.size() < kMaxItems && session_.under_way() < window_;
}

Result<void> Batch::take_lines(io::Input& in) {
  while (can_take()) {
    const auto step = splitter_.next(in.window(), in.at_end());
    if (!step) return tl::make_unexpected(Error(step.error()).in(in.name()));
    if (step->record) {
      take_line(as_text(*step->record));
    } else {
      starved_ = true;
      at_end_ = in.at_end();
    }
    in.consume(step->used_bytes);
  }
  return {};
}

void Batch::take_line(std::string_view line) {
  if (trimmed(line).empty()) return;
  Item& item = items_.emplace_back();
  auto command = parse(line, item.id);
  if (!command) return settle(item, pass(std::move(command)));
  if (!command->plan) {
    item.procedure = std::move(command->procedure);
    return;
  }
  auto ticket = session_.submit(std::move(command->plan->request));
  if (!ticket) return settle(item, pass(std::move(ticket)));
  item.ticket = *ticket;
  item.print = command->plan->print;
}

Result<Command> Batch::parse(std::string_view line, std::string& id) {
  std::vector<std::string> words;
  std::optional<std::string> group;
  std::optional<std::int64_t> command;
  std::string op = "read";
  std::string payload = "{}";
  const bool whole = [&] {
    bool seen = false;
    reader_.open(line);
    reader_.enter_object();
    while (reader_.next_member()) {
      const std::string_view key = reader_.key();
      if (key == "id") {
        reader_.once(seen);
        id = reader_.text();
      } else if (key == "cmd") {
        words.clear();
        reader_.enter_array();
        while (reader_.next_element()) words.emplace_back(reader_.string());
      } else if (key == "group") {
        group = reader_.type() == json::Type::kString ? reader_.string() : reader_.text();
      } else if (key == "command") {
        command = reader_.integer();
      } else if (key == "op") {
        op = reader_.string();
      } else if (key == "payload") {
        payload = reader_.text();
      } else {
        reader_.refuse(fmt::format("'{}' is no key of a request", printable(key)));
      }
    }
    return reader_.ok();
  }();
  if (auto finished = reader_.finish(); !finished || !whole) {
    id.clear();
    return fail(std::move(finished));
  }
  if (!words.empty() && !group) return parse_words(std::move(words));
  if (!words.empty() || !group || !command) {
    return fail(ErrorCode::kUsage, "a request has cmd, or group and command");
  }
  std::vector<std::string> raw{"raw", *group, fmt::format("{}", *command), op, payload};
  return parse_command(raw, options_);
}

Result<Command> Batch::parse_words(std::vector<std::string> words) {
  const bool is_shell = words[0] == "shell";
  if (is_shell && words.size() > 1 && words[1] == "--") words.erase(words.begin() + 1);
  const auto is_option = [](const std::string& word) { return word.starts_with("--"); };
  if (is_shell || std::none_of(words.begin(), words.end(), is_option)) return parse_command(words, options_);
  CommandOptions options = options_;
  std::vector<std::string> operands;
  cli::OptionTable table;
  declare(table, options);
  table.operands("WORD", operands, "");
  auto parsed = cli::parse_options(table, words, {"smp-query", [](const std::string&) { return std::nullopt; }, {}});
  if (!parsed) return fail(std::move(parsed));
  return parse_command(operands, options);
}

void Batch::settle(Item& item, Outcome<Answered> outcome) {
  item.ticket.reset();
  item.procedure.reset();
  if (outcome) {
    item.answer = R"("result":)" + std::move(outcome->json);
  } else {
    ++failed_;
    append_error(item.answer.emplace(), outcome.error());
  }
}

Result<void> Batch::advance_queue(io::Output& out) {
  while (auto reply = session_.take()) {
    const auto found =
        std::find_if(items_.begin(), items_.end(), [&](const Item& item) { return item.ticket == reply->ticket; });
    if (found != items_.end()) settle(*found, found->print(std::move(reply->payload)));
  }
  while (!items_.empty()) {
    Item& item = items_.front();
    if (item.procedure) {
      // All before it is answered, and nothing behind it was read.
      if (auto flushed = out.flush(session_.loop()); !flushed) return flushed;
      settle(item, item.procedure->run(session_, progress_));
    }
    if (!item.answer) break;
    ++lines_;
    std::string& to = out.buffer();
    to.push_back('{');
    if (!item.id.empty()) to.append(R"("id":)").append(item.id).push_back(',');
    to.append(*item.answer).append("}\n");
    items_.pop_front();
    if (!session_.is_open()) {
      if (auto flushed = out.flush(session_.loop()); !flushed) return flushed;
      return fail(ErrorCode::kUnavailable, "the connection has gone");
    }
    if (out.full()) {
      if (auto flushed = out.flush(session_.loop()); !flushed) return flushed;
    }
  }
  return {};
}

Result<void> Batch::await(io::Input& in, io::Output& out) {
  io::Loop& loop = session_.loop();
  const bool wants_input = starved_ && !in.at_end();
  if (can_take()) return {};
  // The first turn only looks; before the second one waits, what is ready for the reader goes out.
  for (const bool look : {true, false}) {
    if (!look) {
      if (auto flushed = out.flush(loop); !flushed) return flushed;
      loop.watch(out.descriptor(), 0);
    }
    if (wants_input) loop.watch(in.descriptor(), POLLIN);
    session_.watch();
    if (auto waited = loop.wait(look ? std::optional(MonotonicTime{}) : session_.deadline()); !waited) return waited;
    if (loop.stop_signal()) return {};
    if (wants_input && loop.ready(in.descriptor(), POLLIN)) {
      if (auto read = in.read_more(); !read) return read;
      starved_ = false;
    }
    const std::size_t before = session_.under_way();
    // What was answered in the end comes first.
    if (auto advanced = session_.advance(); !advanced && session_.under_way() == before) return advanced;
    if (!starved_ || session_.under_way() != before) return {};
    if (!look && loop.ready(out.descriptor(), 0)) return tl::make_unexpected(io::system_error("stdout", EPIPE));
  }
  return {};
}

}  // namespace fieldpipe::smp_session
