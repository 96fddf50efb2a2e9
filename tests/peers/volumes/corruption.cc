// SPDX-License-Identifier: Apache-2.0
#include "tests/peers/volumes/corruption.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>

#include "xseg/base/check.h"

namespace atl {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, kDamages> kNames = {
    "bit flipped", "bytes changed", "truncated", "zeroed", "overwritten", "swapped", "removed"};

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
// A file of its own: what was there may be shared with the scene.
void WriteFile(const std::string& path, const std::string& bytes) {
  fs::remove(path);
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << bytes;
  CHECK(out.good()) << path;
}

// The bytes in which two contents differ, their ends included.
ByteRange Difference(const std::string& a, const std::string& b) {
  const size_t common = std::min(a.size(), b.size()), longer = std::max(a.size(), b.size());
  size_t first = 0;
  while (first < common && a[first] == b[first]) ++first;
  size_t last = longer;
  if (a.size() == b.size()) {
    while (last > first && a[last - 1] == b[last - 1]) --last;
  }
  return {first, last - first};
}

class Corruptor {
 public:
  Corruptor(const CorruptionScene& scene, std::mt19937_64* random)
      : scene_(scene), random_(*random) {}

  // False: nothing has changed.
  bool Try(Corruption* out) {
    out->damage = static_cast<Damage>(Below(kDamages));
    out->file = PickFile();
    const std::string path = scene_.work() + "/" + out->file;
    const std::string before = ReadFile(path);
    if (out->damage == Damage::kRemove) {
      fs::remove(path);
      out->harmless = scene_.WhyHarmlessRemoved(out->file);
      return true;
    }
    if (out->damage == Damage::kSwap) return Swap(before, out);
    if (before.empty()) return false;
    const std::string after = Change(out->damage, before);
    out->bytes = Difference(before, after);
    if (out->bytes.empty()) return false;
    WriteFile(path, after);
    out->harmless = scene_.WhyHarmless(out->file, out->bytes);
    return true;
  }

 private:
  uint64_t Below(uint64_t limit) { return random_() % limit; }
  // Records and logs are most of what there is to damage; of the others each is as likely.
  std::string PickFile() { return scene_.files()[Below(scene_.files().size())]; }

  bool Swap(const std::string& before, Corruption* out) {
    out->other = PickFile();
    const std::string path = scene_.work() + "/" + out->file;
    const std::string other_path = scene_.work() + "/" + out->other;
    const std::string other = ReadFile(other_path);
    out->bytes = Difference(before, other);
    if (out->bytes.empty()) return false;
    WriteFile(path, other);
    WriteFile(other_path, before);
    const char* one = scene_.WhyHarmless(out->file, out->bytes);
    const char* two = scene_.WhyHarmless(out->other, out->bytes);
    out->harmless = one != nullptr && two != nullptr ? one : nullptr;
    return true;
  }

  std::string Change(Damage damage, std::string bytes) {
    const size_t at = Below(bytes.size());
    const size_t count = std::min<size_t>(bytes.size() - at, 1 + Below(64) * (1 + Below(64)));
    switch (damage) {
      case Damage::kFlip:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << Below(8)));
        break;
      case Damage::kFlips:
        for (size_t i = 0; i < std::min<size_t>(count, 16); ++i) {
          bytes[at + i] = static_cast<char>(random_());
        }
        break;
      case Damage::kTruncate:
        bytes.resize(at);
        break;
      case Damage::kZero:
        std::fill_n(bytes.begin() + static_cast<ptrdiff_t>(at), count, '\0');
        break;
      default:
        for (size_t i = 0; i < count; ++i) bytes[at + i] = static_cast<char>(random_());
    }
    return bytes;
  }

  const CorruptionScene& scene_;
  std::mt19937_64& random_;
};

}  // namespace

std::string Corruption::ToString() const {
  return fmt::format("{} {}{} [{}, +{}){}", kNames[static_cast<size_t>(damage)], file,
                     other.empty() ? "" : " with " + other, bytes.offset, bytes.length,
                     harmless != nullptr ? std::string(": ") + harmless : "");
}

Corruption Corrupt(const CorruptionScene& scene, std::mt19937_64* random) {
  Corruptor corruptor(scene, random);
  while (true) {
    Corruption corruption;
    if (corruptor.Try(&corruption)) return corruption;
  }
}

}  // namespace atl
