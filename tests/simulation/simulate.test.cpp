// SPDX-License-Identifier: MIT
// The program finds what is planted, says so, and replays it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <string>
#include <utility>

#include <support/process.hpp>

namespace {

using support::Arguments;
using support::operator+;
using ::testing::HasSubstr;

struct Ended {
  int code;
  std::string out;
  std::string err;
};
Ended simulate(const Arguments& arguments) {
  support::Process program{Arguments{PENSTOCK_SIMULATE} + arguments};
  const int code = program.wait();
  return {code, program.out(), program.err()};
}
// "0123456789abcdef" after the first "trace ".
std::string first_trace(const std::string& text) {
  const std::size_t at = text.find("trace ");
  return at == text.npos ? std::string{} : text.substr(at + 6, 16);
}

// A scenario and a fault that it must find.
class penstock_simulate : public ::testing::TestWithParam<std::pair<std::string, std::string>> {};
INSTANTIATE_TEST_SUITE_P(planted,
                         penstock_simulate,
                         ::testing::Values(std::pair{"pipeline", "leaked-permit"},
                                           std::pair{"pipeline", "ignored-deadline"},
                                           std::pair{"pipeline", "unpaid-retry"},
                                           std::pair{"pipeline", "extra-probe"},
                                           std::pair{"pipeline", "exceeded-rate"},
                                           std::pair{"pipeline", "lost-caller"},
                                           std::pair{"pipeline", "unseeded-chance"},
                                           std::pair{"blocking", "leaked-permit"},
                                           std::pair{"blocking", "ignored-deadline"},
                                           std::pair{"blocking", "lost-caller"},
                                           std::pair{"full-pipeline", "leaked-permit"},
                                           std::pair{"full-pipeline", "unpaid-retry"},
                                           std::pair{"full-pipeline", "unpaid-hedge"},
                                           std::pair{"full-pipeline", "lost-caller"},
                                           std::pair{"full-blocking", "leaked-permit"},
                                           std::pair{"full-blocking", "ignored-deadline"},
                                           std::pair{"full-blocking", "unpaid-retry"},
                                           std::pair{"batch", "swapped-replies"},
                                           std::pair{"pool", "leaked-lease"},
                                           std::pair{"blocking-pool", "leaked-lease"},
                                           std::pair{"bucket", "exceeded-rate"},
                                           std::pair{"brownout", "unpaid-retry"},
                                           std::pair{"cancel-storm", "leaked-lease"},
                                           std::pair{"cancel-storm", "leaked-permit"}),
                         [](const auto& test) {
                           std::string name = test.param.first + "_" + test.param.second;
                           for (char& each : name)
                             if (std::isalnum(static_cast<unsigned char>(each)) == 0) each = '_';
                           return name;
                         });

TEST_P(penstock_simulate, finds_what_is_planted_and_replays_it_from_the_line_it_prints) {
  const auto& [scenario, bug] = GetParam();
  const Arguments chosen{"--scenario", scenario, "--break", bug};
  const Ended found = simulate(Arguments{"--seeds", "300"} + chosen);
  EXPECT_EQ(found.code, 1) << found.err;
  ASSERT_THAT(found.out, HasSubstr("replay: penstock-simulate --scenario " + scenario));

  const std::size_t at = found.out.find("--first ") + 8;
  const std::string seed = found.out.substr(at, found.out.find(' ', at) - at);
  const Ended once = simulate(Arguments{"--seeds", "1", "--first", seed} + chosen);
  const Ended again = simulate(Arguments{"--seeds", "1", "--first", seed} + chosen);
  EXPECT_EQ(once.code, 1);
  if (bug == "unseeded-chance") return;
  EXPECT_EQ(first_trace(once.out), first_trace(found.out));
  EXPECT_EQ(first_trace(once.out), first_trace(again.out));
  EXPECT_THAT(found.out, HasSubstr(once.out.substr(0, once.out.find('\n'))));
}

TEST(penstock_simulate_deadlock, names_who_waits_for_what) {
  const Ended found =
      simulate({"--seeds", "50", "--scenario", "pipeline", "--break", "lost-caller"});
  EXPECT_THAT(found.out, HasSubstr("deadlock:"));
  EXPECT_THAT(found.out, HasSubstr("caller 3 waits for something that nobody gives"));
  EXPECT_THAT(found.out, HasSubstr("a call to the server waits for its reply"));
}

TEST(penstock_simulate_program, holds_without_a_fault_and_prints_its_figures) {
  const Ended ended = simulate({"--seeds", "20", "--first", "7", "--scenario=pipeline"});
  EXPECT_EQ(ended.code, 0) << ended.out;
  EXPECT_THAT(ended.out, HasSubstr("20 seeds"));
  EXPECT_THAT(ended.out, HasSubstr("0 violations"));
  EXPECT_THAT(ended.out, HasSubstr("calls"));
  EXPECT_THAT(ended.out, HasSubstr("seeds/s"));
}

TEST(penstock_simulate_program, leaves_another_trace_for_other_seeds) {
  const Ended one = simulate({"--seeds", "5", "--scenario", "pipeline"});
  const Ended same = simulate({"--seeds", "5", "--scenario", "pipeline"});
  const Ended other = simulate({"--seeds", "5", "--first", "2", "--scenario", "pipeline"});
  EXPECT_EQ(first_trace(one.out), first_trace(same.out));
  EXPECT_NE(first_trace(one.out), first_trace(other.out));
}

TEST(penstock_simulate_program, lists_its_scenarios_and_helps) {
  const Ended list = simulate({"--list"});
  EXPECT_EQ(list.code, 0);
  EXPECT_THAT(list.out, HasSubstr("pipeline "));
  const Ended help = simulate({"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.out, HasSubstr("--first S"));
}

TEST(penstock_simulate_program, refuses_wrong_usage_with_a_sentence) {
  for (const Arguments& wrong : {Arguments{"--seed", "1"},
                                 Arguments{"--seeds", "none"},
                                 Arguments{"--seeds", "0"},
                                 Arguments{"--scenario", "nothing"},
                                 Arguments{"--break", "nothing"},
                                 Arguments{"--first"}}) {
    const Ended ended = simulate(wrong);
    EXPECT_EQ(ended.code, 2);
    EXPECT_THAT(ended.err, ::testing::StartsWith("penstock-simulate: "));
  }
}

}  // namespace
