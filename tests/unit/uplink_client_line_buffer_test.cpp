// SPDX-License-Identifier: MIT
#include <string>

#include <doctest/doctest.h>

#include "uplink_client/line_buffer.h"

using fieldpipe::uplink_client::LineBuffer;

TEST_CASE("lines that arrived are forgotten, and no part of one that did not") {
  LineBuffer lines;
  lines.text() += "one\ntwo\nthree\n";
  CHECK(lines.unsent() == "one\ntwo\nthree\n");
  lines.sent(6);
  CHECK(lines.unsent() == "o\nthree\n");
  CHECK(lines.sent_offset() == 6);
  lines.confirm(3);
  CHECK(lines.count() == 3);
  lines.confirm(6);
  CHECK(lines.count() == 2);
  lines.rewind();
  CHECK(lines.unsent() == "two\nthree\n");
  CHECK(lines.sent_offset() == 4);
  lines.sent(10);
  lines.confirm(14);
  CHECK(lines.empty());
  CHECK(lines.end_offset() == 14);
  lines.text() += "four\n";
  CHECK(lines.unsent() == "four\n");
  CHECK(lines.bytes() == 5);
}

TEST_CASE("what was not sent cannot have arrived, and what has arrived does so once") {
  LineBuffer lines;
  lines.text() += "one\ntwo\n";
  lines.sent(4);
  lines.confirm(8);
  CHECK(lines.unsent() == "two\n");
  lines.confirm(2);
  CHECK(lines.unsent() == "two\n");
  CHECK(lines.count() == 1);
}

TEST_CASE("offsets count on while the front is dropped, at every cut") {
  std::string all;
  for (int i = 0; i < 3000; ++i) all += std::string(static_cast<std::size_t>(i % 97), 'x') + "\n";
  LineBuffer lines;
  lines.text() = all;
  std::string received;
  for (std::size_t step = 1; !lines.unsent().empty(); step = step * 7 % 1009) {
    const auto part = lines.unsent().substr(0, step);
    received += part;
    lines.sent(part.size());
    lines.confirm(lines.sent_offset());
    CHECK(lines.end_offset() == all.size());
  }
  CHECK(received == all);
  CHECK(lines.empty());
}
