// SPDX-License-Identifier: MIT
// mflt-ota: asks the release service whether a device has an update, and fetches it.
#include <string>
#include <string_view>

#include "cli/progress.h"
#include "cli/run.h"
#include "io/output.h"
#include "json/writer.h"
#include "ota/download.h"
#include "ota/lookup.h"
#include "ota/options.h"

namespace fieldpipe {
namespace {

constexpr cli::Tool kTool{
    .name = "mflt-ota",
    .summary = "look up and fetch the update of a device",
    .operands = "",
    .example = "mflt-ota --project-key-file key --fetch fw.bin < device.json",
    .networked = true,
};

void append_result(std::string& out, const ota::Latest& latest, const std::string& file) {
  const auto member = [&out](std::string_view name, const std::string& value) {
    if (value.empty()) return;
    out.append(",\"").append(name).append("\":");
    json::append_string(out, value);
  };
  if (!latest.release) {
    out += R"({"update":false)";
    member("reason", latest.reason);
  } else {
    const memfault::Release& release = *latest.release;
    out += R"({"update":true)";
    member("version", release.version);
    out += R"(,"is_delta":)";
    json::append_bool(out, release.is_delta);
    member("url", release.artifact.url);
    if (release.artifact.size_bytes) {
      out += R"(,"file_size":)";
      json::append_integer(out, *release.artifact.size_bytes);
    }
    member("md5", release.artifact.md5);
    member("sha256", release.artifact.sha256);
    member("file", file);
    out.append(R"(,"release":)").append(release.json);
  }
  out += "}\n";
}

Result<void> look_up_and_fetch(const ota::Options& options, cli::Report& report, io::Loop& loop) {
  if (auto checked = http::check_base_url(options.api, options.http.insecure_http); !checked) {
    return tl::make_unexpected(std::move(checked).error().in("--api"));
  }
  auto out = io::Output::standard(false);
  if (!out) return fail(std::move(out));
  auto asking = ota::device(options, loop, *out);
  if (!asking) return fail(std::move(asking));
  auto key = ota::project_key(options, *asking);
  if (!key) return fail(std::move(key));
  auto client = http::Client::create(options.http);
  if (!client) return fail(std::move(client));
  auto latest = ota::look_up(loop, *client, options.api, *asking, *key);
  if (!latest) return tl::make_unexpected(std::move(latest).error().in(asking->device_serial));

  if (latest->release && !options.fetch.empty()) {
    cli::Progress progress(options.progress, report);
    const auto renew = [&]() -> Result<std::string> {
      auto again = ota::look_up(loop, *client, options.api, *asking, *key);
      if (!again) return fail(std::move(again));
      const memfault::Release& first = *latest->release;
      if (!again->release || again->release->version != first.version ||
          again->release->artifact.sha256 != first.artifact.sha256 ||
          again->release->artifact.md5 != first.artifact.md5) {
        return fail(ErrorCode::kUnavailable, "another release was made meanwhile");
      }
      return again->release->artifact.url;
    };
    auto fetched = ota::download(
        loop, *client, latest->release->artifact, options.fetch,
        [&progress](std::uint64_t done, std::uint64_t total) { progress.show("fetch", done, total); }, renew, report);
    if (!fetched) return tl::make_unexpected(std::move(fetched).error().in(options.fetch));
  }
  append_result(out->buffer(), *latest, options.fetch);
  if (!latest->release) report.partial("there is no update");
  return out->finish(loop);
}

void work(const ota::Options& options, cli::Report& report) {
  auto loop = io::Loop::create(options.stop.stop_timeout);
  if (!loop) return report.fail(loop.error());
  if (auto done = look_up_and_fetch(options, report, *loop); !done) report.fail(done.error());
  if (const auto signal = loop->stop_signal()) report.stopped_by(*signal);
}

}  // namespace
}  // namespace fieldpipe

int main(int argc, char** argv) {
  return fieldpipe::cli::run<fieldpipe::ota::Options>(fieldpipe::kTool, fieldpipe::ota::declare, fieldpipe::work, argc,
                                                      argv);
}
