// SPDX-License-Identifier: MIT
#include "ota/lookup.h"

#include <array>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"
#include "memfault/retry_after.h"
#include "memfault/upload.h"

namespace fieldpipe::ota {
namespace {

constexpr std::size_t kMostAnswerBytes = std::size_t{1} << 20U;

Result<http::Answer> get(io::Loop& loop, http::Client& client, const std::string& url, std::string_view project_key) {
  const std::array headers{http::Header{memfault::kProjectKeyHeader, project_key}, http::Header{"Accept", "*/*"}};
  auto answer = send(loop, client,
                     {.method = http::Method::kGet, .url = url, .headers = headers, .keep_bytes = kMostAnswerBytes});
  if (!answer) return answer;
  if (answer->failure != http::Failure::kNone) return tl::make_unexpected(no_answer(*answer));
  if (answer->status == 200 || answer->status == 204) return answer;
  const auto retry_after = memfault::parse_retry_after(answer->field("Retry-After"), answer->field("Date"), wall_now());
  return tl::make_unexpected(memfault::release_error(answer->status, retry_after));
}

// A portal or a proxy may answer in the service's place.
Error not_the_service(const Error& why) {
  return {ErrorCode::kUnavailable,
          fmt::format("the answer is no release: {}", why.what),
          "a network that wants a login, or another --api",
          {}};
}

}  // namespace

Result<http::Answer> send(io::Loop& loop, http::Client& client, const http::Request& request) {
  if (auto started = client.start(request); !started) return fail(std::move(started));
  while (client.answers().empty()) {
    client.watch(loop);
    if (auto waited = loop.wait(client.deadline()); !waited) return fail(std::move(waited));
    if (loop.stop_signal()) return fail(ErrorCode::kUnavailable, "interrupted");
    client.handle(loop);
  }
  http::Answer answer = std::move(client.answers().front());
  client.answers().clear();
  return answer;
}

Error no_answer(const http::Answer& answer) { return {ErrorCode::kUnavailable, answer.error, "", {}}; }

Result<Latest> look_up(io::Loop& loop, http::Client& client, std::string_view api, const memfault::DeviceInfo& device,
                       std::string_view project_key) {
  auto answer = get(loop, client, memfault::latest_release_url(api, device, false), project_key);
  if (!answer) return fail(std::move(answer));
  Latest latest;
  if (answer->status == 204) {
    latest.reason = answer->field("Memfault-Reason");
    return latest;
  }
  json::Reader reader;
  auto release = memfault::parse_release(reader, answer->body);
  if (!release) return tl::make_unexpected(not_the_service(release.error()));
  if (release->artifact.url.empty()) {
    auto url = get(loop, client, memfault::latest_release_url(api, device, true), project_key);
    if (!url) return fail(std::move(url));
    release->artifact.url = trimmed(url->body);
    if (auto checked = http::check_url(release->artifact.url, true); url->status != 200 || !checked) {
      return fail(ErrorCode::kUnavailable,
                  fmt::format("release {}: has no artifact to fetch", printable(release->version)));
    }
  }
  latest.release = *std::move(release);
  return latest;
}

}  // namespace fieldpipe::ota
