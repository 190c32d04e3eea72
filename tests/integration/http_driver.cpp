// SPDX-License-Identifier: MIT
// A program for the tests of lib/http. Each line of stdin is a request, `METHOD URL [BODY]`; GET and POST keep what
// comes, SAVE is a GET with a sink, STOP one whose sink gives up at once. All are started in order, as many at a time
// as there are connections, and each answer is one JSON line; the last line counts the connections. With --interactive
// a line is read when the answer to the one before has been printed.
#include <cstdio>
#include <iostream>
#include <limits>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cli/run.h"
#include "core/text.h"
#include "http/client.h"
#include "http/options.h"
#include "io/loop.h"
#include "json/writer.h"

namespace {

using namespace fieldpipe;

struct Options {
  http::ClientOptions http;
  std::vector<std::string> headers;
  std::size_t fill = 0;
  std::size_t repeat = 1;
  std::size_t keep = 1024;
  std::size_t stall_s = 30;
  bool quiet_answers = false;
  bool interactive = false;
};

struct Line {
  std::string method;
  std::string url;
  std::string body;
};

void declare(cli::OptionTable& table, Options& options) {
  table.integer("connections", "COUNT", options.http.connections, std::size_t{1}, std::size_t{1000}, "connections");
  table.integer("stall", "SECONDS", options.stall_s, std::size_t{0}, std::size_t{100}, "stall time limit");
  table.integer("keep", "BYTES", options.keep, std::size_t{0}, std::size_t{1} << 30U, "bytes kept of each answer");
  table.integer("fill", "BYTES", options.fill, std::size_t{0}, std::size_t{1} << 30U,
                "size of bodies that are not given");
  table.integer("repeat", "COUNT", options.repeat, std::size_t{1}, std::size_t{1} << 30U, "send all so often");
  table.list("header", "NAME=VALUE", options.headers, "a header of all requests");
  table.flag("count", options.quiet_answers, "print only the last line");
  table.flag("interactive", options.interactive, "one request after the other");
  http::declare(table, options.http);
}

std::string_view name_of(http::Failure failure) {
  switch (failure) {
    case http::Failure::kNone: return "none";
    case http::Failure::kResolve: return "resolve";
    case http::Failure::kConnect: return "connect";
    case http::Failure::kTls: return "tls";
    case http::Failure::kReset: return "reset";
    case http::Failure::kTimeout: return "timeout";
    case http::Failure::kMalformed: return "malformed";
    case http::Failure::kSink: return "sink";
    case http::Failure::kInternal: break;
  }
  return "internal";
}

void print(const http::Answer& answer, const Line& line, std::size_t saved_bytes) {
  std::string out =
      fmt::format(R"({{"status":{},"complete":{},"failure":"{}","body_bytes":{},"saved_bytes":{})", answer.status,
                  answer.complete_header, name_of(answer.failure), answer.body_bytes, saved_bytes);
  out.append(fmt::format(R"(,"seconds":{:.3f})", std::chrono::duration<double>(answer.elapsed).count()));
  const std::string retry_after = answer.field("Retry-After");
  for (const auto& [name, value] : {std::pair<std::string_view, std::string_view>("url", line.url),
                                    {"error", answer.error},
                                    {"body", answer.body},
                                    {"header", answer.header},
                                    {"retry_after", retry_after}}) {
    out.append(",\"").append(name).append("\":");
    json::append_string(out, value);
  }
  fmt::print("{}}}\n", out);
}

std::vector<Line> read_lines(std::size_t most) {
  std::vector<Line> lines;
  for (std::string text; lines.size() < most && std::getline(std::cin, text);) {
    const std::size_t first = text.find(' ');
    const std::size_t second = std::min(text.find(' ', first + 1), text.size());
    lines.push_back({text.substr(0, first), text.substr(first + 1, second - first - 1),
                     second < text.size() ? text.substr(second + 1) : ""});
  }
  return lines;
}

class Session {
 public:
  Session(const Options& options, io::Loop loop, http::Client client)
      : options_(options),
        loop_(std::move(loop)),
        client_(std::move(client)),
        filling_(options.fill, 'x'),
        of_slot_(options.http.connections),
        saved_(options.http.connections) {
    for (const std::string& header : options.headers) {
      const std::size_t at = std::min(header.find('='), header.size() - 1);
      headers_.push_back({std::string_view(header).substr(0, at), std::string_view(header).substr(at + 1)});
    }
  }

  // Sends all `lines` and prints the answers.
  Result<void> send(const std::vector<Line>& lines) {
    const std::size_t count = lines.size() * options_.repeat;
    std::size_t started = 0;
    for (std::size_t ended = 0; ended < count;) {
      while (started < count && client_.free_slots() > 0) {
        if (auto begun = start(lines[started++ % lines.size()]); !begun) return begun;
      }
      client_.watch(loop_);
      if (auto waited = loop_.wait(client_.deadline()); !waited) return waited;
      client_.handle(loop_);
      for (const http::Answer& answer : client_.answers()) {
        if (!options_.quiet_answers) print(answer, *of_slot_[answer.slot], saved_[answer.slot]);
        ++ended;
        if (answer.failure == http::Failure::kNone && answer.status / 100 == 2) ++successes_;
      }
      client_.answers().clear();
    }
    std::fflush(stdout);
    return {};
  }

  void print_totals() const {
    fmt::print("{{\"connections\":{},\"successes\":{}}}\n", client_.connections(), successes_);
  }

 private:
  Result<void> start(const Line& line) {
    http::Request request;
    request.method = line.method == "POST" ? http::Method::kPost : http::Method::kGet;
    request.url = line.url;
    request.headers = headers_;
    request.body = as_bytes(line.body.empty() ? filling_ : line.body);
    request.keep_bytes = options_.keep;
    if (line.method == "STOP") request.sink = [](const http::Answer&, Bytes) { return false; };
    if (line.method == "SAVE") {
      request.sink = [this](const http::Answer& so_far, Bytes data) {
        saved_[so_far.slot] += data.size();
        return true;
      };
    }
    const auto slot = client_.start(request);
    if (!slot) return tl::make_unexpected(slot.error());
    of_slot_[*slot] = &line;
    saved_[*slot] = 0;
    return {};
  }

  const Options& options_;
  io::Loop loop_;
  http::Client client_;
  std::vector<http::Header> headers_;
  std::string filling_;
  std::vector<const Line*> of_slot_;
  std::vector<std::size_t> saved_;
  std::size_t successes_ = 0;
};

void work(const Options& options, cli::Report& report) {
  auto loop = io::Loop::create(std::chrono::seconds(10));
  if (!loop) return report.fail(loop.error());
  http::ClientOptions with = options.http;
  with.stall_timeout = std::chrono::seconds(options.stall_s);
  auto client = http::Client::create(with);
  if (!client) return report.fail(client.error());
  Session session(options, *std::move(loop), *std::move(client));
  const std::size_t at_a_time = options.interactive ? 1 : std::numeric_limits<std::size_t>::max();
  for (auto lines = read_lines(at_a_time); !lines.empty(); lines = read_lines(at_a_time)) {
    if (auto sent = session.send(lines); !sent) return report.fail(sent.error());
  }
  session.print_totals();
}

constexpr cli::Tool kTool{.name = "http_driver",
                          .summary = "send requests",
                          .operands = "",
                          .example = "echo GET https://localhost/ | http_driver"};

}  // namespace

int main(int argc, char** argv) { return cli::run<Options>(kTool, declare, work, argc, argv); }
