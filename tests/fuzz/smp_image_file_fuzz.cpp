// SPDX-License-Identifier: MIT
// What is accepted as an image lies within the file, and ends where it says: what is behind does not matter.
#include <cstdint>
#include <cstdlib>

#include "smp/image_file.h"

using namespace fieldpipe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes file = std::as_bytes(std::span(data, size));
  const auto image = smp::decode_image_file(file);
  if (!image) return image.error().what.empty() ? std::abort(), 0 : 0;
  if (image->end > size || image->hash.empty()) std::abort();
  for (const smp::ImageTlv& tlv : image->tlvs) {
    if (tlv.value.data() < file.data() || tlv.value.data() + tlv.value.size() > file.data() + image->end) std::abort();
  }
  const auto cut = smp::decode_image_file(file.first(image->end));
  if (!cut || cut->end != image->end || cut->hash_valid != image->hash_valid) std::abort();
  return 0;
}
