// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <span>
#include <string>
#include <string_view>

#include <llm/anthropic.hpp>
#include <llm/openai.hpp>
#include <llm/protocol.hpp>

namespace llm {

/// Every provider this code knows. A new one is one row here, and one file where it speaks a
/// protocol of its own.
[[nodiscard]] inline std::span<const Provider> providers() noexcept {
  using namespace std::chrono_literals;
  static constexpr std::array<Provider, 5> all{{
      {.name = "openai",
       .alias = "",
       .default_base_url = "https://api.openai.com/v1",
       .base_url_variable = "OPENAI_BASE_URL",
       .key_variable = "OPENAI_API_KEY",
       .key_rule = KeyRule::required,
       .authorization = Authorization::bearer,
       .max_tokens_member = "max_completion_tokens",
       .timeout = 60s,
       .max_batch = 1000,
       .max_concurrent = 10,
       .latency_target = 2s,
       .encode = openai::encode,
       .encode_models = openai::encode_models,
       .decode = openai::decode,
       .classify = openai::classify,
       .open_stream = openai::open_stream},
      {.name = "groq",
       .alias = "",
       .default_base_url = "https://api.groq.com/openai/v1",
       .base_url_variable = "GROQ_BASE_URL",
       .key_variable = "GROQ_API_KEY",
       .key_rule = KeyRule::required,
       .authorization = Authorization::bearer,
       .max_tokens_member = "max_completion_tokens",
       .timeout = 30s,
       .max_batch = 500,
       .max_concurrent = 20,
       .latency_target = 1s,
       .encode = openai::encode,
       .encode_models = openai::encode_models,
       .decode = openai::decode,
       .classify = openai::classify,
       .open_stream = openai::open_stream},
      {.name = "claude",
       .alias = "anthropic",
       .default_base_url = "https://api.anthropic.com",
       .base_url_variable = "ANTHROPIC_BASE_URL",
       .key_variable = "ANTHROPIC_API_KEY",
       .key_rule = KeyRule::required,
       .authorization = Authorization::x_api_key,
       .max_tokens_member = "max_tokens",
       .timeout = 45s,
       .max_batch = 2000,
       .max_concurrent = 5,
       .latency_target = 3s,
       .encode = anthropic::encode,
       .encode_models = anthropic::encode_models,
       .decode = anthropic::decode,
       .classify = anthropic::classify,
       .open_stream = anthropic::open_stream},
      {.name = "deepseek",
       .alias = "",
       .default_base_url = "https://api.deepseek.com/v1",
       .base_url_variable = "DEEPSEEK_BASE_URL",
       .key_variable = "DEEPSEEK_API_KEY",
       .key_rule = KeyRule::required,
       .authorization = Authorization::bearer,
       .max_tokens_member = "max_tokens",
       .timeout = 60s,
       .max_batch = 100,
       .max_concurrent = 15,
       .latency_target = 1500ms,
       .encode = openai::encode,
       .encode_models = openai::encode_models,
       .decode = openai::decode,
       .classify = openai::classify,
       .open_stream = openai::open_stream},
      {.name = "compatible",
       .alias = "openai-compatible",
       .default_base_url = "",
       .base_url_variable = "COMPATIBLE_BASE_URL",
       .key_variable = "COMPATIBLE_API_KEY",
       .key_rule = KeyRule::optional,
       .authorization = Authorization::bearer,
       .max_tokens_member = "max_tokens",
       .timeout = 60s,
       .max_batch = 100,
       .max_concurrent = 8,
       .latency_target = 2s,
       .encode = openai::encode,
       .encode_models = openai::encode_models,
       .decode = openai::decode,
       .classify = openai::classify,
       .open_stream = openai::open_stream},
  }};
  return all;
}

/// By name or alias, letters compared without case; nullptr for a name nobody has.
[[nodiscard]] inline const Provider* find_provider(std::string_view name) noexcept {
  if (name.empty()) return nullptr;
  for (const Provider& each : providers()) {
    if (http::equal_ignoring_case(each.name, name) || http::equal_ignoring_case(each.alias, name)) {
      return &each;
    }
  }
  return nullptr;
}

/// "openai, groq, claude, deepseek, compatible", for messages.
[[nodiscard]] inline std::string provider_names() {
  std::string names;
  for (const Provider& each : providers()) {
    if (!names.empty()) names += ", ";
    names += each.name;
  }
  return names;
}

}  // namespace llm
