// SPDX-License-Identifier: MIT
#include "uplink_client/handler.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::uplink_client {
namespace {

constexpr std::size_t kMostErrorLines = 8;

using Block = std::array<char, 16384>;

// A pipe holds 64 KiB (pipe(7)).
constexpr int kMostReadsOfPipe = 4;

// By its number: <sys/pidfd.h> of glibc 2.36 does not say that its functions are C.
io::Descriptor open_process(int pid) { return io::Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

struct Pipe {
  io::Descriptor ours;
  io::Descriptor theirs;
};

// Only our end does not wait: it is our own, and theirs is what the command expects.
Result<Pipe> make_pipe(bool we_write) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return tl::make_unexpected(io::system_error("pipe", errno));
  Pipe pipe{io::Descriptor(ends[we_write ? 1 : 0]), io::Descriptor(ends[we_write ? 0 : 1])};
  if (::fcntl(pipe.ours.get(), F_SETFL, O_NONBLOCK) != 0) {
    return tl::make_unexpected(io::system_error("pipe", errno));
  }
  return pipe;
}

// What posix_spawn is told, freed at the end.
class SpawnPlan {
 public:
  SpawnPlan() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
    // Loop blocks the stop signals, and the tools ignore SIGPIPE: nothing that a command should inherit.
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setpgroup(&attributes_, 0);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;
  ~SpawnPlan() {
    posix_spawnattr_destroy(&attributes_);
    posix_spawn_file_actions_destroy(&actions_);
  }

  void becomes(const io::Descriptor& from, int to) { posix_spawn_file_actions_adddup2(&actions_, from.get(), to); }

  // Gives the process id, or an error number below zero.
  int spawn(char* const* arguments, char* const* environment) {
    pid_t pid = -1;
    const int error = ::posix_spawn(&pid, arguments[0], &actions_, &attributes_, arguments, environment);
    return error == 0 ? pid : -error;
  }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

std::vector<std::string> environment_for(const uplink::Action& action) {
  std::vector<std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view variable(*entry);
    if (!variable.starts_with("ACTION_ID=") && !variable.starts_with("ACTION_NAME=")) variables.emplace_back(variable);
  }
  variables.push_back("ACTION_ID=" + action.id);
  variables.push_back("ACTION_NAME=" + action.name);
  return variables;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> to;
  for (std::string& text : texts) to.push_back(text.data());
  to.push_back(nullptr);
  return to;
}

// Hands on what a pipe has, in at most so many reads, and closes it at its end.
template <typename Take>
void read_pipe(io::Descriptor& from, int most_reads, const Take& take) {
  Block block;
  for (int i = 0; from && i < most_reads; ++i) {
    ssize_t count = 0;
    do {
      count = ::read(from.get(), block.data(), block.size());
    } while (count < 0 && errno == EINTR);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) {
      from = io::Descriptor();
      return;
    }
    take(std::string_view(block.data(), static_cast<std::size_t>(count)));
  }
}

}  // namespace

Result<std::unique_ptr<Handler>> Handler::start(const std::string& command, const uplink::Action& action) {
  auto input = make_pipe(true);
  auto output = make_pipe(false);
  auto errors = make_pipe(false);
  if (!input) return fail(std::move(input));
  if (!output) return fail(std::move(output));
  if (!errors) return fail(std::move(errors));
  SpawnPlan plan;
  plan.becomes(input->theirs, STDIN_FILENO);
  plan.becomes(output->theirs, STDOUT_FILENO);
  plan.becomes(errors->theirs, STDERR_FILENO);
  std::vector<std::string> arguments{"/bin/sh", "-c", command};
  std::vector<std::string> variables = environment_for(action);
  std::unique_ptr<Handler> handler(new Handler);
  handler->pid_ = plan.spawn(pointers(arguments).data(), pointers(variables).data());
  if (handler->pid_ < 0) {
    return tl::make_unexpected(io::system_error("cannot run /bin/sh", -std::exchange(handler->pid_, -1)));
  }
  handler->process_ = open_process(handler->pid_);
  // The process is stopped again by the destructor.
  if (!handler->process_) return tl::make_unexpected(io::system_error("pidfd_open", errno));
  handler->stdin_ = std::move(input->ours);
  handler->stdout_ = std::move(output->ours);
  handler->stderr_ = std::move(errors->ours);
  handler->payload_ = action.payload;
  handler->write_payload();
  return handler;
}

Handler::~Handler() {
  if (pid_ < 0 || ended_) return;
  ::kill(-pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void Handler::watch(io::Loop& loop, bool reads_output) const {
  loop.watch(process_.get(), POLLIN);
  loop.watch(stdin_.get(), POLLOUT);
  if (reads_output) loop.watch(stdout_.get(), POLLIN);
  loop.watch(stderr_.get(), POLLIN);
}

void Handler::handle(bool reads_output, const Take& take) {
  write_payload();
  if (reads_output) read_output(1, take);
  read_errors(1);
  if (kill_at_ && monotonic_now() >= *kill_at_) {
    ::kill(-pid_, SIGKILL);
    kill_at_.reset();
  }
  reap();
  if (!ended_) return;
  // What it wrote last, and no more: a process that it left behind may hold the pipes open and go on writing.
  read_output(kMostReadsOfPipe, take);
  if (!output_.empty()) take(std::exchange(output_, {}));
  read_errors(kMostReadsOfPipe);
}

void Handler::write_payload() {
  while (stdin_ && written_ < payload_.size()) {
    const ssize_t count = ::write(stdin_.get(), payload_.data() + written_, payload_.size() - written_);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count < 0) break;  // it does not want to know
    written_ += static_cast<std::size_t>(count);
  }
  stdin_ = io::Descriptor();
}

void Handler::read_output(int most_reads, const Take& take) {
  const auto line = [&](std::string_view text) -> Result<void> {
    take(text.substr(0, kMaxLineBytes));
    return {};
  };
  read_pipe(stdout_, most_reads, [&](std::string_view text) {
    output_ += text;
    if (const auto taken = cutter_.feed(output_, false, kMaxLineBytes, line, line)) output_.erase(0, *taken);
  });
}

void Handler::read_errors(int most_reads) {
  read_pipe(stderr_, most_reads, [&](std::string_view text) {
    errors_ += text;
    if (errors_.size() > kKeptErrorBytes) errors_.erase(0, errors_.size() - kKeptErrorBytes);
  });
}

void Handler::reap() {
  siginfo_t info{};
  if (::waitid(P_PIDFD, static_cast<id_t>(process_.get()), &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0) return;
  ended_ = true;
  signal_ = info.si_code != CLD_EXITED;
  code_ = info.si_status;
  // Whoever is stopped is stopped with all that it started.
  if (kill_at_) ::kill(-pid_, SIGKILL);
}

void Handler::stop() {
  if (ended_ || kill_at_) return;
  ::kill(-pid_, SIGTERM);
  kill_at_ = monotonic_now() + kGrace;
}

std::vector<std::string> Handler::errors() const {
  std::vector<std::string> lines;
  std::string_view left = trimmed(errors_);
  while (!left.empty() && lines.size() < kMostErrorLines) {
    const std::size_t line_end = left.rfind('\n');
    const std::string_view line = line_end == std::string_view::npos ? left : left.substr(line_end + 1);
    left = line_end == std::string_view::npos ? std::string_view() : left.substr(0, line_end);
    if (!trimmed(line).empty()) lines.emplace_back(trimmed(line));
  }
  std::reverse(lines.begin(), lines.end());
  if (lines.empty()) lines.push_back(fmt::format("{} {}", signal_ ? "ended by signal" : "exit status", code_));
  return lines;
}

}  // namespace fieldpipe::uplink_client
