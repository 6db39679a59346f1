// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include <support/process.hpp>
#include <support/tool.hpp>

namespace support {
namespace {

using testing::HasSubstr;

const std::string demo_program = program("PENSTOCK_DEMO", PENSTOCK_DEMO);

TEST(demo, finds_the_other_programs_when_it_was_found_by_path) {
  const TemporaryDirectory directory;
  const std::string bin = std::filesystem::path{demo_program}.parent_path();
  Process demo{{"/bin/sh", "-c", "cd / && exec penstock-demo"},
               {"PATH=" + bin, "TMPDIR=" + directory.file("")}};
  EXPECT_EQ(demo.wait(), 0) << demo.err();
  EXPECT_THAT(demo.out(), HasSubstr("3000 of 3000 answers belong to their question"));
}

TEST(demo, says_when_it_has_nowhere_to_write) {
  Process demo{{demo_program}, {"TMPDIR=/nowhere/at/all"}};
  EXPECT_EQ(demo.wait(), 1);
  EXPECT_THAT(demo.err(), HasSubstr("TMPDIR names no directory"));
}

}  // namespace
}  // namespace support
