// SPDX-License-Identifier: MIT
#include "smp/image_file.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "core/text.h"

namespace fieldpipe::smp {
namespace {

constexpr std::uint16_t kTlvMagic = 0x6907;
constexpr std::uint16_t kProtectedTlvMagic = 0x6908;
constexpr std::size_t kTlvHeadBytes = 4;  // of an area and of an entry
constexpr std::size_t kMaxTlvs = 256;

constexpr std::array<std::pair<std::uint16_t, digest::Algorithm>, 3> kHashes{
    {{0x10, digest::Algorithm::kSha256}, {0x11, digest::Algorithm::kSha384}, {0x12, digest::Algorithm::kSha512}}};

constexpr std::array<std::pair<std::uint32_t, std::string_view>, 9> kFlags{{{0x1, "pic"},
                                                                            {kEncryptedAes128, "encrypted-aes128"},
                                                                            {kEncryptedAes256, "encrypted-aes256"},
                                                                            {kNonBootable, "non-bootable"},
                                                                            {0x20, "ram-load"},
                                                                            {0x100, "rom-fixed"},
                                                                            {0x200, "compressed-lzma1"},
                                                                            {0x400, "compressed-lzma2"},
                                                                            {0x800, "compressed-arm-thumb"}}};

constexpr std::array<std::pair<std::uint16_t, std::string_view>, 23> kTlvs{{
    {0x01, "key-hash"},
    {0x02, "public-key"},
    {0x10, "sha256"},
    {0x11, "sha384"},
    {0x12, "sha512"},
    {0x20, "rsa2048"},
    {0x22, "ecdsa"},
    {0x23, "rsa3072"},
    {0x24, "ed25519"},
    {0x25, "pure-signature"},
    {0x30, "encrypted-rsa2048"},
    {0x31, "encrypted-kw"},
    {0x32, "encrypted-ec256"},
    {0x33, "encrypted-x25519"},
    {0x34, "encrypted-x25519-sha512"},
    {0x40, "dependency"},
    {0x50, "security-counter"},
    {0x60, "boot-record"},
    {0x70, "decompressed-size"},
    {0x71, "decompressed-sha"},
    {0x72, "decompressed-signature"},
    {0x80, "vendor-id"},
    {0x81, "class-id"},
}};

tl::unexpected<Error> bad(std::string what, std::string hint = {}) {
  return fail(ErrorCode::kBadData, std::move(what), std::move(hint));
}

constexpr std::string_view kSignHint = "imgtool sign makes an image of a binary";

// What a file is that is no image.
tl::unexpected<Error> refuse(Bytes file) {
  const std::string_view text = as_text(file);
  if (file.empty()) return bad("an empty file");
  if (text.starts_with("\x7f"
                       "ELF"))
    return bad("an ELF file, not an MCUboot image", std::string(kSignHint));
  if (text.starts_with("PK\x03\x04")) {
    return bad("a zip archive, not an MCUboot image",
               "unpack it; its manifest.json says which image is for which core");
  }
  if (text.size() >= 3 && text[0] == ':' && kHexValue[static_cast<unsigned char>(text[1])] != kNotHex &&
      kHexValue[static_cast<unsigned char>(text[2])] != kNotHex) {
    return bad("an Intel HEX file, not an MCUboot image", "use the .bin that imgtool sign writes beside it");
  }
  if (file.size() < kImageHeaderBytes) {
    return bad(fmt::format("a file of {} bytes, the header of an image alone has {}", file.size(), kImageHeaderBytes));
  }
  return bad(fmt::format("no MCUboot image: magic 0x{:08x}, must be 0x{:08x}", load_le<std::uint32_t>(file.data()),
                         kImageMagic),
             std::string(kSignHint));
}

// One area of TLVs at `at`; gives the offset behind it.
Result<std::size_t> read_tlvs(Bytes file, std::size_t at, bool is_protected, ImageFile& image) {
  const std::string_view name = is_protected ? "protected TLVs" : "TLVs";
  if (file.size() - at < kTlvHeadBytes) {
    return bad(fmt::format("truncated: {} at byte {}, the file ends at {}", name, at, file.size()));
  }
  const auto magic = load_le<std::uint16_t>(&file[at]);
  const std::uint16_t expected = is_protected ? kProtectedTlvMagic : kTlvMagic;
  if (magic != expected) {
    return bad(fmt::format("no {} at byte {}: magic 0x{:04x}, must be 0x{:04x}", name, at, magic, expected));
  }
  const std::size_t total = load_le<std::uint16_t>(&file[at + 2]);
  if (total < kTlvHeadBytes)
    return bad(fmt::format("{} of {} bytes, their head alone has {}", name, total, kTlvHeadBytes));
  if (total > file.size() - at) {
    return bad(
        fmt::format("truncated: {} at byte {} have {} bytes, the file ends at {}", name, at, total, file.size()));
  }
  const std::size_t end = at + total;
  for (at += kTlvHeadBytes; at < end;) {
    if (end - at < kTlvHeadBytes) return bad(fmt::format("{} bytes at byte {} that are no TLV", end - at, at));
    const auto type = load_le<std::uint16_t>(&file[at]);
    const std::size_t length = load_le<std::uint16_t>(&file[at + 2]);
    at += kTlvHeadBytes;
    if (length > end - at) {
      return bad(fmt::format("TLV 0x{:02x} of {} bytes, {} are left of the {}", type, length, end - at, name));
    }
    if (image.tlvs.size() == kMaxTlvs) return bad(fmt::format("more than {} TLVs", kMaxTlvs));
    image.tlvs.push_back({type, file.subspan(at, length), is_protected});
    at += length;
  }
  return end;
}

Result<void> find_hash(ImageFile& image) {
  bool found = false;
  for (const ImageTlv& tlv : image.tlvs) {
    const auto* const hash =
        std::find_if(kHashes.begin(), kHashes.end(), [&](const auto& row) { return row.first == tlv.type; });
    if (hash == kHashes.end()) continue;
    if (found) return bad("more than one hash TLV");
    if (tlv.value.size() != digest::digest_bytes(hash->second)) {
      return bad(fmt::format("hash TLV 0x{:02x} of {} bytes, must be {}", tlv.type, tlv.value.size(),
                             digest::digest_bytes(hash->second)));
    }
    found = true;
    image.hash_algorithm = hash->second;
    image.hash = tlv.value;
  }
  if (!found) return bad("no hash TLV, so nothing names this image");
  return {};
}

template <typename Table, typename Key>
std::optional<std::string_view> name_of(const Table& table, Key key) {
  for (const auto& [known, name] : table) {
    if (known == key) return name;
  }
  return std::nullopt;
}

}  // namespace

std::string print(const ImageVersion& version) {
  std::string text = fmt::format("{}.{}.{}", version.major, version.minor, version.revision);
  if (version.build != 0) text += fmt::format("+{}", version.build);
  return text;
}

std::optional<ImageVersion> parse_image_version(std::string_view text) {
  std::array<std::uint32_t, 4> parts{};
  constexpr std::array<std::uint32_t, 4> kMost{0xFF, 0xFF, 0xFFFF, 0xFFFFFFFF};
  std::size_t count = 0;
  for (; count < parts.size(); ++count) {
    const std::size_t length = std::min(text.find_first_of(count == 2 ? ".+" : "."), text.size());
    const auto part = parse_integer<std::uint32_t>(text.substr(0, length));
    if (!part || *part > kMost[count]) return std::nullopt;
    parts[count] = *part;
    if (length == text.size()) {
      text = {};
      break;
    }
    text.remove_prefix(length + 1);
  }
  if (count < 2 || count == parts.size()) return std::nullopt;
  return ImageVersion{static_cast<std::uint8_t>(parts[0]), static_cast<std::uint8_t>(parts[1]),
                      static_cast<std::uint16_t>(parts[2]), parts[3]};
}

Result<ImageVersion> decode_image_version(Bytes header) {
  if (header.size() < kImageHeaderBytes || load_le<std::uint32_t>(header.data()) != kImageMagic) return refuse(header);
  return ImageVersion{std::to_integer<std::uint8_t>(header[20]), std::to_integer<std::uint8_t>(header[21]),
                      load_le<std::uint16_t>(&header[22]), load_le<std::uint32_t>(&header[24])};
}

Result<ImageFile> decode_image_file(Bytes file) {
  auto version = decode_image_version(file);
  if (!version) return fail(std::move(version));
  ImageFile image;
  image.version = *version;
  image.load_address = load_le<std::uint32_t>(&file[4]);
  image.header_bytes = load_le<std::uint16_t>(&file[8]);
  const std::size_t protected_bytes = load_le<std::uint16_t>(&file[10]);
  image.image_bytes = load_le<std::uint32_t>(&file[12]);
  image.flags = load_le<std::uint32_t>(&file[16]);
  if (image.header_bytes < kImageHeaderBytes) {
    return bad(fmt::format("a header of {} bytes, must be at least {}", image.header_bytes, kImageHeaderBytes));
  }
  const std::uint64_t tlvs_at = std::uint64_t{image.header_bytes} + image.image_bytes;
  if (tlvs_at > file.size()) {
    return bad(fmt::format("truncated: header and image have {} bytes, the file {}", tlvs_at, file.size()));
  }
  auto at = static_cast<std::size_t>(tlvs_at);
  if (protected_bytes > 0) {
    const auto end = read_tlvs(file, at, true, image);
    if (!end) return tl::make_unexpected(end.error());
    if (*end - at != protected_bytes) {
      return bad(fmt::format("protected TLVs of {} bytes, the header says {}", *end - at, protected_bytes));
    }
    at = *end;
  }
  const Bytes hashed = file.first(at);
  const auto end = read_tlvs(file, at, false, image);
  if (!end) return tl::make_unexpected(end.error());
  image.end = *end;
  if (auto found = find_hash(image); !found) return fail(std::move(found));
  if (!image.encrypted()) image.hash_valid = digest::digest(image.hash_algorithm, hashed) == as_text(image.hash);
  return image;
}

std::optional<std::string_view> image_flag_name(std::uint32_t bit) { return name_of(kFlags, bit); }

std::optional<std::string_view> image_tlv_name(std::uint16_t type) { return name_of(kTlvs, type); }

}  // namespace fieldpipe::smp
