// SPDX-License-Identifier: MIT
// An action, and a response, that is taken is printed as one line, which gives the same again.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "uplink/action.h"

using namespace fieldpipe;

namespace {

void must_come_back(json::Reader& reader, const uplink::Action& action) {
  std::string line;
  uplink::append_action_line(line, action);
  if (line.find('\n') != line.size() - 1) std::abort();
  if (line.size() > uplink::kMaxActionBytes) return;
  const auto back = uplink::parse_action(reader, line);
  if (!back || back->id != action.id || back->name != action.name || back->payload != action.payload) std::abort();
}

void must_come_back(json::Reader& reader, const uplink::ActionResponse& response) {
  std::string line;
  uplink::append_response_line(line, response);
  if (line.find('\n') != line.size() - 1) std::abort();
  const auto back = uplink::parse_response(reader, line);
  if (back ? back->action_id != response.action_id || back->state != response.state || back->errors != response.errors
           : line.size() <= std::size_t{256} * 1024) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static json::Reader reader;
  if (const auto action = uplink::parse_action(reader, text)) must_come_back(reader, *action);
  if (const auto response = uplink::parse_response(reader, text)) must_come_back(reader, *response);
  (void)uplink::parse_cancel_request(reader, text);
  return 0;
}
