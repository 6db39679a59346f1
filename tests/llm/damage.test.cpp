// SPDX-License-Identifier: MIT
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <llm/provider.hpp>
#include <llm/simulate.hpp>

namespace {

using llm::simulate::Protocol;

class Damage {
 public:
  std::uint64_t pick(std::uint64_t below) { return random_() % below; }

  // Erased, inserted, changed or cut bytes; about one text in five stays as it is.
  std::string operator()(std::string text) {
    for (auto left = pick(5); left > 0 && !text.empty(); --left) {
      const auto at = pick(text.size());
      switch (pick(5)) {
        case 0:
          text.erase(at, 1 + pick(8));
          break;
        case 1:
          text.insert(at, "null");
          break;
        case 2:
          text[at] = static_cast<char>(pick(256));
          break;
        case 3:
          text[at] = "\"{}[],:0-"[pick(9)];
          break;
        default:
          text.resize(at);
          break;
      }
    }
    return text;
  }

 private:
  std::mt19937_64 random_{99};
};

TEST(damage, never_breaks_a_decoder_and_every_failure_says_why) {
  Damage damage;
  const llm::simulate::Stamp stamp{.number = 1, .created = 1};
  const llm::ChatRequest chat{.model = "m", .messages = {{"user", "one two three"}}};
  for (const Protocol protocol : {Protocol::openai, Protocol::anthropic}) {
    const llm::Provider& provider =
        *llm::find_provider(protocol == Protocol::openai ? "openai" : "claude");
    const std::string whole = to_string(llm::simulate::answer_body(protocol, chat, stamp));
    const auto events = protocol == Protocol::openai ? llm::simulate::openai_events(chat, stamp)
                                                     : llm::simulate::anthropic_events(chat, stamp);
    int read = 0;
    for (int round = 0; round < 5000; ++round) {
      const auto reply = provider.decode({200, "", {}, damage(whole)});
      if (!reply) {
        EXPECT_FALSE(reply.error().message().empty());
      }
      read += reply ? 1 : 0;
      const auto refused =
          provider.classify({400 + static_cast<int>(damage.pick(200)), "", {}, damage(whole)});
      EXPECT_FALSE(refused.message().empty());
    }
    EXPECT_GT(read, 500);
    for (int round = 0; round < 1000; ++round) {
      const auto decoder = provider.open_stream();
      for (const auto& event : events) {
        const auto& chosen = damage.pick(9) == 0 ? events[damage.pick(events.size())] : event;
        const auto data = damage.pick(9) == 0 ? damage(chosen.data) : chosen.data;
        if (!decoder->feed(chosen.name, data)) break;
      }
      const auto reply = decoder->finish();
      if (!reply) {
        EXPECT_FALSE(reply.error().message().empty());
      }
    }
  }
}

}  // namespace
