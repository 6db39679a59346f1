// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <penstock/core/result.hpp>
#include <penstock/core/time.hpp>
#include <penstock/http/grammar.hpp>

namespace penstock::http {

/// What an event stream may cost its reader; beyond it is `ErrorKind::too_large`.
struct SseLimits {
  std::size_t line = 1u << 20u;    ///< bytes of one line without its end, >= 1
  std::size_t event = 16u << 20u;  ///< bytes of the data of one event, >= 1
};

/// One server-sent event. The views end with the call they are given to.
struct SseEvent {
  std::string_view event;  ///< its type; "message" where the stream names none
  std::string_view data;   ///< its data lines joined by LF
  std::string_view id;     ///< the last event id of the stream so far
};

/// Decodes a stream of server-sent events from pieces cut anywhere (WHATWG HTML, §9.2.6).
/// *Not synchronized.*
///
/// Each byte is looked at once; a line that arrives whole is read in place. An event that the end
/// of the stream cuts off is never seen, as the standard wants: whether the stream was whole, the
/// protocol above must say.
class SseParser {
 public:
  explicit SseParser(SseLimits limits = {}) : limits_(limits) {
    if (limits.line < 1 || limits.event < 1)
      throw std::invalid_argument(
          "penstock: SseLimits needs room for a line; write SseLimits{.line = 1 << 20, .event = "
          "16 << 20}");
  }

  /// Calls `on_event(const SseEvent&)` for every event that `bytes` completes. After the first
  /// error every later call returns it again; after a throw of `on_event` there must be none.
  template <class Sink>
  Result<void> feed(std::string_view bytes, Sink&& on_event) {
    while (!bytes.empty() && !too_large_) {
      if (std::exchange(after_cr_, false) && bytes.front() == '\n') {
        bytes.remove_prefix(1);
        continue;
      }
      const auto is_line_end = [](char c) { return c == '\n' || c == '\r'; };
      const auto end = static_cast<std::size_t>(
          std::find_if(bytes.begin(), bytes.end(), is_line_end) - bytes.begin());
      if (end > limits_.line - line_.size()) {
        too_large_ = "a line of the event stream is longer than allowed";
        break;
      }
      if (end == bytes.size()) {
        line_ += bytes;
        break;
      }
      after_cr_ = bytes[end] == '\r';
      const std::string_view piece = bytes.substr(0, end);
      bytes.remove_prefix(end + 1);
      if (line_.empty()) {
        read_line(piece, on_event);
      } else {
        line_ += piece;
        read_line(line_, on_event);
        line_.clear();
      }
    }
    if (too_large_) return Error{ErrorKind::too_large, too_large_};
    return {};
  }

  /// How long the stream asks to wait before connecting again, where it does.
  [[nodiscard]] std::optional<Duration> retry() const noexcept { return retry_; }
  /// What to send as `last-event-id` then: of events that were whole only.
  [[nodiscard]] std::string_view last_event_id() const noexcept { return last_id_; }

 private:
  template <class Sink>
  void read_line(std::string_view line, Sink& on_event) {
    if (std::exchange(at_start_, false) && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
    if (line.empty()) return dispatch(on_event);
    const std::size_t colon = std::min(line.find(':'), line.size());
    const std::string_view field = line.substr(0, colon);
    std::string_view value = line.substr(std::min(colon + 1, line.size()));
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (field == "data") {
      if (data_.size() > limits_.event || value.size() > limits_.event - data_.size()) {
        too_large_ = "an event of the stream is larger than allowed";
        return;
      }
      data_.append(value).push_back('\n');
    } else if (field == "event") {
      event_ = value;
    } else if (field == "id") {
      if (value.find('\0') == value.npos) id_ = value;
    } else if (field == "retry") {
      // A value too long for a sane wait is ignored like any other that is no number.
      const std::optional<std::uint64_t> milliseconds = parse_unsigned(value, 10);
      if (milliseconds && *milliseconds <= 1'000'000'000)
        retry_ = std::chrono::milliseconds{*milliseconds};
    }
  }

  template <class Sink>
  void dispatch(Sink& on_event) {
    last_id_ = id_;
    // Data that is there ends in LF, so an event with empty data is not mistaken for none.
    if (!data_.empty()) {
      const std::string_view data{data_.data(), data_.size() - 1};
      const SseEvent event{event_.empty() ? "message" : std::string_view{event_}, data, last_id_};
      on_event(event);
    }
    event_.clear();
    data_.clear();
  }

  SseLimits limits_;
  bool at_start_ = true;
  bool after_cr_ = false;
  const char* too_large_ = nullptr;
  std::string line_;
  std::string event_;
  std::string data_;
  std::string id_;  // as last read, perhaps in an event that is not whole yet
  std::string last_id_;
  std::optional<Duration> retry_;
};

/// Appends one event; every line of `data`, whatever ends it, becomes a data line. An `event` of
/// "" or "message" is not written; one with a line end in it is cut there.
inline void append_event(std::string& out, std::string_view event, std::string_view data) {
  event = event.substr(0, event.find_first_of("\r\n"));
  if (!event.empty() && event != "message") out.append("event: ").append(event).append("\n");
  for (;;) {
    const std::size_t end = data.find_first_of("\r\n");
    out.append("data: ").append(data.substr(0, end)).append("\n");
    if (end == data.npos) break;
    data.remove_prefix(end + (data.substr(end).starts_with("\r\n") ? 2 : 1));
  }
  out.append("\n");
}

}  // namespace penstock::http
