// SPDX-License-Identifier: MIT
// mflt-relay: Memfault chunks from a pipe, a console or a broker, kept on the disk until they are delivered.
#include <optional>

#include "cli/run.h"
#include "http/client.h"
#include "io/output.h"
#include "relay/door.h"
#include "relay/options.h"
#include "relay/relay.h"
#include "relay/uploader.h"
#include "spool/dead_letters.h"
#include "spool/options.h"

namespace fieldpipe {
namespace {

constexpr cli::Tool kTool{
    .name = "mflt-relay",
    .summary = "deliver Memfault chunks, and lose none",
    .operands = "[FILE]...",
    .example = "mflt-relay --device DEMO1 --project-key-file key < console.log",
    .networked = true,
};

Result<void> relay_chunks(relay::Options options, cli::Report& report, io::Loop& loop) {
  if (auto checked = http::check_base_url(options.upload.endpoint, options.http.insecure_http); !checked) {
    return tl::make_unexpected(std::move(checked).error().in("--endpoint"));
  }
  auto keys = relay::keys(options);
  if (!keys) return fail(std::move(keys));
  std::optional<relay::Scratch> scratch;
  if (options.upload.dry_run) {
    auto created = relay::Scratch::create(options);
    if (!created) return fail(std::move(created));
    scratch.emplace(*std::move(created));
    options.spool.directory = scratch->path();
  }
  auto out = io::Output::standard(false);
  if (!out) return fail(std::move(out));
  auto source = relay::source(options, *keys, report);
  if (!source) return fail(std::move(source));
  options.spool.max_record_bytes = options.records.max_record_bytes;
  auto spool = spool::open(options.spool, kTool.name, report);
  if (!spool) return fail(std::move(spool));
  auto dead_letters = spool::DeadLetters::open(*spool);
  if (!dead_letters) return tl::make_unexpected(std::move(dead_letters).error().in("spool"));
  spool::tell_damage(dead_letters->store(), report);
  options.upload.limits.requests = options.http.connections;
  options.http.connections += (options.http.connections + 3) / 4;
  auto client = http::Client::create(options.http);
  if (!client) return fail(std::move(client));

  options.upload.project_key = [&keys](std::string_view device) { return keys->find(device); };
  relay::Uploader uploader(*spool, *dead_letters, *client, options.upload, out->buffer(), report);
  relay::Door door(*spool, *dead_letters,
                   {.device = options.device,
                    .has_key = [&keys](std::string_view device) { return !keys->find(device).empty(); },
                    .on_full = options.spool.on_full,
                    .answers = options.acknowledge},
                   out->buffer());
  options.relay.reload = [&]() -> Result<void> {
    auto read = relay::keys(options);
    if (!read) return fail(std::move(read));
    *keys = *std::move(read);
    return {};
  };
  return relay::Relay({*spool, *dead_letters, **source, door, uploader, *out, report}, options.relay).run(loop);
}

void work(const relay::Options& options, cli::Report& report) {
  auto loop = io::Loop::create(options.stop.stop_timeout, true, relay::is_service(options));
  if (!loop) return report.fail(loop.error());
  if (auto relayed = relay_chunks(options, report, *loop); !relayed) report.fail(relayed.error());
  if (const auto signal = loop->stop_signal()) report.stopped_by(*signal);
}

}  // namespace
}  // namespace fieldpipe

int main(int argc, char** argv) {
  return fieldpipe::cli::run<fieldpipe::relay::Options>(fieldpipe::kTool, fieldpipe::relay::declare, fieldpipe::work,
                                                        argc, argv);
}
