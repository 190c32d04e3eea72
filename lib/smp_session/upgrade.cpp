// SPDX-License-Identifier: MIT
#include "smp_session/upgrade.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/text.h"
#include "json/writer.h"
#include "smp/image.h"
#include "smp_session/upload.h"

namespace fieldpipe::smp_session {
namespace {

using smp::image::Slot;
using smp::image::State;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// Between two looks at a device that is about to reboot.
constexpr milliseconds kLookPause{200};

struct Report {
  std::string result;
  std::uint32_t image = 0;
  std::string version;
  smp::ByteString hash;
  std::optional<std::string> before;  // the version that ran at first
  std::optional<UploadResult> upload;
  std::optional<std::vector<std::string>> steps;

  template <typename Self, typename Fields>
  static void fields(Self& self, Fields& f) {
    f("result", self.result);
    f("image", self.image);
    f("version", self.version);
    f("hash", self.hash);
    f("before", self.before);
    f("upload", self.upload);
    f("steps", self.steps);
  }
};

// What the device has of one image number.
struct View {
  std::optional<Slot> active;  // the one that runs
  std::optional<Slot> ours;    // the slot with our hash, the running one first
  bool flags = false;          // any slot has a flag; recovery has none
};

View look(const State& state, std::uint32_t image, const smp::ByteString& hash) {
  View view;
  for (const Slot& slot : state.images) {
    if (slot.image != image) continue;
    view.flags = view.flags || slot.active || slot.confirmed || slot.bootable;
    if (slot.active) view.active = slot;
    if (slot.hash == hash && (!view.ours || slot.active)) view.ours = slot;
  }
  return view;
}

class Upgrade {
 public:
  Upgrade(Session& session, Bytes file, const smp::ImageFile& image, const CommandOptions& options,
          cli::Progress& progress)
      : session_(session), file_(file), image_(image), options_(options), progress_(progress) {
    report_.image = options.image;
    report_.version = smp::print(image.version);
    report_.hash.bytes = as_text(image.hash);
  }

  Outcome<Answered> run() {
    auto seen = view();
    if (!seen) return pass(std::move(seen));
    if (seen->active) {
      // As the file says it, where it is such a version.
      const auto version = smp::parse_image_version(seen->active->version);
      report_.before = version ? smp::print(*version) : seen->active->version;
    }
    if (runs(*seen)) return settle(*seen, "already-running");
    if (seen->active && seen->flags && !seen->active->confirmed) {
      return fail(ErrorCode::kRefused,
                  fmt::format("the device runs {} for a test, and takes no other image meanwhile",
                              printable(seen->active->version)),
                  "image confirm keeps that one, reset goes back to the one before");
    }
    const bool present = seen->ours.has_value();
    const bool marked =
        present && seen->ours->pending && (seen->ours->permanent || options_.mode != UpgradeMode::kPermanent);
    if (options_.dry_run) return plan(present, marked);
    if (!present) {
      if (auto uploaded = upload(); !uploaded) return pass(std::move(uploaded));
    }
    if (options_.mode == UpgradeMode::kUpload) return finish("uploaded");
    if (!marked) {
      if (auto done = mark(); !done) return pass(std::move(done));
    }
    auto after = reboot();
    if (!after) return pass(std::move(after));
    if (!runs(*after)) return reverted();
    return settle(*after, "running");
  }

 private:
  static bool runs(const View& view) { return view.ours && view.ours->active; }

  Outcome<View> view() {
    auto state = session_.ask<smp::image::ReadState>();
    if (!state) return pass(std::move(state));
    return look(*state, options_.image, report_.hash);
  }

  Answered finish(std::string result, std::string negative = {}) {
    report_.result = std::move(result);
    Answered answered;
    smp::append_json(answered.json, report_);
    answered.negative = std::move(negative);
    return answered;
  }

  Answered reverted() {
    return finish("reverted", "the image did not start, or was not confirmed; the one before runs");
  }

  Answered plan(bool present, bool marked) {
    auto& steps = report_.steps.emplace();
    if (!present) steps.emplace_back("upload");
    if (options_.mode != UpgradeMode::kUpload) {
      if (!marked) steps.emplace_back(options_.mode == UpgradeMode::kTest ? "test" : "permanent");
      steps.emplace_back("reset");
      if (options_.mode == UpgradeMode::kTest && !options_.no_confirm) steps.emplace_back("confirm");
    }
    return finish("planned");
  }

  Outcome<void> upload() {
    auto uploaded = upload_image(session_, file_, image_, {options_.image, options_.newer_only}, progress_);
    if (!uploaded) return tl::make_unexpected(std::move(uploaded).error().in("upload"));
    report_.upload = *uploaded;
    auto seen = view();
    if (!seen) return pass(std::move(seen));
    if (!seen->ours) {
      return fail(ErrorCode::kRefused, "the device has taken the file, and lists no image with its hash");
    }
    return {};
  }

  Outcome<void> mark() {
    smp::image::WriteState::Request message;
    message.hash = report_.hash;
    message.confirm = options_.mode == UpgradeMode::kPermanent;
    Request request = make_request<smp::image::WriteState>(message);
    request.repeatable = true;
    auto marked = session_.ask(std::move(request));
    // Recovery, and boot loaders that choose by version, have no marks.
    if (!marked && !marked.error().is_general(smp::kNotSupported)) {
      return tl::make_unexpected(std::move(marked).error().in(message.confirm ? "mark" : "mark for a test"));
    }
    return {};
  }

  // Resets, and looks until the device has swapped its images or has given up to.
  Outcome<View> reboot() {
    const MonotonicTime end = monotonic_now() + options_.reboot_timeout;
    for (;;) {
      auto reset = session_.ask<smp::os::Reset>({options_.force, std::nullopt});
      // A device may be gone before its answer is out. Otherwise it says why it does not go.
      if (!reset && reset.error().device) return tl::make_unexpected(std::move(reset).error().in("reset"));
      if (!reset && reset.error().error.code == ErrorCode::kBadData) return pass(std::move(reset));
      if (!reset) session_.close();
      progress_.show("reboot", 0, 0);
      auto seen = await_swap(end, reset.has_value());
      if (!seen) return pass(std::move(seen));
      if (*seen) return **seen;
    }
  }

  // What the device has after its reboot; nothing where it has not gone, because it did not hear of it.
  Outcome<std::optional<View>> await_swap(MonotonicTime end, bool was_heard) {
    for (;;) {
      const auto left = std::chrono::duration_cast<nanoseconds>(end - monotonic_now());
      if (auto back = session_.await_device(std::max(left, nanoseconds(0))); !back) {
        return tl::make_unexpected(std::move(back).error().in("after the reset"));
      }
      auto seen = view();
      if (seen) {
        if (runs(*seen)) return std::optional(*seen);
        const bool waits = seen->ours && (seen->ours->pending || !seen->flags);
        if (!waits) return std::optional(*seen);
        if (!was_heard) return std::optional<View>();
      } else if (session_.loop().stop_signal()) {
        return pass(std::move(seen));
      } else if (!seen.error().device) {
        session_.close();
      }
      if (monotonic_now() >= end) {
        return fail(ErrorCode::kUnavailable,
                    fmt::format("not rebooted within {}", print_duration(options_.reboot_timeout)),
                    "the same command again goes on from here");
      }
      const MonotonicTime wake = monotonic_now() + kLookPause;
      while (monotonic_now() < wake && !session_.loop().stop_signal()) {
        if (auto waited = session_.loop().wait(wake); !waited) return pass(std::move(waited));
      }
    }
  }

  // Our image runs; `settled` is the result where nothing is left to do.
  Outcome<Answered> settle(const View& view, std::string settled) {
    if (view.ours->confirmed || !view.flags) return finish(std::move(settled));
    if (options_.no_confirm || options_.mode == UpgradeMode::kUpload) return finish("testing");
    if (options_.dry_run) {
      report_.steps = {"confirm"};
      return finish("planned");
    }
    smp::image::WriteState::Request message;
    message.confirm = true;
    Request request = make_request<smp::image::WriteState>(message);
    request.repeatable = true;
    auto state = Session::decoded<smp::image::WriteState>(session_.ask(std::move(request)));
    if (!state) return tl::make_unexpected(std::move(state).error().in("confirm"));
    const View after = look(*state, options_.image, report_.hash);
    // It restarted in between.
    if (!runs(after)) return reverted();
    if (!after.ours->confirmed) {
      return fail(ErrorCode::kRefused, "confirm: the device has taken it, and does not list the image as confirmed");
    }
    return finish("running");
  }

  Session& session_;
  Bytes file_;
  const smp::ImageFile& image_;
  const CommandOptions& options_;
  cli::Progress& progress_;
  Report report_;
};

void append_flags(std::string& out, std::uint32_t flags) {
  char before = '[';
  for (std::uint32_t bit = 1; bit != 0; bit <<= 1U) {
    if ((flags & bit) == 0) continue;
    out.push_back(std::exchange(before, ','));
    const auto name = smp::image_flag_name(bit);
    json::append_string(out, name ? std::string(*name) : fmt::format("0x{:x}", bit));
  }
  out.append(before == '[' ? "[]" : "]");
}

}  // namespace

Result<smp::ImageFile> read_image(Bytes file) {
  auto image = smp::decode_image_file(file);
  if (image && image->hash_valid == false) {
    return fail(ErrorCode::kBadData, "the content does not have the hash that the image names", "a damaged file");
  }
  return image;
}

Outcome<Answered> upgrade(Session& session, Bytes file, const smp::ImageFile& image, const CommandOptions& options,
                          cli::Progress& progress) {
  return Upgrade(session, file, image, options, progress).run();
}

Result<Answered> describe_image(Bytes file) {
  const auto image = smp::decode_image_file(file);
  if (!image) return tl::make_unexpected(image.error());
  Answered described;
  std::string& out = described.json;
  out = fmt::format(R"({{"version":"{}","hash":")", smp::print(image->version));
  append_hex(out, image->hash);
  out += fmt::format(R"(","hash_valid":{},"encrypted":{},"header_size":{},"image_size":{},"load_address":{},"flags":)",
                     image->hash_valid ? *image->hash_valid ? "true" : "false" : "null", image->encrypted(),
                     image->header_bytes, image->image_bytes, image->load_address);
  append_flags(out, image->flags);
  out += R"(,"tlvs":)";
  char before = '[';
  for (const smp::ImageTlv& tlv : image->tlvs) {
    const auto name = smp::image_tlv_name(tlv.type);
    out += fmt::format(R"({}{{"type":"{}","protected":{},"value":")", std::exchange(before, ','),
                       name ? std::string(*name) : fmt::format("0x{:02x}", tlv.type), tlv.is_protected);
    append_hex(out, tlv.value);
    out += "\"}";
  }
  out += fmt::format(R"(],"size":{},"file_size":{}}})", image->end, file.size());
  if (image->hash_valid == false) described.negative = "the content does not have the hash that the image names";
  return described;
}

}  // namespace fieldpipe::smp_session
