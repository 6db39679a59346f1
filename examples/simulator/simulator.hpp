// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <ctime>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <penstock/core/random.hpp>
#include <penstock/exec/event_loop.hpp>
#include <penstock/exec/task.hpp>
#include <penstock/exec/wait.hpp>
#include <penstock/http/server.hpp>
#include <penstock/policy/token_bucket.hpp>

#include <llm/json.hpp>
#include <llm/simulate.hpp>
#include <simulator/options.hpp>

namespace simulator {

using llm::Json;
using llm::simulate::Protocol;
using llm::simulate::Stamp;
using penstock::Task;
namespace http = penstock::http;

/// A model provider with limits and faults, behind an `http::Server`. *One thread at a time*: the
/// loop's. Faults and latencies follow from the seed and the order in which requests arrive.
class Simulator {
 public:
  explicit Simulator(Options options) : options_(std::move(options)), random_(options_.seed) {
    const auto bucket = [](const std::optional<std::uint64_t>& limit) {
      if (!limit) return std::unique_ptr<penstock::TokenBucket>{};
      return std::make_unique<penstock::TokenBucket>(penstock::TokenBucket::Options{
          .rate = static_cast<double>(*limit), .per = std::chrono::minutes{1}});
    };
    requests_bucket_ = bucket(options_.requests_per_minute);
    tokens_bucket_ = bucket(options_.tokens_per_minute);
  }

  /// `connections` is what the server counts.
  [[nodiscard]] Task<void> handle(http::ServerExchange& exchange, std::uint64_t connections) {
    const http::Request& request = exchange.request();
    const std::string_view path{request.target.data(),
                                std::min(request.target.find('?'), request.target.size())};
    const Protocol protocol =
        path.ends_with("/messages") || request.headers.contains("anthropic-version")
            ? Protocol::anthropic
            : Protocol::openai;
    const Stamp stamp{.number = ++requests_, .created = std::time(nullptr)};
    if (path == "/admin/stats") {
      --requests_;
      [[maybe_unused]] const penstock::Result<void> sent =
          co_await exchange.reply(stats(connections));
      co_return;
    }
    if (const std::optional<http::Response> refusal = refuse(protocol, path, request, stamp)) {
      co_await send(exchange, *refusal);
      co_return;
    }
    if (path.ends_with("/models")) {
      const http::Response list = llm::simulate::list_models(protocol, models(), stamp);
      co_await send(exchange, list);
      co_return;
    }
    if (const std::string* const model = model_of(path)) {
      const http::Response one = llm::simulate::describe_model(protocol, *model, stamp);
      co_await send(exchange, one);
      co_return;
    }
    co_await chat(exchange, protocol, stamp);
  }

  [[nodiscard]] http::Response stats(std::uint64_t connections) const {
    Json statuses = Json::object();
    for (const auto& [status, count] : statuses_)
      statuses.set(std::to_string(status), integer(count));
    const auto repeated =
        std::ranges::count_if(answered_, [](const auto& prompt) { return prompt.second > 1; });
    const Json body =
        Json::object({{"requests", integer(requests_)},
                      {"answers", integer(answers_)},
                      {"connections", integer(connections)},
                      {"connections_cut", integer(cut_)},
                      {"slow", integer(slow_)},
                      {"statuses", std::move(statuses)},
                      {"prompts_answered", integer(answered_.size())},
                      {"prompts_answered_more_than_once", static_cast<std::int64_t>(repeated)}});
    return {200, "", {{"content-type", "application/json"}}, llm::to_string(body) + "\n"};
  }

 private:
  enum class Fate : std::uint8_t {
    answer,
    rate_limited,
    internal,
    unavailable,
    overloaded,
    cut,
    slow
  };

  static std::int64_t integer(std::uint64_t count) { return static_cast<std::int64_t>(count); }

  double chance() { return static_cast<double>(random_() >> 11U) * 0x1p-53; }

  Fate draw_fate() {
    double left = chance();
    const auto hit = [&](double share) {
      left -= share;
      return left < 0;
    };
    const Faults& faults = options_.faults;
    if (hit(faults.rate_limited)) return Fate::rate_limited;
    if (hit(faults.internal)) return Fate::internal;
    if (hit(faults.unavailable)) return Fate::unavailable;
    if (hit(faults.overloaded)) return Fate::overloaded;
    if (hit(faults.cut)) return Fate::cut;
    if (hit(faults.slow)) return Fate::slow;
    return Fate::answer;
  }

  static std::span<const std::string> models() {
    static const std::array<std::string, 2> ids{"sim-small", "sim-large"};
    return ids;
  }
  // The model that ".../models/{id}" names; null for any other path.
  static const std::string* model_of(std::string_view path) {
    for (const std::string& id : models())
      if (path.ends_with("/models/" + id)) return &id;
    return nullptr;
  }

  // What is wrong with the request before its body is looked at.
  std::optional<http::Response> refuse(Protocol protocol,
                                       std::string_view path,
                                       const http::Request& request,
                                       const Stamp& stamp) const {
    const bool chat = path.ends_with("/chat/completions") || path.ends_with("/messages");
    if (!chat && !path.ends_with("/models") && model_of(path) == nullptr)
      return llm::simulate::refuse(protocol,
                                   llm::simulate::Fault::not_found,
                                   stamp,
                                   {.message = "Unknown path: " + std::string{path}});
    if (request.method != (chat ? "POST" : "GET")) {
      http::Response response =
          llm::simulate::refuse(protocol,
                                llm::simulate::Fault::bad_request,
                                stamp,
                                {.message = "Not allowed here: " + request.method});
      response.status = 405;
      return response;
    }
    if (!lets_in(key_of(request)))
      return llm::simulate::refuse(protocol, llm::simulate::Fault::bad_key, stamp);
    return std::nullopt;
  }

  static std::string_view key_of(const http::Request& request) {
    if (const auto key = request.headers.find("x-api-key")) return *key;
    std::string_view bearer = request.headers.find("authorization").value_or("");
    if (http::equal_ignoring_case(bearer.substr(0, 7), "bearer ")) bearer.remove_prefix(7);
    return bearer;
  }
  bool lets_in(std::string_view key) const {
    if (!options_.key.empty()) return key == options_.key;
    std::string lower{key};
    std::ranges::transform(lower, lower.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    });
    for (const std::string_view word : {"wrong", "invalid", "bad"})
      if (lower.find(word) != lower.npos) return false;
    return true;
  }

  Task<void> send(http::ServerExchange& exchange, http::Response response) {
    ++statuses_[response.status];
    [[maybe_unused]] const penstock::Result<void> sent =
        co_await exchange.reply(std::move(response));
  }

  llm::simulate::Limits limits(penstock::Time now) const {
    llm::simulate::Limits both;
    const auto fill = [&](llm::simulate::Allowance& allowance,
                          const std::unique_ptr<penstock::TokenBucket>& bucket) {
      if (!bucket) return;
      allowance.limit = bucket->options().rate;
      allowance.remaining = bucket->available_approx(now);
    };
    fill(both.requests, requests_bucket_);
    fill(both.tokens, tokens_bucket_);
    return both;
  }

  // The 429 of a limit that is really spent. Both or none are taken.
  std::optional<http::Response> meter(Protocol protocol,
                                      const llm::ChatRequest& chat,
                                      penstock::Time now,
                                      const Stamp& stamp) {
    using llm::simulate::Dimension;
    const double tokens = llm::estimate_tokens(chat);
    if (requests_bucket_ && !requests_bucket_->try_take(now).granted)
      return llm::simulate::refuse_rate(
          protocol, stamp, chat.model, Dimension::requests, limits(now), 1);
    if (tokens_bucket_ && !tokens_bucket_->try_take(now, tokens).granted) {
      if (requests_bucket_) requests_bucket_->refund();
      return llm::simulate::refuse_rate(
          protocol, stamp, chat.model, Dimension::tokens, limits(now), tokens);
    }
    return std::nullopt;
  }

  http::Response injected(Protocol protocol, Fate fate, const Stamp& stamp) const {
    using llm::simulate::Fault;
    if (fate == Fate::internal) return llm::simulate::refuse(protocol, Fault::internal, stamp);
    if (fate == Fate::unavailable)
      return llm::simulate::refuse(protocol, Fault::unavailable, stamp);
    if (fate == Fate::overloaded) return llm::simulate::refuse(protocol, Fault::overloaded, stamp);
    http::Response response = llm::simulate::refuse(protocol, Fault::rate_limited, stamp);
    const auto milliseconds =
        std::chrono::duration_cast<std::chrono::milliseconds>(options_.retry_after).count();
    const std::string thousandths = std::to_string(1000 + milliseconds % 1000).substr(1);
    response.headers.add("retry-after", std::to_string(milliseconds / 1000) + "." + thousandths);
    return response;
  }

  Task<void> chat(http::ServerExchange& exchange, Protocol protocol, Stamp stamp) {
    llm::simulate::Incoming incoming =
        llm::simulate::read_request(protocol, exchange.request().body, stamp);
    if (incoming.refusal) {
      co_await send(exchange, std::move(*incoming.refusal));
      co_return;
    }
    penstock::Executor& executor = exchange.call().where();
    if (std::optional<http::Response> refusal =
            meter(protocol, incoming.chat, executor.now(), stamp)) {
      co_await send(exchange, std::move(*refusal));
      co_return;
    }
    const Fate fate = draw_fate();
    Duration latency = options_.least_latency;
    if (options_.most_latency > latency)
      latency += Duration{static_cast<std::int64_t>(
          chance() * static_cast<double>((options_.most_latency - latency).count()))};
    if (fate == Fate::slow) {
      ++slow_;
      latency += options_.slow_by;
    }
    if (latency > Duration::zero()) {
      const bool came =
          co_await penstock::wait_until(executor, executor.now() + latency, exchange.call().stop);
      if (!came) {
        exchange.cut();
        co_return;
      }
    }
    if (fate == Fate::cut) {
      co_await cut(exchange, protocol, incoming.chat, stamp);
    } else if (fate == Fate::answer || fate == Fate::slow) {
      co_await answer(exchange, protocol, incoming.chat, stamp);
    } else {
      co_await send(exchange, injected(protocol, fate, stamp));
    }
  }

  // Half of the time before the reply, half of the time within it.
  Task<void> cut(http::ServerExchange& exchange,
                 Protocol protocol,
                 const llm::ChatRequest& chat,
                 Stamp stamp) {
    ++cut_;
    exchange.cut();
    if (chance() < 0.5) co_return;
    std::string bytes;
    http::Response response = llm::simulate::answer(protocol, chat, stamp).response;
    const penstock::Result<void> encoded = http::encode(response, bytes);
    if (!encoded) co_return;
    bytes.resize(bytes.size() - 1 - response.body.size() / 2);
    [[maybe_unused]] const penstock::Result<void> sent = co_await exchange.write(bytes);
  }

  Task<void> answer(http::ServerExchange& exchange,
                    Protocol protocol,
                    const llm::ChatRequest& chat,
                    Stamp stamp) {
    llm::simulate::Answer whole = llm::simulate::answer(protocol, chat, stamp);
    if (requests_bucket_ || tokens_bucket_)
      llm::simulate::add_limit_headers(
          whole.response.headers, protocol, limits(exchange.call().where().now()), stamp);
    ++statuses_[whole.response.status];
    penstock::Result<void> sent;
    if (whole.events.empty()) {
      sent = co_await exchange.reply(std::move(whole.response));
    } else {
      sent = co_await exchange.start(std::move(whole.response));
      for (const llm::simulate::Event& event : whole.events) {
        if (!sent) break;
        const std::string wire = llm::simulate::to_wire(event);
        sent = co_await exchange.stream(wire);
      }
      if (sent) sent = co_await exchange.finish();
    }
    if (!sent) co_return;
    ++answers_;
    ++answered_[llm::simulate::echo(chat)];
  }

  Options options_;
  penstock::Random random_;
  std::unique_ptr<penstock::TokenBucket> requests_bucket_;
  std::unique_ptr<penstock::TokenBucket> tokens_bucket_;
  std::uint64_t requests_ = 0;
  std::uint64_t answers_ = 0;  // fully sent
  std::uint64_t cut_ = 0;
  std::uint64_t slow_ = 0;
  std::map<int, std::uint64_t> statuses_;
  std::unordered_map<std::string, std::uint64_t> answered_;
};

}  // namespace simulator
