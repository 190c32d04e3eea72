// SPDX-License-Identifier: MIT
#include <string>

#include <doctest/doctest.h>

#include "digest/digest.h"
#include "smp/image_file.h"
#include "smp_vectors.h"

namespace fieldpipe::smp {
namespace {

std::string vector_file(std::string_view name) {
  for (const Json& vector : read_vectors("mcuboot-images.jsonl")) {
    if (vector["name"] == name) return from_hex(vector["hex"].get<std::string>());
  }
  FAIL("no such vector");
  return {};
}

std::string refusal(std::string_view file) {
  const auto image = decode_image_file(as_bytes(file));
  REQUIRE_FALSE(image);
  CHECK(image.error().code == ErrorCode::kBadData);
  return image.error().what;
}

TEST_CASE("images and files that are none") {
  for (const Json& vector : read_vectors("mcuboot-images.jsonl")) {
    CAPTURE(vector["name"].get<std::string>());
    const std::string file = from_hex(vector["hex"].get<std::string>());
    const Json& expect = vector["expect"];
    const auto image = decode_image_file(as_bytes(file));
    CHECK(to_hex(as_bytes(digest::digest(digest::Algorithm::kSha256, as_bytes(file)))) ==
          vector["sha256_of_file"].get<std::string>());
    REQUIRE(image.has_value() == expect["ok"].get<bool>());
    if (!image) continue;
    CHECK(print(image->version) == expect["version"].get<std::string>());
    CHECK(to_hex(image->hash) == expect["hash"].get<std::string>());
    CHECK(image->hash_valid == expect["hash_valid"].get<bool>());
    CHECK(image->header_bytes == expect["header_size"].get<int>());
    CHECK(image->image_bytes == expect["image_size"].get<std::uint32_t>());
    CHECK(image->flags == expect["flags"].get<std::uint32_t>());
    CHECK(image->end == expect["end"].get<std::size_t>());
    if (expect.contains("tlvs")) {
      REQUIRE(image->tlvs.size() == expect["tlvs"].size());
      for (std::size_t i = 0; i < image->tlvs.size(); ++i) {
        CHECK(image->tlvs[i].type == std::stoi(expect["tlvs"][i].get<std::string>(), nullptr, 16));
      }
    }
    for (std::size_t cut = 0; cut < image->end; ++cut) CHECK_FALSE(decode_image_file(as_bytes(file).first(cut)));
  }
}

TEST_CASE("one clear line for what is no image") {
  const std::string good = vector_file("minimal");
  CHECK(refusal("") == "an empty file");
  CHECK(refusal("\x7f"
                "ELF\x01\x01\x01") == "an ELF file, not an MCUboot image");
  CHECK(refusal("PK\x03\x04....") == "a zip archive, not an MCUboot image");
  CHECK(refusal(vector_file("intel-hex-file")) == "an Intel HEX file, not an MCUboot image");
  CHECK(refusal(vector_file("truncated-header")) == "a file of 20 bytes, the header of an image alone has 32");
  CHECK(refusal(vector_file("bad-magic")) == "no MCUboot image: magic 0x00000000, must be 0x96f3b83d");
  CHECK(refusal(vector_file("truncated-tlv")) == "truncated: TLVs at byte 96 have 40 bytes, the file ends at 131");
  CHECK(refusal(std::string_view(good).substr(0, 90)) == "truncated: header and image have 96 bytes, the file 90");
  CHECK(refusal(std::string_view(good).substr(0, 98)) == "truncated: TLVs at byte 96, the file ends at 98");
  CHECK(refusal(vector_file("image-size-overflow")) ==
        "truncated: header and image have 4294967312 bytes, the file 136");
  CHECK(refusal(vector_file("tlv-total-too-small")) == "TLVs of 3 bytes, their head alone has 4");
  CHECK(refusal(vector_file("protected-size-without-area")) ==
        "no protected TLVs at byte 96: magic 0x6907, must be 0x6908");
  CHECK(refusal(vector_file("two-hash-tlvs")) == "more than one hash TLV");
  CHECK(refusal(vector_file("no-hash-tlv")) == "no hash TLV, so nothing names this image");
  std::string bad = good;
  bad[8] = 31;
  CHECK(refusal(bad) == "a header of 31 bytes, must be at least 32");
  bad = good;
  bad[102] = 28;
  CHECK(refusal(bad) == "TLV 0x818e of 60220 bytes, 0 are left of the TLVs");
  bad[102] = 31;
  CHECK(refusal(bad) == "1 bytes at byte 135 that are no TLV");
  bad[98] = 39;
  CHECK(refusal(bad) == "hash TLV 0x10 of 31 bytes, must be 32");
  bad[102] = 33;
  bad[98] = 40;
  CHECK(refusal(bad) == "TLV 0x10 of 33 bytes, 32 are left of the TLVs");
}

TEST_CASE("a padded file ends with its last TLV, an encrypted one cannot be checked") {
  std::string padded = vector_file("minimal");
  padded.append(1000, '\xFF');
  const auto image = decode_image_file(as_bytes(padded));
  REQUIRE(image);
  CHECK(image->end == 136);
  CHECK(image->hash_valid == true);
  std::string encrypted = vector_file("minimal");
  encrypted[16] = kEncryptedAes128;
  const auto secret = decode_image_file(as_bytes(encrypted));
  REQUIRE(secret);
  CHECK(secret->encrypted());
  CHECK_FALSE(secret->hash_valid);
}

TEST_CASE("versions") {
  CHECK(parse_image_version("1.2.3") == ImageVersion{1, 2, 3, 0});
  CHECK(parse_image_version("1.2.3.4") == ImageVersion{1, 2, 3, 4});
  CHECK(parse_image_version("1.2.3+4") == ImageVersion{1, 2, 3, 4});
  CHECK(parse_image_version("255.255.65535+4294967295") == ImageVersion{255, 255, 65535, 4294967295});
  for (const char* text :
       {"", "1", "1.2", "1.2.3.", "1.2.3.4.5", "256.0.0", "1.2.65536", "1.2.3-rc1", "1.2+3", "v1.2.3", "1..3"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_image_version(text));
  }
  CHECK(ImageVersion{1, 2, 3, 4} > ImageVersion{1, 2, 3, 0});
}

}  // namespace
}  // namespace fieldpipe::smp
