// SPDX-License-Identifier: MIT
// MCUboot image files: header, TLVs and the hash that names an image in the image group. Layout: mcu-tools/mcuboot
// docs/design.md and boot/bootutil/include/bootutil/image.h.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/result.h"
#include "digest/digest.h"

namespace fieldpipe::smp {

// The header without what is behind it, and how it begins, in little endian.
inline constexpr std::size_t kImageHeaderBytes = 32;
inline constexpr std::uint32_t kImageMagic = 0x96F3B83D;

struct ImageVersion {
  std::uint8_t major = 0;
  std::uint8_t minor = 0;
  std::uint16_t revision = 0;
  std::uint32_t build = 0;

  auto operator<=>(const ImageVersion&) const = default;
};

// `1.2.3`, with `+4` behind it for a build that is not 0, as imgtool writes it.
std::string print(const ImageVersion& version);

// The same, and the `1.2.3.4` of devices (zephyrproject-rtos/zephyr subsys/mgmt/mcumgr/grp/img_mgmt). Nothing for
// another text, which is then a text that an application made.
std::optional<ImageVersion> parse_image_version(std::string_view text);

struct ImageTlv {
  std::uint16_t type = 0;
  Bytes value;  // within the file
  bool is_protected = false;
};

// Bits of ImageFile::flags.
inline constexpr std::uint32_t kEncryptedAes128 = 0x4;
inline constexpr std::uint32_t kEncryptedAes256 = 0x8;
inline constexpr std::uint32_t kNonBootable = 0x10;

// What a file says. Views into the file, which must stay.
struct ImageFile {
  std::uint32_t load_address = 0;
  std::uint16_t header_bytes = 0;
  std::uint32_t image_bytes = 0;  // without header and TLVs
  std::uint32_t flags = 0;
  ImageVersion version;
  std::vector<ImageTlv> tlvs;  // in the order of the file
  digest::Algorithm hash_algorithm = digest::Algorithm::kSha256;
  Bytes hash;  // of the hash TLV: the name of the image, not the digest of the file
  // Whether the content agrees with it; nothing where it is encrypted, because the hash is of the plain text.
  std::optional<bool> hash_valid;
  std::size_t end = 0;  // offset behind the last TLV; padding and a trailer may follow

  [[nodiscard]] bool encrypted() const { return (flags & (kEncryptedAes128 | kEncryptedAes256)) != 0; }
};

// Reads and checks the image in a file of up to 4 GiB. Fails with kBadData, and says what the file is instead where
// that can be told: ELF, Intel HEX, a zip archive, a binary without header, a truncated file. A hash that does not
// agree is no failure here; see ImageFile::hash_valid.
Result<ImageFile> decode_image_file(Bytes file);

// The version in the header of an image, of which no more need be there. Fails with kBadData for what begins otherwise.
Result<ImageVersion> decode_image_version(Bytes header);

// Name of a flag by its bit, and of a TLV by its type: `rom-fixed`, `sha256`; nothing where there is none.
std::optional<std::string_view> image_flag_name(std::uint32_t bit);
std::optional<std::string_view> image_tlv_name(std::uint16_t type);

}  // namespace fieldpipe::smp
