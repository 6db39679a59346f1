// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <penstock/core/result.hpp>
#include <penstock/http/message.hpp>

/// The io words: every system call of `http/` on a socket is here, all of them non-blocking.
namespace penstock::http {

[[nodiscard]] inline std::string system_message(std::string_view what, int code) {
  std::array<char, 128> buffer{};
  // The GNU and the POSIX form of strerror_r differ in what they return.
  const auto text = [&](auto returned) -> const char* {
    if constexpr (std::is_pointer_v<decltype(returned)>) {
      return returned;
    } else {
      return buffer.data();
    }
  };
  return std::string{what} + ": " + text(::strerror_r(code, buffer.data(), buffer.size()));
}

/// An address to connect to or to listen on.
struct Address {
  ::sockaddr_storage storage{};
  ::socklen_t length = 0;
  [[nodiscard]] const ::sockaddr* get() const noexcept {
    return reinterpret_cast<const ::sockaddr*>(&storage);
  }
};

enum class Lookup : unsigned char {
  numeric,  ///< addresses only: never asks anyone, never blocks
  names,    ///< names too: may ask a server and block for long
};

/// The addresses of a host in the order to try them. `unavailable` when it has none.
[[nodiscard]] inline Result<std::vector<Address>> resolve(const Origin& origin, Lookup lookup) {
  ::addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (lookup == Lookup::numeric ? AI_NUMERICHOST : 0);
  ::addrinfo* found = nullptr;
  const std::string port = std::to_string(origin.port);
  const int status = ::getaddrinfo(origin.host.c_str(), port.c_str(), &hints, &found);
  if (status != 0)
    return Error{ErrorKind::unavailable,
                 "cannot find the host " + origin.host + ": " + ::gai_strerror(status)};
  const std::unique_ptr<::addrinfo, decltype(&::freeaddrinfo)> owner{found, &::freeaddrinfo};
  std::vector<Address> addresses;
  for (const ::addrinfo* each = found; each != nullptr; each = each->ai_next) {
    Address address;
    std::memcpy(&address.storage, each->ai_addr, each->ai_addrlen);
    address.length = each->ai_addrlen;
    addresses.push_back(address);
  }
  return addresses;
}

/// What a non-blocking read or write came to.
struct Transfer {
  enum class Status : unsigned char { moved, would_block, closed, failed };
  Status status;
  std::size_t bytes = 0;  ///< of `moved`
  int code = 0;           ///< errno of `failed`
};

/// Owns one descriptor of a stream socket, non-blocking and close-on-exec. *One thread at a
/// time*, but for `shut_down`.
class Socket {
 public:
  Socket() noexcept = default;
  explicit Socket(int descriptor) noexcept : descriptor_(descriptor) {}
  Socket(Socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~Socket() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
  [[nodiscard]] bool is_open() const noexcept { return descriptor_ >= 0; }

  [[nodiscard]] Transfer read(char* to, std::size_t size) const noexcept {
    return transfer([&] { return ::recv(descriptor_, to, size, 0); });
  }
  // MSG_NOSIGNAL: a peer that has gone is an error here, not a signal to the whole program.
  [[nodiscard]] Transfer write(std::string_view bytes) const noexcept {
    return transfer([&] { return ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL); });
  }

  /// False for a connection that must not carry another request: closed by the peer, broken, or
  /// with bytes waiting that nobody asked for.
  [[nodiscard]] bool quiet() const noexcept {
    char byte = 0;
    const auto count = ::recv(descriptor_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  }

  /// Ends both directions and wakes whoever waits for the socket, in any thread.
  void shut_down() const noexcept { ::shutdown(descriptor_, SHUT_RDWR); }

  /// Starts to connect. The socket becomes writable when `connected` can tell how it went.
  [[nodiscard]] static Result<Socket> start_connecting(const Address& address) {
    Socket socket{::socket(
        address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP)};
    if (!socket.is_open())
      return Error{ErrorKind::unavailable, system_message("cannot open a socket", errno)};
    // A request leaves as it is written; nothing of it waits for an acknowledgement.
    const int on = 1;
    ::setsockopt(socket.descriptor(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::connect(socket.descriptor(), address.get(), address.length) != 0 &&
        errno != EINPROGRESS && errno != EINTR)
      return Error{ErrorKind::unavailable, system_message("cannot connect", errno)};
    return socket;
  }
  /// After the socket has become writable.
  [[nodiscard]] Result<void> connected() const {
    int code = 0;
    ::socklen_t size = sizeof code;
    if (::getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &code, &size) != 0) code = errno;
    if (code != 0) return Error{ErrorKind::unavailable, system_message("cannot connect", code)};
    return {};
  }

  [[nodiscard]] static Result<Socket> listen(const Address& address) {
    Socket socket{::socket(
        address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP)};
    const int on = 1;
    if (!socket.is_open() ||
        ::setsockopt(socket.descriptor(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        ::bind(socket.descriptor(), address.get(), address.length) != 0 ||
        ::listen(socket.descriptor(), SOMAXCONN) != 0)
      return Error{ErrorKind::unavailable, system_message("cannot listen", errno)};
    return socket;
  }
  /// The next connection of a listening socket; one that is not open when none is waiting.
  [[nodiscard]] Socket accept() const noexcept {
    Socket socket{::accept4(descriptor_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    const int on = 1;
    if (socket.is_open())
      ::setsockopt(socket.descriptor(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return socket;
  }
  /// The port it is bound to, which the system chose for port 0; 0 when it is not bound.
  [[nodiscard]] std::uint16_t local_port() const noexcept {
    Address address;
    address.length = sizeof address.storage;
    if (::getsockname(
            descriptor_, reinterpret_cast<::sockaddr*>(&address.storage), &address.length) != 0)
      return 0;
    if (address.storage.ss_family == AF_INET6)
      return ntohs(reinterpret_cast<const ::sockaddr_in6*>(&address.storage)->sin6_port);
    return ntohs(reinterpret_cast<const ::sockaddr_in*>(&address.storage)->sin_port);
  }

 private:
  template <class Operation>
  static Transfer transfer(Operation operation) noexcept {
    for (;;) {
      const auto count = operation();
      if (count > 0) return {Transfer::Status::moved, static_cast<std::size_t>(count)};
      if (count == 0) return {Transfer::Status::closed};
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return {Transfer::Status::would_block};
      return {Transfer::Status::failed, 0, errno};
    }
  }

  int descriptor_ = -1;
};

}  // namespace penstock::http
