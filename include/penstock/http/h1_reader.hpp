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
#include <penstock/http/grammar.hpp>
#include <penstock/http/message.hpp>

namespace penstock::http {

/// What one message may cost its reader. A message beyond a limit is `ErrorKind::too_large`.
struct MessageLimits {
  std::size_t head = 64 * 1024;     ///< bytes of start line, fields and trailer fields, >= 1;
                                    ///< the heads of 1xx replies count too
  std::size_t fields = 200;         ///< header and trailer fields
  std::size_t chunk_line = 4096;    ///< bytes of one chunk-size line with its extensions, >= 3
  std::uint64_t body = 64u << 20u;  ///< bytes of a body that is gathered in memory
};

/// How the end of a body is found (RFC 9112 §6.3).
enum class Framing : std::uint8_t { none, length, chunked, until_close };

/// The bytes of one HTTP/1.1 message cut into start line, fields and body: what
/// `ResponseParser` and `RequestParser` share. *Not synchronized.*
///
/// Each byte is looked at once, however the input is split. A line that arrives whole is read in
/// place; only a split one is copied. After the first error every `feed` returns it again.
class MessageReader {
 public:
  /// Whose faults these are: a malformed reply is `ErrorKind::transient`, as a gateway's 502 is;
  /// a malformed request is `ErrorKind::permanent` with the status to answer it with.
  enum class Side : std::uint8_t { reply, request };

  MessageReader(Side side, MessageLimits limits) : side_(side), limits_(limits) {
    if (limits.head < 1 || limits.chunk_line < 3)
      throw std::invalid_argument(
          "penstock: MessageLimits needs room for a line; write MessageLimits{.head = 64 * 1024, "
          ".chunk_line = 4096}");
  }

  /// Consumes up to the end of the message and returns how much that was.
  ///
  /// Calls `on_start_line(line)`; then, with all fields read, `on_head()`, which must call
  /// `begin_body` or `await_next_head`; then `on_body(piece)` as often as pieces come. The first
  /// two return `Result<void>`. Views given to them end with the call.
  template <class OnStartLine, class OnHead, class OnBody>
  Result<std::size_t> feed(std::string_view bytes,
                           OnStartLine&& on_start_line,
                           OnHead&& on_head,
                           OnBody&& on_body) {
    const std::size_t given = bytes.size();
    if (!done() && given != 0) started_ = true;
    while (!error_ && !done() && advance(bytes, on_start_line, on_head, on_body)) {
    }
    if (error_) return *error_;
    return given - bytes.size();
  }

  /// The stream ended: fine where that ends the message, else `ErrorKind::transient` for this
  /// reason.
  Result<void> finish(std::string_view otherwise) {
    if (error_) return *error_;
    if (state_ == State::until_close) state_ = State::done;
    if (done()) return {};
    return Error{ErrorKind::transient, std::string{otherwise}};
  }

  void begin_body(Framing framing, std::uint64_t length, std::uint64_t limit) {
    room_ = limit;
    remaining_ = length;
    switch (framing) {
      case Framing::none:
        state_ = State::done;
        break;
      case Framing::length:
        state_ = length == 0 ? State::done : State::length;
        break;
      case Framing::chunked:
        state_ = State::chunk_line;
        break;
      case Framing::until_close:
        state_ = State::until_close;
        break;
    }
    if (length > limit) fail(too_large(413, "its body is larger than allowed"));
  }
  /// For 1xx: what was read was not the message itself.
  void await_next_head() {
    headers_ = {};
    state_ = State::start_line;
  }
  /// Ready for the next message of the same connection.
  void restart() { *this = MessageReader{side_, limits_}; }

  [[nodiscard]] bool started() const noexcept { return started_; }
  [[nodiscard]] bool done() const noexcept { return state_ == State::done; }
  [[nodiscard]] const MessageLimits& limits() const noexcept { return limits_; }
  [[nodiscard]] Headers& headers() noexcept { return headers_; }
  [[nodiscard]] const Headers& trailers() const noexcept { return trailers_; }

  [[nodiscard]] Error malformed(int status, std::string_view why) const {
    if (side_ == Side::reply)
      return Error{ErrorKind::transient, "malformed reply: " + std::string{why}};
    return Error{ErrorKind::permanent, "malformed request: " + std::string{why}}.set_status(status);
  }
  [[nodiscard]] Error too_large(int status, std::string_view why) const {
    Error error{
        ErrorKind::too_large,
        (side_ == Side::reply ? "reply refused: " : "request refused: ") + std::string{why}};
    if (side_ == Side::request) error.set_status(status);
    return error;
  }

 private:
  enum class State : std::uint8_t {
    start_line,
    fields,
    length,
    until_close,
    chunk_line,
    chunk_data,
    chunk_end,
    trailers,
    done,
  };

  // One step; false when it needs more bytes (then `bytes` is empty) or failed.
  template <class OnStartLine, class OnHead, class OnBody>
  bool advance(std::string_view& bytes,
               OnStartLine& on_start_line,
               OnHead& on_head,
               OnBody& on_body) {
    switch (state_) {
      case State::start_line: {
        const auto line = take_head_line(bytes);
        if (!line) return false;
        if (line->empty()) return true;  // RFC 9112 §2.2: some peers send one too many
        state_ = State::fields;
        return accept(on_start_line(*line));
      }
      case State::fields: {
        const auto line = take_head_line(bytes);
        if (!line) return false;
        return accept(line->empty() ? on_head() : add_field(*line, headers_));
      }
      case State::trailers: {
        const auto line = take_head_line(bytes);
        if (!line) return false;
        if (!line->empty()) return accept(add_field(*line, trailers_));
        state_ = State::done;
        return true;
      }
      case State::length:
      case State::chunk_data:
        if (bytes.empty()) return false;
        on_body(take(bytes, remaining_));
        if (remaining_ == 0) {
          state_ = state_ == State::length ? State::done : State::chunk_end;
          remaining_ = 2;
        }
        return true;
      case State::until_close:
        if (bytes.empty()) return false;
        if (room_ == 0) return fail(too_large(413, "its body is larger than allowed"));
        on_body(take(bytes, room_));
        return true;
      case State::chunk_line:
        return take_chunk_line(bytes);
      case State::chunk_end:
        for (; remaining_ != 0; --remaining_) {
          if (bytes.empty()) return false;
          if (bytes.front() != (remaining_ == 2 ? '\r' : '\n'))
            return fail(malformed(400, "the data of a chunk is longer than its size says"));
          bytes.remove_prefix(1);
        }
        state_ = State::chunk_line;
        return true;
      case State::done:
        break;
    }
    return false;
  }

  static std::string_view take(std::string_view& bytes, std::uint64_t& count) {
    const std::string_view piece = bytes.substr(0, std::min<std::uint64_t>(bytes.size(), count));
    bytes.remove_prefix(piece.size());
    count -= piece.size();
    return piece;
  }

  bool fail(Error error) {
    error_ = std::move(error);
    return false;
  }
  bool accept(Result<void> result) {
    if (!result) fail(std::move(result).error());
    return !error_;
  }

  // The next line with its LF, or nothing yet. `line_` keeps a partial line, and the joined one
  // until the next call.
  std::optional<std::string_view> take_line(std::string_view& bytes, std::size_t limit) {
    if (line_is_whole_) line_.clear();
    line_is_whole_ = false;
    const std::size_t end = bytes.find('\n');
    const std::size_t size = end == bytes.npos ? bytes.size() : end + 1;
    if (size > limit || line_.size() > limit - size) {
      fail(too_large(431, "its head or a chunk-size line is larger than allowed"));
      return std::nullopt;
    }
    std::string_view line = bytes.substr(0, size);
    bytes.remove_prefix(size);
    if (end != line.npos && line_.empty()) return line;
    line_ += line;
    if (end == line.npos) return std::nullopt;
    line_is_whole_ = true;
    return line_;
  }

  // A bare LF may end these lines (RFC 9112 §2.2); a CR anywhere else is refused by whoever
  // checks the characters of the line.
  std::optional<std::string_view> take_head_line(std::string_view& bytes) {
    std::optional<std::string_view> line = take_line(bytes, limits_.head - head_bytes_);
    if (!line) return std::nullopt;
    head_bytes_ += line->size();
    line->remove_suffix(1);
    if (line->ends_with('\r')) line->remove_suffix(1);
    return line;
  }

  // RFC 9112 §7.1. Bare LF is not allowed here: peers that disagree about it are how requests
  // get smuggled. Spaces after the size are, because old servers pad it.
  bool take_chunk_line(std::string_view& bytes) {
    const std::optional<std::string_view> whole = take_line(bytes, limits_.chunk_line);
    if (!whole) return false;
    if (!whole->ends_with("\r\n"))
      return fail(malformed(400, "a chunk-size line does not end in CR LF"));
    const std::string_view line = whole->substr(0, whole->size() - 2);
    const std::size_t extension = std::min(line.find(';'), line.size());
    std::string_view digits = line.substr(0, extension);
    while (digits.ends_with(' ') || digits.ends_with('\t')) digits.remove_suffix(1);
    const std::optional<std::uint64_t> size = parse_unsigned(digits, 16);
    if (!size || !is_field_value(line.substr(extension)))
      return fail(malformed(400, "a chunk size is not a hexadecimal number"));
    if (*size > room_) return fail(too_large(413, "its body is larger than allowed"));
    room_ -= *size;
    remaining_ = *size;
    state_ = *size == 0 ? State::trailers : State::chunk_data;
    return true;
  }

  // A folded line (RFC 9112 §5.2) is refused rather than unfolded: it is deprecated, and two
  // readers that unfold differently see two messages.
  Result<void> add_field(std::string_view line, Headers& fields) {
    if (line.front() == ' ' || line.front() == '\t')
      return malformed(400, "a header line starts with a space");
    const std::size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    if (colon == line.npos || !is_token(name))
      return malformed(400, "a header line has no valid name before its colon");
    const std::string_view value = trim_whitespace(line.substr(colon + 1));
    if (!is_field_value(value)) return malformed(400, "a header value holds a control byte");
    if (headers_count_ == limits_.fields)
      return too_large(431, "it has more header fields than allowed");
    ++headers_count_;
    fields.add(std::string{name}, std::string{value});
    return {};
  }

  Side side_;
  State state_ = State::start_line;
  bool started_ = false;
  bool line_is_whole_ = false;
  MessageLimits limits_;
  std::size_t head_bytes_ = 0;
  std::size_t headers_count_ = 0;
  std::uint64_t remaining_ = 0;  // of this body or chunk, or of the CR LF behind it
  std::uint64_t room_ = 0;       // what the body may still grow by
  std::string line_;
  Headers headers_;
  Headers trailers_;
  std::optional<Error> error_;
};

/// The minor version of "HTTP/1.x"; nothing for anything else.
[[nodiscard]] constexpr std::optional<int> parse_version(std::string_view text) noexcept {
  if (text.size() != 8 || !text.starts_with("HTTP/1.") || !is_digit(text.back()))
    return std::nullopt;
  return text.back() - '0';
}

/// RFC 9112 §9.3: a 1.1 peer keeps the connection unless it says `close`, a 1.0 peer only if it
/// says `keep-alive`.
[[nodiscard]] inline bool wants_persistence(int minor_version, const Headers& headers) {
  if (has_element(headers, "connection", "close")) return false;
  return minor_version >= 1 || has_element(headers, "connection", "keep-alive");
}

/// What `transfer-encoding` says.
struct TransferCodings {
  bool valid = true;  ///< no element is empty, `chunked` has no parameter and is last
  bool chunked_last = false;
  bool others = false;  ///< codings other than `chunked`
};

[[nodiscard]] inline TransferCodings transfer_codings(const Headers& headers) {
  TransferCodings found;
  for_each_element(headers, "transfer-encoding", [&](std::string_view element) {
    const std::size_t parameters = element.find(';');
    const bool chunked =
        equal_ignoring_case(trim_whitespace(element.substr(0, parameters)), "chunked");
    found.valid = found.valid && !element.empty() && !(chunked && parameters != element.npos) &&
                  !(chunked && found.chunked_last);
    found.chunked_last = chunked;
    found.others = found.others || !chunked;
  });
  return found;
}

/// The length that all `content-length` values agree on; nothing where they are malformed or
/// differ (RFC 9112 §6.3, rule 5). There must be such a field.
[[nodiscard]] inline std::optional<std::uint64_t> content_length(const Headers& headers) {
  std::optional<std::uint64_t> length;
  bool valid = true;
  for_each_element(headers, "content-length", [&](std::string_view element) {
    const std::optional<std::uint64_t> value = parse_unsigned(element, 10);
    valid = valid && value && (!length || *length == *value);
    length = value;
  });
  return valid ? length : std::nullopt;
}

}  // namespace penstock::http
