// SPDX-License-Identifier: MIT
#include "smp_device/slots.h"

#include <utility>

#include <fmt/format.h>

#include "core/bytes.h"
#include "digest/digest.h"

namespace fieldpipe::smp_device {
namespace {

using smp::Group;

// Codes of the image group (zephyr include/zephyr/mgmt/mcumgr/grp/img_mgmt/img_mgmt.h).
constexpr std::int64_t kHashNotFound = 8;
constexpr std::int64_t kFlashOpenFailed = 10;
constexpr std::int64_t kInvalidOffset = 20;
constexpr std::int64_t kInvalidLength = 21;
constexpr std::int64_t kInvalidHeader = 22;
constexpr std::int64_t kInvalidMagic = 23;
constexpr std::int64_t kInvalidHash = 24;
constexpr std::int64_t kCurrentIsNewer = 27;
constexpr std::int64_t kTooLarge = 30;
constexpr std::int64_t kOverrun = 31;
constexpr std::int64_t kTestOfActiveDenied = 33;

constexpr std::size_t kHashBytes = 32;

tl::unexpected<Failure> refuse_image(std::int64_t rc, std::string_view reason = {}) {
  return refuse(Group::kImage, rc, reason);
}

Answer answer_offset(std::uint64_t offset) { return answer(smp::image::Upload::Response{offset, std::nullopt}); }

std::string hash_of(const std::string& slot) {
  const auto image = smp::decode_image_file(as_bytes(slot));
  return image ? std::string(as_text(image->hash)) : std::string();
}

// As Zephyr prints it, which is not as imgtool does.
std::string print_version(const smp::ImageVersion& version) {
  std::string text = fmt::format("{}.{}.{}", version.major, version.minor, version.revision);
  if (version.build != 0) text += fmt::format(".{}", version.build);
  return text;
}

}  // namespace

std::string make_image(const smp::ImageVersion& version) {
  constexpr std::uint32_t kBodyBytes = 64;
  constexpr std::uint16_t kTlvMagic = 0x6907;
  constexpr std::uint16_t kSha256Tlv = 0x10;
  std::string image;
  const auto append = [&image](auto number) {
    std::array<std::byte, sizeof number> bytes;
    store_le(number, bytes.data());
    image.append(as_text(bytes));
  };
  append(smp::kImageMagic);
  append(std::uint32_t{0});
  append(std::uint16_t{smp::kImageHeaderBytes});
  append(std::uint16_t{0});
  append(kBodyBytes);
  append(std::uint32_t{0});
  append(version.major);
  append(version.minor);
  append(version.revision);
  append(version.build);
  append(std::uint32_t{0});
  image.append(kBodyBytes, '\0');
  const std::string hash = digest::digest(digest::Algorithm::kSha256, as_bytes(image));
  append(kTlvMagic);
  append(static_cast<std::uint16_t>(8 + hash.size()));
  append(kSha256Tlv);
  append(static_cast<std::uint16_t>(hash.size()));
  return image + hash;
}

Slots::Slots(std::string image, std::size_t slot_bytes, bool test_crashes)
    : slot_bytes_(slot_bytes), test_crashes_(test_crashes), slots_{std::move(image), {}}, original_(slots_[0]) {}

smp::ImageVersion Slots::version() const {
  return smp::decode_image_version(as_bytes(slots_[0])).value_or(smp::ImageVersion{});
}

smp::image::Slot Slots::describe(std::uint32_t number) const {
  smp::image::Slot slot;
  slot.slot = number;
  const auto image = smp::decode_image_file(as_bytes(slots_[number]));
  if (!image) return slot;
  slot.version = print_version(image->version);
  slot.hash = smp::ByteString{std::string(as_text(image->hash))};
  slot.bootable = (image->flags & smp::kNonBootable) == 0;
  slot.pending = number == 1 && pending_ != Pending::kNo;
  slot.permanent = number == 1 && pending_ == Pending::kPermanent;
  slot.active = number == 0;
  // Under test the image to go back to is the confirmed one.
  slot.confirmed = slot.active ? confirmed_ : !confirmed_;
  return slot;
}

Answer Slots::state() const {
  smp::image::State state;
  state.split_status = 0;
  for (const std::uint32_t number : {0U, 1U}) {
    if (auto slot = describe(number); slot.hash) state.images.push_back(std::move(slot));
  }
  return answer(state);
}

Answer Slots::set_state(const smp::image::WriteState::Request& request) {
  std::uint32_t number = 0;
  if (request.hash) {
    const std::string& hash = request.hash->bytes;
    if (hash.size() != kHashBytes) return refuse_image(kInvalidHash);
    while (number < slots_.size() && hash_of(slots_[number]) != hash) ++number;
    if (number == slots_.size()) return refuse_image(kHashNotFound);
    if (number == 0 && !request.confirm) return refuse_image(kTestOfActiveDenied);
  } else if (!request.confirm) {
    return refuse_image(kInvalidHash);
  }
  if (number == 0) {
    // With swap using offset the image that was replaced begins one sector later, where nobody looks for it.
    if (!std::exchange(confirmed_, true)) slots_[1].clear();
  } else if (confirmed_) {
    pending_ = request.confirm ? Pending::kPermanent : Pending::kTest;
  }
  return state();
}

// What both servers do with a part that is to be written. An offset that is not expected is no failure: the answer
// says which is.
Answer Slots::write(std::string& slot, const smp::image::Upload::Request& request, std::uint64_t& offset) {
  if (*request.offset == 0) {
    session_ = Session{request.sha ? request.sha->bytes : std::string(), *request.length};
    slot.clear();
  }
  if (!session_ || *request.offset != slot.size()) {
    offset = session_ ? slot.size() : 0;
    return {};
  }
  if (slot.size() + request.data.bytes.size() > session_->length) {
    session_.reset();
    return refuse_image(kOverrun);
  }
  slot += request.data.bytes;
  written_bytes_ += request.data.bytes.size();
  offset = slot.size();
  // Who missed the answer to the last part and repeats it finds no upload any more.
  if (offset == session_->length) session_.reset();
  return {};
}

Answer Slots::upload(const smp::image::Upload::Request& request) {
  const auto refuse_upload = [this](std::int64_t rc, std::string_view reason = {}) {
    session_.reset();
    return refuse_image(rc, reason);
  };
  if (!request.offset) return refuse_upload(kInvalidOffset);
  if (*request.offset == 0) {
    if (request.data.bytes.size() < smp::kImageHeaderBytes) return refuse_upload(kInvalidHeader);
    if (!request.length) return refuse_upload(kInvalidLength);
    const auto version = smp::decode_image_version(as_bytes(request.data.bytes));
    if (!version) return refuse_upload(kInvalidMagic, "magic mismatch");
    if (session_ && request.sha && !session_->sha.empty() && session_->sha == request.sha->bytes) {
      return answer_offset(slots_[1].size());
    }
    if (request.image != 0 || !confirmed_) return refuse_upload(smp::kImageNoFreeSlot, "no slot");
    if (*request.length > slot_bytes_) return refuse_upload(kTooLarge);
    if (request.upgrade) {
      // The build number does not count, unless the firmware is told so.
      auto offered = *version;
      auto running = this->version();
      offered.build = running.build = 0;
      if (offered <= running) return refuse_upload(kCurrentIsNewer, "downgrade");
    }
    // Allowed by default (CONFIG_MCUMGR_GRP_IMG_ALLOW_ERASE_PENDING), and cancels it.
    pending_ = Pending::kNo;
  }
  std::uint64_t offset = 0;
  if (auto written = write(slots_[1], request, offset); !written) return written;
  return answer_offset(offset);
}

Answer Slots::erase(const smp::image::Erase::Request& request) {
  const std::uint32_t number = request.slot.value_or(1);
  if (number >= slots_.size()) return refuse_image(kFlashOpenFailed);
  if (number == 0 || !confirmed_) return refuse_image(smp::kImageNoFreeSlot, "no slot");
  slots_[1].clear();
  pending_ = Pending::kNo;
  session_.reset();
  return answer(smp::Nothing{});
}

Answer Slots::info() const {
  smp::image::ImageInfo image;
  image.slots = {{0, slot_bytes_, std::nullopt}, {1, slot_bytes_, 0}};
  return answer(smp::image::ReadSlots::Response{{std::move(image)}});
}

Answer Slots::recovery_state() const {
  cbor::Value::Array images;
  if (const auto image = smp::decode_image_file(as_bytes(slots_[0]))) {
    images.push_back(cbor::Value::Map{{"slot", 0},
                                      {"hash", cbor::ByteString{std::string(as_text(image->hash))}},
                                      {"version", print_version(image->version)}});
  }
  std::string payload;
  cbor::encode(payload, cbor::Value::Map{{"images", std::move(images)}}, cbor::Lengths::kIndefinite);
  return payload;
}

Answer Slots::recovery_upload(const smp::image::Upload::Request& request) {
  const bool first = request.offset == std::uint64_t{0};
  if (!request.offset || request.image > 1 || (first && (!request.length || *request.length > slot_bytes_))) {
    return refuse(smp::kInvalid);
  }
  std::uint64_t offset = 0;
  if (auto written = write(slots_[0], request, offset); !written) return refuse(smp::kInvalid);
  std::string payload;
  cbor::encode(payload, cbor::Value::Map{{"rc", 0}, {"off", offset}}, cbor::Lengths::kIndefinite);
  return payload;
}

void Slots::start() {
  if (!confirmed_) {
    // With swap using offset both slots then show the old image; devices were seen to.
    slots_[0] = slots_[1];
    confirmed_ = true;
    return;
  }
  const Pending pending = std::exchange(pending_, Pending::kNo);
  if (pending == Pending::kNo) return;
  const auto image = smp::decode_image_file(as_bytes(slots_[1]));
  if (!image || !image->hash_valid.value_or(true)) {
    slots_[1].clear();
    return;
  }
  std::swap(slots_[0], slots_[1]);
  if (pending == Pending::kPermanent) {
    slots_[1].clear();
    return;
  }
  confirmed_ = false;
  if (test_crashes_) start();
}

}  // namespace fieldpipe::smp_device
