// SPDX-License-Identifier: Apache-2.0
//
// Damage at random to the files of a scene: one change behind the back of the store.
#pragma once

#include <random>
#include <string>

#include "tests/peers/volumes/corruption_scene.h"

namespace atl {

enum class Damage : uint8_t { kFlip, kFlips, kTruncate, kZero, kGarbage, kSwap, kRemove };
inline constexpr int kDamages = 7;

struct Corruption {
  Damage damage = Damage::kFlip;
  std::string file;
  std::string other;               // Of a swap.
  ByteRange bytes;                 // That have changed in `file`, and in `other`.
  const char* harmless = nullptr;  // Why it is.
  std::string ToString() const;
};

// Damages the scene's work folder, which was just reset. Something has changed when it returns.
Corruption Corrupt(const CorruptionScene& scene, std::mt19937_64* random);

}  // namespace atl
