// SPDX-License-Identifier: MIT
#include "smp_session/query.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "io/input.h"
#include "io/output.h"
#include "smp_session/batch.h"
#include "smp_session/scan.h"

namespace fieldpipe::smp_session {
namespace {

// Devices advertise every second or so; those that save power take longer.
constexpr std::chrono::seconds kListen{4};

// Where the text of a console goes: a file that grows as it comes, or the results' own output.
Result<std::function<void(std::string_view)>> open_console(const std::string& path, io::Output& out,
                                                           io::Descriptor& file, cli::Report& report) {
  if (path.empty()) return std::function<void(std::string_view)>();
  if (path == "-") return [&out](std::string_view text) { out.buffer().append(text); };
  auto opened = io::open_to_write(path, O_CREAT | O_APPEND);
  if (!opened) return fail(std::move(opened));
  file = *std::move(opened);
  return [fd = file.get(), path, &report, told = false](std::string_view text) mutable {
    while (!text.empty()) {
      const ssize_t count = ::write(fd, text.data(), text.size());
      if (count < 0) {
        // The log of a device is worth less than what is being done to it, so nothing waits or fails here.
        if (!std::exchange(told, true))
          report.warn(io::system_error(path, errno).what + "; text of the console is lost");
        return;
      }
      text.remove_prefix(static_cast<std::size_t>(count));
    }
  };
}

void print_failure(const Failure& failure, bool as_json, io::Output& out, cli::Report& report) {
  if (as_json) {
    out.buffer().push_back('{');
    append_error(out.buffer(), failure);
    out.buffer().append("}\n");
  }
  report.fail(failure.error);
}

Outcome<void> run(const Options& options, cli::Report& report, io::Loop& loop, io::Output& out) {
  const bool is_batch = options.words.size() == 1 && options.words[0] == "-";
  if (options.words.size() == 1 && options.words[0] == "scan") {
    scan(out.buffer(), options.session.transport.adapter, options.session.wait.value_or(kListen), loop, report);
    return {};
  }
  Command command;
  if (!is_batch) {
    auto parsed = parse_command(options.words, options.command);
    if (!parsed) return pass(std::move(parsed));
    command = *std::move(parsed);
  }
  const bool is_offline = !is_batch && !command.plan && command.procedure.offline;
  if (options.connect.empty() && !is_offline) {
    return fail(ErrorCode::kUsage, "no device", "-c udp:HOST, -c serial:PATH; scan lists what there is");
  }
  if (options.session.timeout && options.session.timeout->count() <= 0)
    return fail(ErrorCode::kUsage, "--timeout: must be more than 0");
  auto target = is_offline ? Result<Target>(Target{}) : parse_target(options.connect);
  if (!target) return pass(std::move(target));

  io::Descriptor console_file;
  SessionSettings settings = options.session;
  auto console = open_console(options.console, out, console_file, report);
  if (!console) return pass(std::move(console));
  settings.transport.console = *std::move(console);
  if (options.console == "-") settings.before_wait = [&] { return out.flush(loop); };
  Session session(*std::move(target), std::move(settings), loop);
  cli::Progress progress(options.progress, report);
  if (!is_offline) {
    if (auto opened = session.open(); !opened) return opened;
  }
  if (is_batch) {
    auto in = io::Input::standard();
    if (!in) return pass(std::move(in));
    Batch batch(session, options.command, progress);
    auto done = batch.run(*in, out);
    if (batch.failed() > 0) report.partial(fmt::format("{} of {} requests failed", batch.failed(), batch.lines()));
    if (!done) return pass(std::move(done));
    return {};
  }
  Outcome<Answered> answered = command.plan ? command.plan->print(session.ask(std::move(command.plan->request)))
                                            : command.procedure.run(session, progress);
  if (!answered) return tl::make_unexpected(std::move(answered).error().in(command.name));
  out.buffer().append(answered->json).push_back('\n');
  if (!answered->negative.empty()) report.partial(fmt::format("{}: {}", command.name, answered->negative));
  return {};
}

}  // namespace

void query(const Options& options, cli::Report& report, io::Loop& loop) {
  auto out = io::Output::standard(false);
  if (!out) return report.fail(out.error());
  auto done = run(options, report, loop, *out);
  // A run that was asked to stop says no more than that.
  if (!done && !loop.stop_signal()) print_failure(done.error(), options.json_errors, *out, report);
  if (auto finished = out->finish(loop); !finished) report.fail(finished.error());
}

}  // namespace fieldpipe::smp_session
