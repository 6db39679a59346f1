// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <penstock/http/url.hpp>

#include <llm/provider.hpp>

namespace llm {

/// A model to ask: "openai:gpt-4.1-nano@http://127.0.0.1:8080/v1" taken apart.
struct ModelSpec {
  const Provider* provider = nullptr;
  std::string model;     ///< may hold ':', '/' and '@': "qwen2.5:7b", "@cf/meta/llama"
  std::string base_url;  ///< the one given; "" where the provider's own is meant
};

/// Reads `provider:model[@base-url]`. The first ':' ends the provider; the base url is what follows
/// the first '@' that stands before http:// or https://. Refusals say what to write instead.
[[nodiscard]] inline Result<ModelSpec> parse_model_spec(std::string_view text) {
  const auto refused = [&](const std::string& sentence) {
    return Error{ErrorKind::permanent, "\"" + std::string{text} + "\": " + sentence};
  };
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0) {
    return refused("write provider:model, for example openai:gpt-4.1-nano; known providers: " +
                   provider_names());
  }
  const Provider* const provider = find_provider(text.substr(0, colon));
  if (provider == nullptr) {
    return refused("there is no provider \"" + std::string{text.substr(0, colon)} +
                   "\"; known providers: " + provider_names());
  }
  std::string_view model = text.substr(colon + 1);
  std::string_view base_url;
  const auto mark = std::min(model.find("@http://"), model.find("@https://"));
  if (mark != std::string_view::npos) {
    base_url = model.substr(mark + 1);
    model = model.substr(0, mark);
  } else if (const auto last = model.rfind('@');
             model.find("://") != std::string_view::npos ||
             (last != 0 && last != std::string_view::npos &&
              model.find_first_of(":.", last) != std::string_view::npos)) {
    return refused("a base url starts with http:// or https://, after an '@'");
  }
  if (model.empty()) return refused("the name of the model is missing after the ':'");
  if (base_url.ends_with("/chat/completions") || base_url.ends_with("/messages")) {
    return refused("give the base url only, as in http://127.0.0.1:8080/v1");
  }
  if (!base_url.empty()) {
    // Without its text, which may hold a password.
    if (const auto url = http::parse_url(base_url); !url)
      return Error{ErrorKind::permanent,
                   std::string{provider->name} + ":" + std::string{model} + ": " +
                       std::string{url.error().message()}};
  }
  return ModelSpec{provider, std::string{model}, std::string{base_url}};
}

}  // namespace llm
