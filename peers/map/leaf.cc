// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "peers/map/node_header.h"

namespace atl {
namespace {

// Each palette form; a plain leaf has none.
struct PaletteForm {
  NodeForm form;
  uint32_t sources;
  uint32_t bits;
};
constexpr PaletteForm kPalettes[] = {
    {NodeForm::kPalette2, 2, 1},
    {NodeForm::kPalette4, 4, 2},
    {NodeForm::kPalette16, 16, 4},
};
constexpr size_t kMaxPalette = 16;

struct Palette {
  std::array<SourceIndex, kMaxPalette + 1> sources{};
  size_t count = 0;
};

// The distinct sources in ascending order, giving up behind kMaxPalette of them.
Palette PaletteOf(const Leaf& leaf) {
  Palette palette;
  for (size_t i = 0; i < kLeafGrains; ++i) {
    const SourceIndex source = leaf.sources[i];
    if (i > 0 && source == leaf.sources[i - 1]) continue;
    const auto end = palette.sources.begin() + palette.count;
    const auto at = std::lower_bound(palette.sources.begin(), end, source);
    if (at != end && *at == source) continue;
    if (palette.count == kMaxPalette) {
      ++palette.count;
      return palette;
    }
    std::copy_backward(at, end, end + 1);
    *at = source;
    ++palette.count;
  }
  return palette;
}

void PutPalette(const Leaf& leaf, const Palette& palette, const PaletteForm& form, Encoder* out) {
  const auto begin = palette.sources.begin();
  for (uint32_t i = 0; i < form.sources; ++i) {
    out->Put(i < palette.count ? palette.sources[i] : SourceIndex{0});
  }
  const uint32_t in_byte = 8 / form.bits;
  for (size_t first = 0; first < kLeafGrains; first += in_byte) {
    uint8_t byte = 0;
    for (uint32_t i = 0; i < in_byte; ++i) {
      const SourceIndex source = leaf.sources[first + i];
      const auto at = std::lower_bound(begin, begin + palette.count, source) - begin;
      byte = static_cast<uint8_t>(byte | at << (i * form.bits));
    }
    out->Put(byte);
  }
}

Result<Leaf> GetPalette(Decoder* body, const PaletteForm& form, const NodePlace& place) {
  std::array<SourceIndex, kMaxPalette> palette{};
  uint32_t used = 0;
  for (uint32_t i = 0; i < form.sources; ++i) {
    palette[i] = body->Get<SourceIndex>();
    // Ascending, so only the first may be zero; other zeros are places that are not used.
    if (i == 0 || (palette[i] > palette[i - 1] && used == i)) {
      used = i + 1;
    } else if (palette[i] != 0) {
      return BadNode(place, "its palette is not in order");
    }
  }
  Leaf leaf;
  const uint32_t in_byte = 8 / form.bits;
  const uint32_t mask = (1u << form.bits) - 1;
  for (size_t first = 0; first < kLeafGrains; first += in_byte) {
    const auto byte = body->Get<uint8_t>();
    for (uint32_t i = 0; i < in_byte; ++i) {
      const uint32_t index = byte >> (i * form.bits) & mask;
      if (index >= used) return BadNode(place, "it uses a source that its palette does not have");
      leaf.sources[first + i] = palette[index];
    }
  }
  return leaf;
}

}  // namespace

bool IsUniform(const Leaf& leaf, SourceIndex* source) {
  const auto differs = [&](SourceIndex other) { return other != leaf.sources[0]; };
  if (std::any_of(leaf.sources.begin(), leaf.sources.end(), differs)) return false;
  *source = leaf.sources[0];
  return true;
}

void EncodeLeaf(const Leaf& leaf, uint64_t first, const NodePlace& place, Encoder* out) {
  const size_t start = out->size();
  const Palette palette = PaletteOf(leaf);
  const auto fits = [&](const PaletteForm& form) { return palette.count <= form.sources; };
  const auto form = std::find_if(std::begin(kPalettes), std::end(kPalettes), fits);
  if (form != std::end(kPalettes)) {
    const size_t length = kNodeHeaderBytes + form->sources * 2 + kLeafGrains * form->bits / 8;
    PutNodeHeader(out, {form->form, 0, static_cast<uint16_t>(length), first});
    PutPalette(leaf, palette, *form, out);
  } else {
    PutNodeHeader(out, {NodeForm::kPlain, 0, kNodeHeaderBytes + kLeafGrains * 2, first});
    for (const SourceIndex source : leaf.sources) out->Put(source);
  }
  FinishNode(out, start, place);
}

Result<Leaf> DecodeLeaf(ConstSpan bytes, uint64_t first, const NodePlace& place) {
  Decoder body({});
  ASSIGN_OR_RETURN(const NodeHeader header, OpenNode(bytes, 0, first, place, &body));
  for (const PaletteForm& form : kPalettes) {
    if (form.form == header.form) return GetPalette(&body, form, place);
  }
  Leaf leaf;
  for (SourceIndex& source : leaf.sources) source = body.Get<SourceIndex>();
  return leaf;
}

}  // namespace atl
