// SPDX-License-Identifier: MIT
// smp-sim: a simulated device that speaks SMP, for tests of scripts and gateways.
#include "cli/run.h"
#include "io/output.h"
#include "smp_device/link.h"
#include "smp_device/options.h"
#include "smp_device/server.h"

namespace fieldpipe {
namespace {

constexpr cli::Tool kTool{
    .name = "smp-sim",
    .summary = "a simulated device that speaks SMP (MCUmgr)",
    .operands = "",
    .example = "smp-sim --listen udp:127.0.0.1:1337 --current-version 1.2.3",
    .networked = true,
};

Result<void> serve(const smp_device::Options& options, cli::Report& report, io::Loop& loop) {
  auto profile = smp_device::profile(options);
  if (!profile) return fail(std::move(profile));
  auto out = io::Output::standard(false);
  if (!out) return fail(std::move(out));
  auto link = smp_device::open_link(options.place, options.line_bytes);
  if (!link) return tl::make_unexpected(std::move(link).error().in("--listen"));
  out->buffer() += (*link)->connect_string() + "\n";
  smp_device::Server server(*std::move(profile), options.server, *std::move(link), *out, report);
  return server.run(loop);
}

void work(const smp_device::Options& options, cli::Report& report) {
  auto loop = io::Loop::create(options.stop.stop_timeout);
  if (!loop) return report.fail(loop.error());
  if (auto done = serve(options, report, *loop); !done) report.fail(done.error());
  if (const auto signal = loop->stop_signal()) report.stopped_by(*signal);
}

}  // namespace
}  // namespace fieldpipe

int main(int argc, char** argv) {
  return fieldpipe::cli::run<fieldpipe::smp_device::Options>(fieldpipe::kTool, fieldpipe::smp_device::declare,
                                                             fieldpipe::work, argc, argv);
}
