// SPDX-License-Identifier: MIT

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "scratch.h"
#include "uplink_client/journal.h"

using namespace fieldpipe;
using uplink_client::Journal;

namespace {

struct Folder : Scratch {
  [[nodiscard]] std::string file() const { return path + "/state/j"; }
  [[nodiscard]] Result<Journal> open() const { return Journal::open(path + "/state", "j"); }
  [[nodiscard]] std::string content() const {
    std::ifstream in(file());
    return {std::istreambuf_iterator<char>(in), {}};
  }
};

uplink::ActionResponse answer(std::string id, std::string state = "Completed") {
  return {std::move(id), std::move(state), 100, {"a\nb"}, 3, 1700000000000};
}

}  // namespace

TEST_CASE("an answer is there again after a restart") {
  const Folder scratch;
  {
    auto journal = scratch.open();
    REQUIRE(journal);
    CHECK(journal->find("1") == nullptr);
    REQUIRE(journal->add(answer("1")));
    REQUIRE(journal->add(answer("2", "Failed")));
    REQUIRE(journal->add(answer("1", "Failed")));
    CHECK(scratch.open().error().code == ErrorCode::kUnavailable);
  }
  auto journal = scratch.open();
  REQUIRE(journal);
  REQUIRE(journal->find("1") != nullptr);
  CHECK(journal->find("1")->state == "Failed");
  CHECK(journal->find("2")->errors == std::vector<std::string>{"a\nb"});
  CHECK(journal->find("3") == nullptr);
}

TEST_CASE("cut at every byte, the whole lines are kept and the next one follows them") {
  const Folder scratch;
  std::string whole;
  {
    auto journal = scratch.open();
    REQUIRE(journal);
    for (const char* id : {"1", "2"}) REQUIRE(journal->add(answer(id)));
    whole = scratch.content();
  }
  const std::size_t first_end = whole.find('\n') + 1;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    std::filesystem::resize_file(scratch.file(), 0);
    std::ofstream(scratch.file()) << whole.substr(0, size);
    {
      auto journal = scratch.open();
      REQUIRE(journal);
      CHECK((journal->find("1") != nullptr) == (size >= first_end));
      CHECK(journal->find("2") == nullptr);
      REQUIRE(journal->add(answer("3")));
    }
    const auto again = scratch.open();
    REQUIRE(again);
    CHECK((again->find("1") != nullptr) == (size >= first_end));
    CHECK(again->find("3") != nullptr);
  }
}

TEST_CASE("the newest answers are kept, and the file with them stays small") {
  const Folder scratch;
  auto journal = scratch.open();
  REQUIRE(journal);
  const std::size_t count = 2 * Journal::kMost + 10;
  for (std::size_t i = 0; i < count; ++i) REQUIRE(journal->add(answer(fmt::format("{}", i))));
  CHECK(journal->find(fmt::format("{}", count - Journal::kMost)) != nullptr);
  CHECK(journal->find(fmt::format("{}", count - Journal::kMost - 1)) == nullptr);
  const std::string content = scratch.content();
  CHECK(static_cast<std::size_t>(std::count(content.begin(), content.end(), '\n')) < Journal::kMost + 10);
  CHECK(!std::filesystem::exists(scratch.file() + ".new"));
}

TEST_CASE("a folder that others may enter is refused") {
  const Folder scratch;
  std::filesystem::create_directory(scratch.path + "/state");
  std::filesystem::permissions(scratch.path + "/state", std::filesystem::perms(0755));
  const auto journal = scratch.open();
  REQUIRE(!journal);
  CHECK(journal.error().code == ErrorCode::kConfig);
}
