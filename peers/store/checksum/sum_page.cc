// SPDX-License-Identifier: Apache-2.0
#include "peers/store/checksum/sum_page.h"

#include <cstring>

#include "xseg/base/crc32c.h"

namespace atl {
namespace {

constexpr uint32_t kMagic = 0x4D555341;  // "ASUM".
constexpr uint16_t kVersion = 1;
constexpr uint16_t kClean = 1;

struct Head {
  uint32_t magic;
  uint32_t checksum;  // Of the whole page, with this one 0.
  uint16_t version;
  uint16_t flags;
  uint32_t zero;
  uint64_t generation;
  uint64_t region;
};
static_assert(sizeof(Head) == 32);
static_assert(sizeof(Head) + kSumsOfPage * sizeof(uint32_t) == kSumPageBytes);

uint32_t SeedOf(const BlobId& blob) {
  std::array<std::byte, 22> id;
  std::memcpy(id.data(), &blob.owner, 16);
  std::memcpy(id.data() + 16, &blob.epoch, 4);
  std::memcpy(id.data() + 20, &blob.instance, 2);
  return Crc32c(id);
}

uint32_t ChecksumOf(Bytes page, const BlobId& blob) {
  std::memset(page.data() + offsetof(Head, checksum), 0, sizeof(uint32_t));
  return Crc32c(page, SeedOf(blob));
}

}  // namespace

uint32_t SumOfBlock(const BlobId& blob, uint64_t block, ConstSpan bytes) {
  const std::array<uint64_t, 2> place = {SeedOf(blob), block};
  const uint32_t seed = Crc32c({reinterpret_cast<const std::byte*>(place.data()), sizeof(place)});
  const uint32_t sum = Crc32c(bytes, seed);
  return sum == 0 ? 1 : sum;
}

Bytes EncodeSumPage(const SumPage& page, uint64_t generation, const BlobId& blob, uint64_t region) {
  Bytes bytes(kSumPageBytes);
  Head head{.magic = kMagic,
            .checksum = 0,
            .version = kVersion,
            .flags = page.clean ? kClean : uint16_t{0},
            .zero = 0,
            .generation = generation,
            .region = region};
  std::memcpy(bytes.data(), &head, sizeof(head));
  if (page.clean) std::memcpy(bytes.data() + sizeof(head), page.sums.data(), sizeof(page.sums));
  head.checksum = ChecksumOf(bytes, blob);
  std::memcpy(bytes.data(), &head, sizeof(head));
  return bytes;
}

std::optional<SumPage> DecodeSumPage(ConstSpan bytes, uint64_t generation, const BlobId& blob,
                                     uint64_t region) {
  if (bytes.size() != kSumPageBytes) return std::nullopt;
  Head head;
  std::memcpy(&head, bytes.data(), sizeof(head));
  const bool is_it = head.magic == kMagic && head.version == kVersion &&
                     head.generation == generation && head.region == region && head.flags <= kClean;
  if (!is_it || head.checksum != ChecksumOf(Bytes(bytes.begin(), bytes.end()), blob)) {
    return std::nullopt;
  }
  SumPage page{.clean = head.flags == kClean};
  std::memcpy(page.sums.data(), bytes.data() + sizeof(head), sizeof(page.sums));
  return page;
}

}  // namespace atl
