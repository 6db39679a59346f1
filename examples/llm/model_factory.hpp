// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <penstock/http/url.hpp>

#include <llm/model.hpp>
#include <llm/model_spec.hpp>
#include <llm/provider.hpp>

namespace llm {

/// The environment, or what a test puts in its place.
using Environment = std::function<std::string(std::string_view)>;

[[nodiscard]] inline std::string process_environment(std::string_view name) {
  const char* const value = std::getenv(std::string{name}.c_str());
  return value == nullptr ? std::string{} : std::string{value};
}

/// Where a model is asked and with which key. The base url is the first of: the model's own, the
/// one for all, the provider's variable, the provider's default. A key may be missing only where
/// the base url is not the provider's own.
[[nodiscard]] inline Result<Endpoint> resolve_endpoint(const ModelSpec& spec,
                                                       std::string_view base_url,
                                                       const Environment& environment) {
  const Provider& provider = *spec.provider;
  std::string chosen = spec.base_url;
  if (chosen.empty()) chosen = base_url;
  if (chosen.empty() && !provider.base_url_variable.empty())
    chosen = environment(provider.base_url_variable);
  const bool elsewhere = !chosen.empty();
  if (chosen.empty()) chosen = provider.default_base_url;
  if (chosen.empty())
    return Error{ErrorKind::permanent,
                 std::string{provider.name} + " needs a base url; write " +
                     std::string{provider.name} + ":" + spec.model +
                     "@http://127.0.0.1:8080/v1, or --base-url"};
  const auto url = http::parse_url(chosen);
  if (!url) return Error{ErrorKind::permanent, std::string{url.error().message()}};
  const std::string key =
      provider.key_variable.empty() ? std::string{} : environment(provider.key_variable);
  return make_endpoint(
      provider, url->origin, url->target, key, elsewhere ? KeyRule::optional : provider.key_rule);
}

/// The models a program may ask, the preferred one first. *Safe from any thread* once filled;
/// must outlive its calls.
template <class Transport>
class ModelFactory {
 public:
  ModelFactory(Transport& transport, ModelOptions options)
      : transport_(&transport),
        options_(std::move(options)) {}

  /// Adds a model behind those that are there. Errors are sentences for the user.
  [[nodiscard]] Result<void> add(const ModelSpec& spec,
                                 std::string_view base_url,
                                 const Environment& environment = process_environment) {
    Result<Endpoint> endpoint = resolve_endpoint(spec, base_url, environment);
    if (!endpoint) return std::move(endpoint).error();
    models_.push_back(std::make_unique<Model<Transport>>(
        std::move(*endpoint), spec.model, *transport_, options_, counters_));
    return {};
  }

  /// The model of this provider and name, null when it was not added.
  [[nodiscard]] Model<Transport>* get_model(std::string_view provider, std::string_view name) {
    for (const auto& model : models_)
      if ((model->provider().name == provider || model->provider().alias == provider) &&
          model->name() == name)
        return model.get();
    return nullptr;
  }

  [[nodiscard]] std::size_t size() const noexcept { return models_.size(); }
  [[nodiscard]] Model<Transport>& operator[](std::size_t index) { return *models_[index]; }
  [[nodiscard]] const Counters& counters() const noexcept { return counters_; }

  /// No model can be asked again in this process.
  [[nodiscard]] bool all_stopped() const noexcept {
    for (const auto& model : models_)
      if (!model->stopped()) return false;
    return true;
  }

 private:
  Transport* transport_;
  ModelOptions options_;
  Counters counters_;
  std::vector<std::unique_ptr<Model<Transport>>> models_;
};

/// The order in which one prompt tries the models of a factory: the available ones as listed,
/// each once; when none is available, the first that is not stopped (its stack then waits for
/// it). *Not synchronized.*
template <class Transport>
class ModelChoice {
 public:
  explicit ModelChoice(ModelFactory<Transport>& factory) : factory_(&factory) {}

  /// The model to ask next; null when there is none left.
  [[nodiscard]] Model<Transport>* next(Time now) {
    for (std::size_t index = next_; index < factory_->size(); ++index)
      if ((*factory_)[index].is_available(now)) return choose(index);
    if (next_ != 0) return nullptr;
    for (std::size_t index = 0; index < factory_->size(); ++index)
      if (!(*factory_)[index].stopped()) return choose(index);
    return nullptr;
  }

  /// Whether another model may do better after this error. Never for what the request itself or
  /// its caller is to blame for: another model would be paid to refuse it too.
  [[nodiscard]] static bool may_fall_back(ErrorKind kind) noexcept {
    switch (kind) {
      case ErrorKind::permanent:
      case ErrorKind::too_large:
      case ErrorKind::deadline:
      case ErrorKind::cancelled:
      case ErrorKind::exception:
      case ErrorKind::closed:
        return false;
      default:
        return true;
    }
  }

  /// Models asked instead of an earlier one of the list.
  [[nodiscard]] bool fell_back() const noexcept { return next_ > 1; }

 private:
  Model<Transport>* choose(std::size_t index) {
    next_ = index + 1;
    return &(*factory_)[index];
  }

  ModelFactory<Transport>* factory_;
  std::size_t next_ = 0;
};

}  // namespace llm
