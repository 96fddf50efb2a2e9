// SPDX-License-Identifier: Apache-2.0
#include "tools/atoll/size.h"

#include <gtest/gtest.h>

#include "tools/atoll/output.h"
#include "xseg/base/units.h"

namespace atl {
namespace {

TEST(Size, IsReadWithAndWithoutUnits) {
  EXPECT_EQ(*ParseSize("512"), 512u);
  EXPECT_EQ(*ParseSize("512B"), 512u);
  EXPECT_EQ(*ParseSize("512K"), 512 * kKiB);
  EXPECT_EQ(*ParseSize("20MiB"), 20 * kMiB);
  EXPECT_EQ(*ParseSize("10g"), 10 * kGiB);
  EXPECT_EQ(*ParseSize("64TB"), 64 * kTiB);
  EXPECT_EQ(*ParseSize("1P"), kPiB);
}

TEST(Size, RefusesWhatIsNone) {
  for (const char* text : {"", "K", "-1", "+1", "1X", "1KK", "1 G", "0x10", "1.5G", "1Ki", " 1"}) {
    EXPECT_EQ(ParseSize(text).code(), Code::kInvalid) << text;
  }
  EXPECT_EQ(ParseSize("99999999999999999999").code(), Code::kLimit);
  EXPECT_EQ(ParseSize("18446744073709551615P").code(), Code::kLimit);
}

TEST(Size, IsShownForPeople) {
  EXPECT_EQ(HumanSize(0), "0 B");
  EXPECT_EQ(HumanSize(1023), "1023 B");
  EXPECT_EQ(HumanSize(1536), "1.5 KiB");
  EXPECT_EQ(HumanSize(10 * kGiB), "10 GiB");
  EXPECT_EQ(HumanSize(kMiB - 1), "1.0 MiB");
  EXPECT_EQ(HumanSize(kPiB), "1 PiB");
  EXPECT_EQ(HumanCount(12), "12");
  EXPECT_EQ(HumanCount(1234), "1.2k");
  EXPECT_EQ(HumanNs(80), "80 ns");
  EXPECT_EQ(HumanNs(1'234'567), "1.2 ms");
  EXPECT_EQ(HumanUptime(3'700 * kSecond), "1h 1m");
  EXPECT_EQ(UtcTime(0), "");
  EXPECT_EQ(UtcTime(1'700'000'000 * kSecond), "2023-11-14T22:13:20Z");
}

TEST(Output, TablesAreAlignedAndJsonHasIntegers) {
  const auto row = [](std::string name, uint64_t size) {
    return Row{TextCell("name", std::move(name)), SizeCell("size", size),
               DetailCell("open", true, "yes")};
  };
  const std::vector<Row> rows = {row("a", 512), row("longer", 10 * kGiB)};
  EXPECT_EQ(RenderList(Format::kTable, row("", 0), rows),
            "NAME      SIZE\n"
            "a        512 B\n"
            "longer  10 GiB\n");
  const Json json = Json::parse(RenderList(Format::kJson, row("", 0), rows));
  EXPECT_EQ(json[1]["size"], 10 * kGiB);
  EXPECT_EQ(json[0]["open"], true);
  EXPECT_EQ(RenderList(Format::kTable, row("", 0), {}), "NAME  SIZE\n");
  EXPECT_EQ(RenderList(Format::kJson, row("", 0), {}), "[]\n");
}

}  // namespace
}  // namespace atl
